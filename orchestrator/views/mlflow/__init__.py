"""Shows a ledger in MLflow: writes its runs, also in the background, and serves MLflow's pages."""
