"""A data set of the tutorials' size: 133 classes, 6,680 training and 835 validation photos of about 500 x 375."""

from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.other_breeds import random_breeds
from examples.breeds import Breed
from examples.drawing import draw

CLASSES: Final = 133
COUNTS: Final = {"train": 6680, "valid": 835}
DRAWN: Final = 5  # pictures of each breed, from which its photos are cut
_NOISE: Final = 7.0  # grey levels: with it a file is as large, and takes as long to decode, as a photo's 40 to 50 kB


def make_photos(folder: Path) -> None:
    """FOLDER/SPLIT/CLASS/N.jpg: crops of drawn pictures, enlarged, mirrored, with noise. What is there is kept."""
    breeds = random_breeds(CLASSES, seed=5)
    jobs = []
    for number, breed in enumerate(breeds):
        own = {split: count // CLASSES + (number < count % CLASSES) for split, count in COUNTS.items()}
        jobs.append((folder, breed, own))
    with ProcessPoolExecutor() as pool:
        list(pool.map(_make_class, jobs))


def _make_class(job: tuple[Path, Breed, dict[str, int]]) -> None:
    folder, breed, counts = job
    files = {
        split: [folder / split / breed.folder / f"{index:03d}.jpg" for index in range(count)]
        for split, count in counts.items()
    }
    if all(file.exists() for each in files.values() for file in each):
        return
    rng = np.random.default_rng([*breed.folder.encode()])
    # The last one is for validation alone.
    drawn = [Image.open(BytesIO(draw(breed, 256, rng))).convert("RGB") for _ in range(DRAWN)]
    for split, each in files.items():
        sources = drawn[:-1] if split == "train" else drawn[-1:]
        for index, file in enumerate(each):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_photo(sources[index % len(sources)], rng))


def _photo(picture: Image.Image, rng: np.random.Generator) -> bytes:
    """JPEG, 500 x 375 or so, a quarter of them upright."""
    size = (500, int(rng.integers(330, 420)))
    if rng.random() < 0.25:
        size = (size[1], size[0])
    left, top = rng.uniform(0, 0.15, 2)
    box = (left * picture.width, top * picture.height, (left + 0.85) * picture.width, (top + 0.85) * picture.height)
    large = picture.resize(size, Image.Resampling.BICUBIC, box=box)
    if rng.random() < 0.5:
        large = large.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    light = rng.uniform(0.8, 1.2)
    pixels = np.asarray(large, np.float32) * light + rng.normal(0, _NOISE, (size[1], size[0], 3))
    file = BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()
