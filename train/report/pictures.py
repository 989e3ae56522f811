"""Thumbnails as data URIs."""

import base64
import io
from typing import Final

from PIL import Image

from contract.errors import ImageError
from model.preprocess import decode
from train.data.dataset import Split

SIDE: Final = 224  # pixels: sharp at 112 CSS pixels on a screen with two pixels each
QUALITY: Final = 72


class Pictures:
    """The pictures of a split, by the names that the reports use; each is decoded when it is asked for."""

    def __init__(self, split: Split) -> None:
        self._samples = {split.name(sample): sample for sample in split.samples}

    def __call__(self, file: str) -> str | None:
        """A JPEG of at most SIDE x SIDE pixels as a data URI; None when the file can't be read any more."""
        try:
            image = decode(self._samples[file].encoded(), min_size=SIDE)
        except (KeyError, ImageError, OSError):
            return None
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
