"""A small font for figures on paper.

Each PDF carries the letters it uses, which matplotlib takes out of the font's file anew for each.
Of all of DejaVu Sans, most of the time that writing a figure takes goes there.
"""

import tempfile
from functools import cache
from pathlib import Path

from fontTools import subset
from matplotlib.font_manager import findfont, fontManager

WHOLE = "DejaVu Sans"  # comes with matplotlib: the same everywhere
SMALL = "Soundings Sans"  # its licence asks for another name
LETTERS = [  # Latin, Greek, punctuation, arrows, mathematics
    *range(0x20, 0x180),
    *range(0x370, 0x400),
    *range(0x2000, 0x2070),
    *range(0x2190, 0x2200),
    *range(0x2200, 0x2270),
]
_folder = tempfile.TemporaryDirectory(prefix="soundings-")  # until the process ends


@cache
def families() -> list[str]:
    """The names by which matplotlib finds the small font, and the whole one for other letters."""
    options = subset.Options(name_IDs=["*"], layout_features=[])
    options.drop_tables += ["FFTM"]  # of the editor it was drawn with
    font = subset.load_font(findfont(WHOLE), options)
    letters = subset.Subsetter(options)
    letters.populate(unicodes=LETTERS)
    letters.subset(font)
    for record in font["name"].names:
        if str(record).startswith(WHOLE):
            record.string = str(record).replace(WHOLE, SMALL)
        elif record.nameID == 6:  # the name inside a PDF
            record.string = SMALL.replace(" ", "")
    path = Path(_folder.name) / "small.ttf"
    subset.save_font(font, str(path), options)
    fontManager.addfont(path)
    return [SMALL, WHOLE, "sans-serif"]
