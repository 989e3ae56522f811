"""Further invented breeds, drawn at random: photo sets to pretrain on, and to fine-tune on other breeds."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np

from examples.breeds import Breed, Ears, Pattern, Tail
from examples.drawing import draw

SIZE = 96  # pixels, about, of a side


def random_breeds(count: int, seed: int) -> list[Breed]:
    """Breeds with measures from the ranges of the sample data's own; no two share ears, pattern and tail."""
    rng = np.random.default_rng(seed)
    kinds = [(e, p, t) for e in get_args(Ears) for p in get_args(Pattern) for t in get_args(Tail)]
    chosen = rng.permutation(len(kinds))[:count]
    low = (0.36, 0.32, 0.76, -0.15, 0.9, 1.35, 0.80, 0.86, 0.25)
    high = (1.20, 0.60, 1.06, 0.75, 2.2, 2.00, 1.15, 1.10, 1.00)
    return [
        Breed(f"{number:03d}.Breed_{seed}_{number}", *kinds[kind], *(float(value) for value in rng.uniform(low, high)))
        for number, kind in enumerate(chosen, 1)
    ]


def draw_set(folder: Path, breeds: list[Breed], counts: Mapping[str, int | list[int]], seed: int) -> None:
    """FOLDER/SPLIT/CLASS/N.jpg; counts: split -> images of each class, one number or one a class."""
    jobs: list[tuple[Path, Breed, int, int]] = []
    for split, count in counts.items():
        for number, breed in enumerate(breeds):
            (folder / split / breed.folder).mkdir(parents=True, exist_ok=True)
            own = count if isinstance(count, int) else count[number]
            jobs += [(folder / split / breed.folder / f"{i:04d}.jpg", breed, seed, i) for i in range(own)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_draw_one, jobs, chunksize=16))


def _draw_one(job: tuple[Path, Breed, int, int]) -> None:
    file, breed, seed, index = job
    if not file.exists():
        chance = [seed, *file.parent.parent.name.encode(), *breed.folder.encode(), index]
        file.write_bytes(draw(breed, SIZE, np.random.default_rng(chance)))
