"""What a picture's pixels mean: kinds that people send, as the toy engine sees them through HTTP."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.serve.conftest import Toy, encoded
from tests.serve.process import Served

SIZE = (64, 48)
# Beyond the middle, where the blur of resizing would reach into the left half.
LEFT = 48


def seen(server: Served, body: bytes) -> list[float]:
    """The colour that the answer tells of, up to a common factor: shares of red, green and blue."""
    (row,) = server.invoke(body, Accept="application/json;format=list").json
    return [float(share) for share in row]


def shares(*colour: float) -> list[float]:
    return [(c + 1) / (sum(colour) + 3) for c in colour]


def ycck() -> bytes:
    """A CMYK JPEG as Photoshop writes it: ink inverted, and its complement stored as YCbCr, marked so by Adobe's 2.

    Pillow writes it without that conversion, marked 0, and stores 255 - value: Y 100, Cb 128, Cr 178, black 255. They
    mean R 100 + 1.402 * 50 = 170, G 100 - 0.714 * 50 = 64 and B 100, which are the inks; and no black ink.
    """
    image = Image.new("CMYK", SIZE, (155, 127, 77, 0))
    data = bytearray(encoded(image, "JPEG", quality=100, subsampling=0))
    marker = data.index(b"\xff\xee\0\x0eAdobe")
    assert data[marker + 15] == 0
    data[marker + 15] = 2
    return bytes(data)


def palette(*alpha: int) -> Image.Image:
    """The left in colour 0, red; the right in colour 1, blue."""
    image = Image.new("P", SIZE, 1)
    image.putpalette([200, 20, 20, 20, 20, 200])
    image.paste(0, (0, 0, LEFT, SIZE[1]))
    if alpha:
        image.info["transparency"] = bytes(alpha)
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def sixteen_bit_rgb() -> bytes:
    """A PNG of three channels of 16 bits, which Pillow can't write: 200, 100 and 50 of 255, 257 times each."""
    line = b"\0" + struct.pack(">3H", 200 * 257, 100 * 257, 50 * 257) * SIZE[0]
    head = struct.pack(">IIBBBBB", *SIZE, 16, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(line * SIZE[1])) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def animated(format: str, **options: object) -> bytes:
    frames = [Image.new("RGB", SIZE, colour) for colour in ((200, 100, 50), (0, 0, 255), (255, 0, 0))]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=50, **options)


def grey_alpha(grey: int, alpha: int) -> bytes:
    return encoded(Image.new("LA", SIZE, (grey, alpha)), "PNG")


def one_bit(format: str, **options: object) -> bytes:
    """Left white, right black: the engines look at the left half."""
    image = Image.new("1", SIZE, 0)
    image.paste(1, (0, 0, LEFT, SIZE[1]))
    return encoded(image, format, **options)


PICTURES = {
    "CMYK JPEG": (encoded(Image.new("CMYK", SIZE, (255, 128, 0, 0)), "JPEG", quality=100), (0, 127, 255)),
    "CMYK JPEG of Photoshop's": (ycck(), (255 - 170, 255 - 64, 255 - 100)),
    "CMYK TIFF": (encoded(Image.new("CMYK", SIZE, (0, 255, 128, 0)), "TIFF"), (255, 0, 127)),
    "palette": (encoded(palette(), "PNG"), (200, 20, 20)),
    "palette, transparent left": (encoded(palette(0, 255), "PNG"), (255, 255, 255)),
    # 51 of 255 are a fifth: 200 / 5 + 255 * 4 / 5 = 244, 20 / 5 + 204 = 208.
    "palette, nearly transparent left": (encoded(palette(51, 255), "PNG"), (244, 208, 208)),
    "palette in a GIF": (encoded(palette(), "GIF"), (200, 20, 20)),
    "transparent palette in a GIF": (encoded(palette(), "GIF", transparency=0), (255, 255, 255)),
    "palette in a TIFF": (encoded(palette(), "TIFF"), (200, 20, 20)),
    "palette in a BMP": (encoded(palette(), "BMP"), (200, 20, 20)),
    "16-bit RGB PNG": (sixteen_bit_rgb(), (200, 100, 50)),
    "animated PNG": (animated("PNG"), (200, 100, 50)),
    "animated WebP": (animated("WEBP", lossless=True), (200, 100, 50)),
    "pages in a TIFF": (animated("TIFF"), (200, 100, 50)),
}


@pytest.mark.parametrize("kind", list(PICTURES))
def test_colours(toy_server: Served, kind: str) -> None:
    body, colour = PICTURES[kind]
    assert seen(toy_server, body) == pytest.approx(shares(*colour), abs=0.005)


GREYS = {
    "16-bit PNG": (encoded(Image.fromarray(np.full((48, 64), 25700, np.uint16)), "PNG"), 100),
    "16-bit TIFF": (encoded(Image.fromarray(np.full((48, 64), 51400, np.uint16)), "TIFF"), 200),
    "grey JPEG": (encoded(Image.new("L", SIZE, 100), "JPEG"), 100),
    "LA, opaque": (grey_alpha(100, 255), 100),
    # A fifth of black on white: 204.
    "LA, nearly transparent": (grey_alpha(0, 51), 204),
    "1-bit PNG": (one_bit("PNG"), 255),
    "1-bit TIFF, fax": (one_bit("TIFF", compression="group4"), 255),
    "1-bit BMP": (one_bit("BMP"), 255),
}


@pytest.fixture(scope="module")
def grey_server(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("grey")
    server = Served(toy.ml_root, folder / "log", KENNEL_ENGINE="tests.serve.engines:GreyEngine", TOY_DIR=str(folder))
    try:
        server.wait_ready()
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("kind", list(GREYS))
def test_greys(grey_server: Served, kind: str) -> None:
    body, grey = GREYS[kind]
    assert seen(grey_server, body)[0] == pytest.approx(grey / 255, abs=0.5 / 255)


def test_all_orientations_of_a_phones_jpeg(toy_server: Served) -> None:
    # Upright, the left half is red. Stored so that a viewer who obeys the orientation sees it upright.
    upright = Image.new("RGB", SIZE, (0, 0, 254))
    upright.paste((254, 0, 0), (0, 0, SIZE[0] // 2, SIZE[1]))
    turned = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for orientation, method in turned.items():
        stored = upright if method is None else upright.transpose(method)
        exif = Image.Exif()
        exif[0x0112] = orientation
        body = encoded(stored, "JPEG", quality=95, exif=exif)
        # (254 + 1) / (254 + 3) but for the JPEG's loss.
        assert seen(toy_server, body)[0] > 0.95, orientation
