"""Every kind of image as upright RGB, with pixel values worked out by hand."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.errors import ImageError, ImageTooLargeError
from model.preprocess import FORMATS, decode

GREY = 137


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(image: Image.Image, format: str = "PNG", **options: object) -> list[tuple[int, ...]]:
    """The distinct pixels after encoding and decoding."""
    decoded = decode(encoded(image, format, **options))
    assert decoded.mode == "RGB"
    assert decoded.size == image.size
    return sorted({tuple(pixel) for pixel in np.asarray(decoded).reshape(-1, 3).tolist()})


@pytest.mark.parametrize("format", FORMATS)
def test_each_format(format: str) -> None:
    image = Image.new("RGB", (24, 16), (200, 100, 50))
    options = {"lossless": True} if format == "WEBP" else {}
    ((r, g, b),) = pixels(image, format, **options)
    tolerance = 2 if format in ("JPEG", "GIF") else 0
    assert max(abs(r - 200), abs(g - 100), abs(b - 50)) <= tolerance


def test_grey_and_black_and_white() -> None:
    assert pixels(Image.new("L", (3, 2), GREY)) == [(GREY,) * 3]
    assert pixels(Image.new("1", (3, 2), 1)) == [(255, 255, 255)]


def test_transparent_pixels_lie_on_white() -> None:
    assert pixels(Image.new("RGBA", (3, 2), (10, 20, 30, 0))) == [(255, 255, 255)]
    assert pixels(Image.new("RGBA", (3, 2), (10, 20, 30, 255))) == [(10, 20, 30)]
    # 51 / 255 = 0.2: 0.2 * 100 + 0.8 * 255 = 224.
    assert pixels(Image.new("RGBA", (3, 2), (100, 100, 100, 51))) == [(224, 224, 224)]
    assert pixels(Image.new("LA", (3, 2), (0, 51))) == [(204, 204, 204)]


def test_a_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    assert pixels(image) == [(0, 0, 255), (255, 0, 0)]
    assert pixels(image, transparency=0) == [(0, 0, 255), (255, 255, 255)]


def test_a_transparent_colour_of_rgb_and_grey() -> None:
    assert pixels(Image.new("RGB", (2, 2), (1, 2, 3)), transparency=(1, 2, 3)) == [(255, 255, 255)]
    assert pixels(Image.new("L", (2, 2), 7), transparency=7) == [(255, 255, 255)]


@pytest.mark.parametrize("value", [0, 128, 129, 257, 32896, 40000, 65535])
def test_16_bit_grey_is_scaled_not_clipped(value: int) -> None:
    # 65535 / 255 = 257, which is odd, so no value lies halfway.
    expected = (value + 128) // 257
    array = np.full((2, 3), value, dtype=np.uint16)
    assert pixels(Image.fromarray(array)) == [(expected,) * 3]
    assert pixels(Image.fromarray(array), "TIFF") == [(expected,) * 3]


def test_32_bit_and_float_grey() -> None:
    assert pixels(Image.fromarray(np.array([[0, 200]], dtype=np.int32)), "TIFF") == [(0,) * 3, (200,) * 3]
    assert pixels(Image.fromarray(np.array([[0, 51400]], dtype=np.int32)), "TIFF") == [(0,) * 3, (200,) * 3]
    assert pixels(Image.fromarray(np.array([[0.0, 0.2]], dtype=np.float32)), "TIFF") == [(0,) * 3, (51,) * 3]
    assert pixels(Image.fromarray(np.array([[0.0, 99.0]], dtype=np.float32)), "TIFF") == [(0,) * 3, (99,) * 3]


def test_cmyk() -> None:
    for format in ("JPEG", "TIFF"):
        assert pixels(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), format) == [(255, 255, 255)]
        assert pixels(Image.new("CMYK", (16, 16), (0, 0, 0, 255)), format) == [(0, 0, 0)]


CORNERS = np.array([[[255, 0, 0], [0, 255, 0], [9, 9, 9]], [[0, 0, 255], [255, 255, 0], [8, 8, 8]]], dtype=np.uint8)
# How the upright array becomes the stored one, by the EXIF standard's eight orientations.
STORED = {
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.transpose(1, 0, 2),
    6: np.rot90(CORNERS, 1),  # shown turned clockwise by 90 degrees, so stored turned the other way
    7: np.rot90(CORNERS, 2).transpose(1, 0, 2),
    8: np.rot90(CORNERS, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    assert np.array_equal(np.asarray(decode(encoded(image, format, exif=exif, **options))), CORNERS)


def test_a_jpeg_decoded_small_is_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (800, 400), (90, 90, 90)), "JPEG", exif=exif)
    assert decode(data).size == (400, 800)
    assert decode(data, min_size=100).size == (100, 200)


# model.preprocess switches Pillow's warnings off when it is imported; pytest switches them on again.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\0\0\1", b"\xff" * 40])
def test_corrupt_exif_does_not_matter(exif: bytes) -> None:
    for format in ("JPEG", "PNG"):
        data = encoded(Image.new("RGB", (16, 8), (GREY,) * 3), format, exif=exif)
        assert np.asarray(decode(data)).tolist() == [[[GREY] * 3] * 16] * 8


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    assert pixels(frames[0], "GIF", save_all=True, append_images=frames[1:]) == [(255, 0, 0)]


@pytest.mark.parametrize(
    ("min_size", "size"),
    [
        (None, (1000, 800)),
        (800, (1000, 800)),
        (401, (1000, 800)),
        (400, (500, 400)),
        (100, (125, 100)),
        (1, (125, 100)),
    ],
)
def test_a_jpeg_may_be_decoded_smaller_but_not_too_small(min_size: int | None, size: tuple[int, int]) -> None:
    data = encoded(Image.new("RGB", (1000, 800)), "JPEG")
    assert decode(data, min_size=min_size).size == size


def test_a_file_and_its_bytes_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(encoded(Image.new("RGB", (5, 5), (1, 2, 3))))
    assert decode(tmp_path / "a.dat").tobytes() == decode((tmp_path / "a.dat").read_bytes()).tobytes()


def test_no_more_pixels_than_allowed() -> None:
    data = encoded(Image.new("L", (30, 20)))
    assert decode(data, max_pixels=600).size == (30, 20)
    with pytest.raises(ImageTooLargeError, match="30 x 20 pixels, more than the limit of 599;"):
        decode(data, max_pixels=599)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    # 20,000 x 20,000 pixels in a few bytes: decoded they would take 1.2 GB.
    header = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(header) < 100_000
    with pytest.raises(ImageTooLargeError, match="20000 x 20000"):
        decode(header)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_a_truncated_image(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    for keep in (len(data) * 3 // 4, len(data) // 2):
        for min_size in (None, 8):
            with pytest.raises(ImageError, match=r"broken or truncated|not an image"):
                decode(data[:keep], min_size=min_size)


@pytest.mark.parametrize("content", [b"hello", b"%PDF-1.7", b"<svg/>", b"\0" * 100, b"II*\0", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_image(content: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        decode(content)
    assert "\n" not in str(caught.value)


def test_no_bytes() -> None:
    with pytest.raises(ImageError, match=r"the image is empty \(0 bytes\)"):
        decode(b"")


def test_formats_that_can_do_harm_are_not_read() -> None:
    # PostScript would start Ghostscript.
    with pytest.raises(ImageError, match="not an image that can be read; the formats are JPEG, PNG"):
        decode(encoded(Image.new("RGB", (8, 8)), "EPS"))


def test_hostile_bytes_raise_nothing_else() -> None:
    random = np.random.default_rng(1)
    kinds = [encoded(Image.new("RGB", (24, 24), (9, 99, 199)), format) for format in FORMATS]
    outcomes = {"decoded": 0, "refused": 0}
    for number in range(300):
        data = bytearray(kinds[number % len(kinds)])
        for position in random.integers(0, len(data), 6):
            data[position] = random.integers(0, 256)
        try:
            decode(bytes(data), max_pixels=1_000_000)
            outcomes["decoded"] += 1
        except ImageError:
            outcomes["refused"] += 1
    assert sum(outcomes.values()) == 300
    assert min(outcomes.values()) > 0
