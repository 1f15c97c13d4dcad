"""What is rebuilt from the ledger: MLflow runs and tables. Nothing reads a view to decide."""
