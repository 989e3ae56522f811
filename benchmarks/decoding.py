"""JPEG bytes -> 224 x 224 uint8, on one core."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.timing import compare, print_facts
from model.preprocess import Preprocess, decode

SIZES = ((500, 375), (1600, 1200), (4000, 3000))


def main() -> None:
    """Compare Kennel's path with plain Pillow, in time and in grey levels."""
    print_facts("pillow", "numpy")
    preprocess = Preprocess()
    for width, height in SIZES:
        picture = photo(width, height)

        def plain(picture: bytes = picture) -> NDArray[np.uint8]:
            return plain_pillow(picture)

        def kennel(picture: bytes = picture) -> NDArray[np.uint8]:
            return preprocess.load(picture)

        def at_target(picture: bytes = picture) -> NDArray[np.uint8]:
            return preprocess(decode(picture, min_size=preprocess.resize_size))

        alternatives: dict[str, Callable[[], object]] = {
            "plain Pillow: decode, resize, crop": plain,
            "model.preprocess: decoded at 2x the target": kennel,
            "the same, decoded at the target": at_target,
        }
        compare(f"{width} x {height}", alternatives, rounds=7, calls=max(1, 20_000_000 // (width * height) // 4))
        # The same crop from the whole picture: what decoding at reduced size alone changes.
        full = preprocess(decode(picture)).astype(int)
        for name, reduced in (("2x the target", kennel()), ("the target", at_target())):
            difference = np.abs(full - reduced)
            mean, share = difference.mean(), np.percentile(difference, 99)
            print(f"  at {name} against full decoding: mean {mean:.2f}, 99th percentile {share:.0f} grey levels")


def plain_pillow(photo: bytes) -> NDArray[np.uint8]:
    """JPEG bytes -> (224, 224, 3), all of the picture decoded, in three steps."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    scale = 256 / min(image.size)
    resized = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (resized.width - 224) // 2, (resized.height - 224) // 2
    return np.asarray(resized.crop((left, top, left + 224, top + 224)))


def photo(width: int, height: int) -> bytes:
    """A picture with the spectrum of photos: noise at several scales, summed."""
    rng = np.random.default_rng(0)
    total = np.zeros((height, width, 3))
    for step in (1, 4, 16, 64, 256):
        small = rng.normal(0, 6 * step**0.5, (height // step + 1, width // step + 1, 3))
        layers = [
            Image.fromarray(small[..., c].astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
            for c in range(3)
        ]
        total += np.stack([np.asarray(layer) for layer in layers], axis=2)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
