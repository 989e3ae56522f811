"""Images that are made to take more time or memory than their size tells."""

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.errors import ImageError, ImageTooLargeError
from model.preprocess import Preprocess, decode

MB = 1 << 20


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, bits: int, colour: int, extra: bytes = b"") -> bytes:
    """All zeros. colour: 0 grey, 2 RGB, 4 grey and alpha, 6 RGB and alpha."""
    row = bytes(1 + width * bits // 8 * {0: 1, 2: 3, 4: 2, 6: 4}[colour])
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head), extra, chunk(b"IDAT", zlib.compress(row * height, level=1)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(scans: int, tail: bytes = b"") -> bytes:
    """Grey 16 x 16, progressive: a scan of the first coefficients, and scans that say there are no others."""

    def part(marker: int, content: bytes) -> bytes:
        return bytes((0xFF, marker)) + struct.pack(">H", 2 + len(content)) + content

    first = part(0xDA, bytes((1, 1, 0, 0, 0, 0))) + b"\x0f"  # four blocks, a zero bit each
    other = part(0xDA, bytes((1, 1, 0, 1, 63, 0))) + b"\x0f"
    quantisation = part(0xDB, b"\0" + b"\1" * 64)
    frame = part(0xC2, struct.pack(">BHHB", 8, 16, 16, 1) + bytes((1, 0x11, 0)))
    # Of both tables the only code is one zero bit: no difference, and the end of a block.
    tables = part(0xC4, b"\x00\1" + bytes(15) + b"\0") + part(0xC4, b"\x10\1" + bytes(15) + b"\0")
    return b"\xff\xd8" + quantisation + frame + tables + first + other * (scans - 1) + b"\xff\xd9" + tail


PEAK = """
import json, resource, sys
from contract.errors import ImageError
from model.preprocess import Preprocess
data, shape = sys.stdin.buffer.read(), Preprocess()
shape.load(open(sys.argv[1], "rb").read())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    pixel = shape.load(data)[0, 0].tolist()
except ImageError as error:
    pixel = str(error)
print(json.dumps([(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, pixel]))
"""


@pytest.mark.parametrize(
    ("data", "pixel", "most"),
    [
        # 24 megapixels. Pillow keeps a pixel in 4 bytes, the decoded one and the converted one, or 2 and 4.
        (lambda: png(6000, 4000, 8, 6), [255] * 3, 24e6 * 10),
        (lambda: png(6000, 4000, 8, 4), [255] * 3, 24e6 * 10),
        (lambda: png(6000, 4000, 8, 2, chunk(b"tRNS", bytes(6))), [255] * 3, 24e6 * 10),
        (lambda: png(6000, 4000, 16, 0), [0] * 3, 24e6 * 10),
        (lambda: png(8, 8, 8, 2, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(200 * MB)))), "too large", 20 * MB),
        (lambda: png(8, 8, 8, 2, chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(200 * MB)))), "too large", 20 * MB),
        (
            lambda: png(8, 8, 8, 2, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(MB))) * 150),
            "Too much memory used in text chunks",
            100 * MB,
        ),
    ],
    ids=["RGBA", "LA", "tRNS", "16 bit", "zTXt", "iCCP", "150 zTXt"],
)
def test_memory_is_bounded(tmp_path: Path, data: Callable[[], bytes], pixel: object, most: float) -> None:
    (tmp_path / "small").write_bytes(png(300, 300, 8, 6))
    command = [sys.executable, "-c", PEAK, str(tmp_path / "small")]
    result = subprocess.run(command, input=data(), capture_output=True, check=True, timeout=120)
    took, found = json.loads(result.stdout)
    assert took < most
    assert pixel in found if isinstance(pixel, str) else found == pixel


