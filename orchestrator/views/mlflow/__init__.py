"""Shows a ledger in MLflow: writes its runs, in the background too, and serves MLflow's pages."""
