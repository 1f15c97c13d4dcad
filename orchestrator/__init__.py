"""What a sweep does: sweep file, plan, trials under Ray Tune, ledger, views, command line."""