def test_converted_in_bands_the_pixels_are_the_same() -> None:
    # 1.5 megapixels, so that there are several bands, of columns that tell where they are.
    values = (
        np.broadcast_to(np.arange(1500, dtype=np.uint16) * 40, (1000, 1500)) + np.arange(1000, dtype=np.uint16)[:, None]
    )
    grey = np.asarray(decode(encoded(Image.fromarray(values), "PNG")))
    assert np.array_equal(grey, np.repeat(((values.astype(int) + 128) // 257)[..., None], 3, axis=2))
    # On white, black of opacity a is 255 - a.
    alpha = (values % 256).astype(np.uint8)
    black = Image.fromarray(np.stack([np.zeros_like(alpha), alpha], axis=2), "LA")
    assert np.array_equal(np.asarray(decode(encoded(black, "PNG"))), np.repeat(255 - alpha[..., None], 3, axis=2))
    # White is what it is for the whole picture, whose only bright pixel is in the last band.
    faint = np.zeros((1000, 1500), dtype=np.int32)
    faint[-1, -1], faint[0, 0] = 51400, 257
    pixels = np.asarray(decode(encoded(Image.fromarray(faint), "TIFF")))
    assert (pixels[0, 0].tolist(), pixels[-1, -1].tolist()) == ([1] * 3, [200] * 3)


def test_a_jpeg_of_many_scans_is_refused() -> None:
    assert np.asarray(decode(jpeg(100))).tolist() == [[[128] * 3] * 16] * 16
    for scans in (101, 100_000):
        with pytest.raises(ImageError, match="a JPEG of more than 100 scans, which no camera makes; save it anew"):
            decode(jpeg(scans))


def test_what_only_looks_like_scans_does_not_count(tmp_path: Path) -> None:
    # A phone's short film behind the picture, and the same in a segment of its own before it.
    film = b"\xff\xda" * 200
    assert decode(jpeg(10, film)).size == (16, 16)
    segment = b"\xff\xeb" + struct.pack(">H", 2 + len(film)) + film
    assert decode(jpeg(10)[:2] + segment + jpeg(10)[2:]).size == (16, 16)
    (tmp_path / "a.jpg").write_bytes(jpeg(10, film))
    assert decode(tmp_path / "a.jpg", min_size=16).size == (16, 16)


def test_two_pictures_in_one_jpeg() -> None:
    pictures = [Image.new("RGB", (40, 30), (grey,) * 3) for grey in (90, 200)]
    data = encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    assert np.asarray(decode(data, min_size=8)).tolist() == [[[90] * 3] * 20] * 15


def test_a_tiff_of_few_pixels_with_a_giant_tile_is_refused() -> None:
    # 16 x 16 pixels in one tile that would take 1.9 GB: a file of 2 MB, here without the tile's content.
    at = 8 + 6
    tags = [
        (256, 16),
        (257, 16),
        (258, 8),
        (259, 8),
        (262, 2),
        (277, 3),
        (322, 40_000),
        (323, 16_000),
        (324, 8),
        (325, 6),
    ]
    rows = b"".join(
        struct.pack("<HHII", tag, 3, 3, 8) if tag == 258 else struct.pack("<HHII", tag, 4, 1, value)
        for tag, value in tags
    )
    data = (
        b"II*\0" + struct.pack("<I", at) + struct.pack("<HHH", 8, 8, 8) + struct.pack("<H", len(tags)) + rows + bytes(4)
    )
    with pytest.raises(ImageTooLargeError, match="tiles have 40000 x 16000 pixels, more than the limit of 100000000"):
        decode(data)


def test_of_many_frames_and_pages_the_first_is_read() -> None:
    frames = [Image.new("L", (4, 4), number % 200) for number in range(400)]
    for format in ("GIF", "TIFF"):
        data = encoded(frames[7], format, save_all=True, append_images=frames)
        assert Preprocess(4, 4).load(data).tolist() == [[[7] * 3] * 4] * 4


def test_a_webp_with_a_giant_canvas_is_refused() -> None:
    picture = encoded(Image.new("RGB", (8, 8)), "WEBP", lossless=True)[12:]
    frame = bytes(6) + b"\7\0\0" * 2 + bytes(4) + picture
    body = b"WEBPVP8X" + struct.pack("<II", 10, 2) + b"\xfe\x3f\0" * 2 + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame
    with pytest.raises(ImageTooLargeError, match="16383 x 16383"):
        decode(b"RIFF" + struct.pack("<I", len(body)) + body)
