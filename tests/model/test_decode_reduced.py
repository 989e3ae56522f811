"""A JPEG decoded at reduced size gives the network nearly the pixels that the whole picture gives."""

import numpy as np
import pytest

from benchmarks.decoding import photo
from model.preprocess import Preprocess, decode


@pytest.mark.parametrize(
    ("size", "image_size", "decoded"),
    # The smallest of 1/1, 1/2, 1/4 and 1/8 that keeps twice the resize's shorter side (146, 256, 512 or 598 pixels).
    [
        ((500, 375), 224, (500, 375)),
        ((1600, 1200), 224, (800, 600)),
        ((1200, 2400), 224, (600, 1200)),
        ((2200, 2100), 224, (550, 525)),
        ((1600, 1200), 112, (400, 300)),
        ((500, 375), 64, (250, 188)),
        ((1600, 1200), 64, (200, 150)),
    ],
)
def test_little_is_changed(size: tuple[int, int], image_size: int, decoded: tuple[int, int]) -> None:
    data, shape = photo(*size), Preprocess.for_size(image_size)
    assert decode(data, min_size=shape.decode_size).size == decoded
    difference = np.abs(shape(decode(data)).astype(int) - shape.load(data).astype(int))
    if decoded == size:
        assert difference.max() == 0
    assert difference.mean() <= 1
    assert np.percentile(difference, 99) <= 4
