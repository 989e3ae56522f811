"""A tiny data set for tests that train."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"001.Red_dog": (200, 40, 40), "002.Green_dog": (40, 200, 40), "003.Blue_dog": (40, 40, 200)}


def make_photos(root: Path) -> Path:
    """Three classes that differ in colour; train 12, valid 4, test 4 noisy 100 x 80 JPEGs a class. Returns `root`."""
    rng = np.random.default_rng(0)
    for role, count in (("train", 12), ("valid", 4), ("test", 4)):
        for name, colour in COLOURS.items():
            folder = root / role / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(np.array(colour) + rng.normal(0, 40, (80, 100, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    return root
