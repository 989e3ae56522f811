"""Pixels as a NumPy file: uint8, (H, W, 3) for one image or (N, H, W, 3) for several, RGB."""

import io
import math
from functools import partial
from typing import Final

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from model.preprocess import MAX_PIXELS, Preprocess
from serve.bodies.batch import Batch, BatchItem, too_many
from serve.engines.base import UInt8Array
from serve.errors import RequestError

# An array's header takes 118 bytes; a much longer one is made to keep the parser busy.
_LONGEST_HEADER: Final = 1024
_EXPECTED: Final = "send uint8 pixels (RGB) of shape (H, W, 3) or (N, H, W, 3)"


def read_npy(body: bytes, most: int) -> Batch:
    """The images of a .npy file. Each is resized and cropped like a picture with these pixels, whatever its size.

    Everything is checked before anything is allocated; the array is a view of `body`.
    Raises RequestError: 400 for another type, shape or length, 413 above `most` images or too many pixels.
    """
    shape, fortran, dtype, start = _header(body)
    if dtype != np.uint8:
        raise RequestError(400, f"the array's type is {str(dtype)[:60]}; {_EXPECTED}")
    if len(shape) not in (3, 4) or shape[-1] != 3:
        raise RequestError(400, f"the array's shape is {str(shape)[:60]}; {_EXPECTED}")
    if min(shape) < 1:
        raise RequestError(400, f"the array's shape is {str(shape)[:60]}, which has no pixels; {_EXPECTED}")
    count = shape[0] if len(shape) == 4 else 1
    if count > most:
        raise too_many(most)
    if shape[-3] * shape[-2] > MAX_PIXELS:
        raise RequestError(
            413,
            f"an image of {shape[-2]} x {shape[-3]} pixels has more than the limit of {MAX_PIXELS}; send it smaller",
        )
    if len(body) - start != math.prod(shape):
        raise RequestError(
            400, f"the array needs {math.prod(shape)} bytes, but {len(body) - start} follow its header; send it again"
        )
    images = np.frombuffer(body, np.uint8, offset=start).reshape(shape, order="F" if fortran else "C")
    images = images if len(shape) == 4 else images[np.newaxis]
    items = [BatchItem(f"image {i}", partial(_load, image)) for i, image in enumerate(images)]
    return Batch(items, one=len(shape) == 3)


def _header(body: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    """Shape, whether in Fortran's order, type, and where the data begins."""
    stream = io.BytesIO(body)
    try:
        version = npy.read_magic(stream)  # type: ignore[no-untyped-call]
        length = int.from_bytes(body[8 : 10 if version == (1, 0) else 12], "little")
        if version not in ((1, 0), (2, 0)) or length > _LONGEST_HEADER:
            raise ValueError
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=_LONGEST_HEADER)  # type: ignore[no-untyped-call,call-arg]
    except Exception as error:
        # NumPy evaluates the header as Python's literals, whose parser raises nearly anything on hostile bytes.
        raise RequestError(400, f"the body is no .npy file that can be read; {_EXPECTED} by numpy.save") from error
    return tuple(int(size) for size in shape), fortran, dtype, stream.tell()


def _load(pixels: UInt8Array, preprocess: Preprocess) -> UInt8Array:
    return preprocess(Image.fromarray(np.ascontiguousarray(pixels)))
