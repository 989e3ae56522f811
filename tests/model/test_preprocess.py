"""Resize and centre crop, worked out by hand, and what the manifest holds of them."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contract.errors import ArtifactError
from model.preprocess import Preprocess, decode


def ramp(width: int, height: int) -> Image.Image:
    """Red = column, green = row, blue = 7 (width and height up to 256)."""
    rows, columns = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([columns, rows, np.full_like(rows, 7)], 2).astype(np.uint8))


def test_the_default_is_imagenets() -> None:
    shape = Preprocess()
    assert (shape.image_size, shape.resize_size, shape.decode_size) == (224, 256, 512)
    assert Preprocess.for_size(224) == shape


@pytest.mark.parametrize(("image_size", "resize_size"), [(32, 37), (64, 73), (112, 128), (299, 342)])
def test_the_usual_proportion(image_size: int, resize_size: int) -> None:
    assert Preprocess.for_size(image_size).resize_size == resize_size


@pytest.mark.parametrize(
    ("size", "left", "top"),
    # The shorter side is 128 already, so the crop is an exact copy of the centre 112 x 112.
    [((128, 128), 8, 8), ((200, 128), 44, 8), ((128, 256), 8, 72)],
)
def test_at_scale_one_the_crop_is_a_copy(size: tuple[int, int], left: int, top: int) -> None:
    image = ramp(*size)
    pixels = Preprocess(image_size=112, resize_size=128)(image)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.asarray(image)[top : top + 112, left : left + 112])


def test_halving_a_ramp() -> None:
    # Shorter side 128 -> 64, crop 56 from column 8: output x lies at column 8 + 2 x + 0.5, rounded up.
    pixels = Preprocess(image_size=56, resize_size=64)(ramp(128, 128))
    expected = 8 + 2 * np.arange(56) + 1
    assert np.abs(pixels[28, 4:-4, 0].astype(int) - expected[4:-4]).max() <= 1
    assert np.abs(pixels[4:-4, 28, 1].astype(int) - expected[4:-4]).max() <= 1
    assert (pixels[:, :, 2] == 7).all()


def test_an_antialiased_checkerboard_is_grey() -> None:
    board = np.indices((256, 256)).sum(0) % 2 * 255
    pixels = Preprocess(image_size=28, resize_size=32)(Image.fromarray(board.astype(np.uint8)).convert("RGB"))
    assert np.abs(pixels.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (3, 5000), (5000, 3), (31, 33), (777, 1000)])
def test_any_size_and_shape(size: tuple[int, int]) -> None:
    pixels = Preprocess.for_size(32)(Image.new("RGB", size, (10, 20, 30)))
    assert pixels.shape == (32, 32, 3)
    assert (pixels == [10, 20, 30]).all()


def test_decoding_a_jpeg_small_changes_little() -> None:
    rows, columns = np.mgrid[0:1200, 0:1600] / 60.0
    waves = 128 + 60 * np.sin(columns) + 50 * np.cos(rows)
    buffer = io.BytesIO()
    Image.fromarray(np.stack([waves, waves[::-1], waves[:, ::-1]], 2).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    shape = Preprocess.for_size(64)
    assert decode(buffer.getvalue(), min_size=shape.decode_size).size == (200, 150)
    full, small = shape(decode(buffer.getvalue())).astype(int), shape.load(buffer.getvalue()).astype(int)
    assert np.abs(full - small).max() <= 3
    assert np.abs(full - small).mean() <= 0.6


def test_through_json_and_back() -> None:
    shape = Preprocess(48, 64, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic")
    assert Preprocess.from_dict(json.loads(json.dumps(shape.to_dict()))) == shape


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_size": 0}, "image_size must be an integer from 1 to 4096, got 0"),
        ({"image_size": True}, "image_size must be an integer from 1 to 4096, got True"),
        ({"image_size": "224"}, "image_size must be an integer"),
        ({"resize_size": 5000}, "resize_size must be an integer from 1 to 4096, got 5000"),
        ({"resize_size": 100}, "resize_size must not be smaller than image_size"),
        ({"interpolation": "nearest"}, "interpolation must be bilinear or bicubic, got 'nearest'"),
        ({"interpolation": ["bilinear"]}, "interpolation must be bilinear or bicubic"),
        ({"mean": [0.5, 0.5]}, "mean must be three finite numbers"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean must be three finite numbers"),
        ({"std": [0.5, 0.5, "0.5"]}, "std must be three finite numbers"),
        ({"std": [0.5, 0.5, 0.0]}, "std must be above 0"),
        ({"gamma": 2.2}, "preprocessing must have the fields"),
    ],
)
def test_values_that_make_no_sense(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        Preprocess.from_dict({**Preprocess().to_dict(), **change})


@pytest.mark.parametrize("values", [None, [], {}, {"image_size": 224}])
def test_something_else_altogether(values: object) -> None:
    with pytest.raises(ArtifactError, match="preprocessing must have the fields"):
        Preprocess.from_dict(values)
