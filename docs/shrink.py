"""Makes the README's picture small: python docs/shrink.py out/quickstart.png docs/quickstart.png"""

import sys

import matplotlib
import numpy as np
from PIL import Image

WIDTH = 1080

source, target = sys.argv[1:]
picture = Image.open(source).convert("RGB")
picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
# 128 colours of the density, so that it stays smooth, and 128 for all the rest
density = (matplotlib.colormaps["viridis"](np.linspace(0, 1, 128))[:, :3] * 255).round().astype(int).ravel().tolist()
rest = picture.quantize(128, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
palette = Image.new("P", (1, 1))
palette.putpalette(density + rest[:384])
picture.quantize(palette=palette, dither=Image.Dither.NONE).save(target, optimize=True)
