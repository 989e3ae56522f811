"""Bytes -> images, by the kind of body that the label names."""

from typing import Final

import numpy as np

from contract.errors import ImageError
from model.preprocess import Preprocess
from serve import codec
from serve.bodies.base64_json import read_json, read_json_lines
from serve.bodies.batch import Batch
from serve.bodies.multipart import read_form
from serve.bodies.npy import read_npy
from serve.engines.base import UInt8Array
from serve.media_types import BodyKind

_READERS: Final = {BodyKind.JSON: read_json, BodyKind.JSON_LINES: read_json_lines, BodyKind.NPY: read_npy}
# How bodies begin that may have lost their label.
_STARTS: Final = (
    (b"{", BodyKind.JSON),
    (b"--", BodyKind.MULTIPART),
    (b"\x93NUMPY", BodyKind.NPY),
)


def read_batch(kind: BodyKind, content_type: str, body: bytes, most: int) -> Batch:
    """The images of a body that isn't an image itself, not decoded yet. Raises RequestError."""
    if kind is BodyKind.MULTIPART:
        return read_form(body, content_type, most)
    return _READERS[kind](body, most)


def load_image(body: bytes, preprocess: Preprocess) -> UInt8Array:
    """A body that is one image, as uint8 (1, image_size, image_size, 3). Raises ImageError."""
    try:
        return codec.decode(body, preprocess)[np.newaxis]
    except ImageError as error:
        for start, kind in _STARTS:
            if body.startswith(start):
                hint = f"{error}; if it holds images, label it Content-Type: {kind.value}"
                raise type(error)(hint) from error
        raise
