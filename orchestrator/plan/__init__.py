"""Plans the cells and trials of a sweep, and finds those that the ledger does not have yet."""
