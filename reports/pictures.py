"""Thumbnails as data URIs."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PIL import Image

from contract.errors import ImageError
from model.preprocess import decode

SIDE: Final = 224  # pixels: sharp at 112 CSS pixels on a screen with two pixels each
QUALITY: Final = 72


class Pictures:
    """Thumbnails of the images that `read` gives, by the names that the reports use.

    read: a name -> the image, as bytes or a file; raises KeyError or OSError where there is none any more.
    """

    def __init__(self, read: Callable[[str], bytes | Path]) -> None:
        self._read = read

    def __call__(self, file: str) -> str | None:
        """A JPEG of at most SIDE x SIDE pixels as a data URI; None when the file can't be read any more."""
        try:
            image = decode(self._read(file), min_size=SIDE)
        except (KeyError, ImageError, OSError):
            return None
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
