"""Rebuilds views from the ledger: MLflow runs, tables and reports.

Views are for people alone. No decision of a sweep is taken from a view.
"""
