"""Makes a small font for the PDF and SVG figures, because the whole one slows their writing.

Each PDF holds the letters that it uses, and matplotlib extracts them from the font file for every
PDF. With the whole DejaVu Sans that takes most of the time of writing a figure.
"""

import tempfile
from functools import cache
from pathlib import Path

from fontTools import subset
from matplotlib.font_manager import findfont, fontManager

WHOLE = "DejaVu Sans"  # comes with matplotlib, so it is the same on every machine
SMALL = "Soundings Sans"  # the font's licence requires another name for a changed font
LETTERS = [  # Latin, Greek, punctuation, arrows, mathematics
    *range(0x20, 0x180),
    *range(0x370, 0x400),
    *range(0x2000, 0x2070),
    *range(0x2190, 0x2200),
    *range(0x2200, 0x2270),
]
_folder = tempfile.TemporaryDirectory(prefix="soundings-")  # kept until the process ends


@cache
def families() -> list[str]:
    """Make the small font known to matplotlib and return the font families to use, best first.

    The whole font follows the small one for letters that the small one lacks.
    """
    options = subset.Options(name_IDs=["*"], layout_features=[])
    options.drop_tables += ["FFTM"]  # time stamps of the font editor
    font = subset.load_font(findfont(WHOLE), options)
    letters = subset.Subsetter(options)
    letters.populate(unicodes=LETTERS)
    letters.subset(font)
    for record in font["name"].names:
        if str(record).startswith(WHOLE):
            record.string = str(record).replace(WHOLE, SMALL)
        elif record.nameID == 6:  # PostScript name, which a PDF shows
            record.string = SMALL.replace(" ", "")
    path = Path(_folder.name) / "small.ttf"
    subset.save_font(font, str(path), options)
    fontManager.addfont(path)
    return [SMALL, WHOLE, "sans-serif"]
