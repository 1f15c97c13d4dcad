"""Names the folder of the checkout and the quickstart's sweep file."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "sweeps" / "quickstart.yaml"
