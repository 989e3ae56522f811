"""Make the sample data set: pictures of invented dog breeds in train, valid and test class folders.

python -m examples.sample_data DIR
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from examples.breeds import BREEDS
from examples.drawing import draw
from examples.pool import available_cpus, run_all

SPLITS = ("train", "valid", "test")
DEFAULT_COUNTS: Mapping[str, int] = {"train": 120, "valid": 20, "test": 30}
DEFAULT_SIZE = 256
MOST_PER_CLASS = 9999
MARKER = ".sample_data.json"
SCRATCH = ".sample_data_unfinished"
DRAWING = 1  # raise it when pictures change, so that an older set is never taken for a new one


class SampleDataError(Exception):
    """The data set can't be made; the message is one sentence for the user."""


@dataclass(frozen=True)
class Picture:
    """One file to draw: its place in the set decides its chance, whatever process draws it."""

    seed: int
    split: int
    breed: int
    index: int
    size: int

    @property
    def path(self) -> Path:
        """Relative to the data set's folder; no two files of a set share a name."""
        breed = BREEDS[self.breed]
        number = self.split * (MOST_PER_CLASS + 1) + self.index + 1
        return Path(SPLITS[self.split], breed.folder, f"{breed.name}_{number:05d}.jpg")

    def draw(self) -> bytes:
        """The JPEG file."""
        rng = np.random.default_rng([self.seed, self.split, self.breed, self.index])
        return draw(BREEDS[self.breed], self.size, rng)


def make(
    folder: Path | str,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    size: int = DEFAULT_SIZE,
    workers: int | None = None,
    quiet: bool = True,
) -> int:
    """Write the set to `folder` and return how many pictures had to be drawn (0: it was there already).

    `counts` maps train, valid, test to pictures per class (a split left out gets its default, 0 makes none);
    `size` is the usual length of a side in pixels. The same arguments give the same bytes for any number of
    `workers`. An interrupted set is completed. Raises SampleDataError for bad values and for a folder that
    holds anything else.
    """
    folder = Path(folder)
    counts = {**DEFAULT_COUNTS, **(counts or {})}
    _check(seed, counts, size, workers)
    arguments = {"drawing": DRAWING, "seed": seed, "size": size, **{split: counts[split] for split in SPLITS}}
    wanted = [
        Picture(seed, split, breed, index, size)
        for split, name in enumerate(SPLITS)
        for breed in range(len(BREEDS))
        for index in range(counts[name])
    ]
    finished = _inspect(folder, arguments, {str(picture.path) for picture in wanted})
    missing = [picture for picture in wanted if not (folder / picture.path).exists()]
    if finished and not missing:
        return 0
    try:
        (folder / SCRATCH).mkdir(parents=True, exist_ok=True)
        _mark(folder, arguments, complete=False)
        for parent in {folder / picture.path.parent for picture in wanted}:
            parent.mkdir(parents=True, exist_ok=True)
        jobs = [(folder, picture) for picture in missing]
        run_all(_draw_one, jobs, workers or available_cpus(), None if quiet else "drawing dogs")
        with suppress(OSError):
            (folder / SCRATCH).rmdir()
        _mark(folder, arguments, complete=True)
    except OSError as error:
        raise SampleDataError(
            f"can't write the sample data to {folder}: {error.strerror or error}; "
            "choose a folder that can be written to, with room for it"
        ) from None
    return len(missing)


def _check(seed: int, counts: Mapping[str, int], size: int, workers: int | None) -> None:
    unknown = sorted(set(counts) - set(SPLITS))
    if unknown:
        raise SampleDataError(f"there is no split {unknown[0]!r}; choose from train, valid and test")
    if seed < 0:
        raise SampleDataError(f"seed is {seed}; give a whole number from 0 up")
    for split in SPLITS:
        least = 1 if split == "train" else 0
        if not least <= counts[split] <= MOST_PER_CLASS:
            raise SampleDataError(f"{split} is {counts[split]} pictures per class; give {least} to {MOST_PER_CLASS}")
    if not 64 <= size <= 1024:
        raise SampleDataError(f"size is {size} pixels; give 64 to 1024")
    if workers is not None and workers < 1:
        raise SampleDataError(f"workers is {workers}; give 1 or more processes")


def _inspect(folder: Path, arguments: Mapping[str, int], expected: set[str]) -> bool:
    """Whether the folder already holds the finished set; SampleDataError if it holds something else."""
    if folder.exists() and not folder.is_dir():
        raise SampleDataError(f"{folder} is a file; give a folder for the sample data")
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if not there:
        return False
    way_out = "choose an empty folder or delete this one first"
    if MARKER not in there:
        raise SampleDataError(f"{folder} holds files that are not sample data (such as {min(there)}); {way_out}")
    try:
        marker = json.loads((folder / MARKER).read_text())
        found, complete = dict(marker["arguments"]), bool(marker["complete"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SampleDataError(f"{folder / MARKER} can't be read; {way_out}") from None
    if found != dict(arguments):
        other = ", ".join(
            f"{name} {found.get(name)} and not {value}" for name, value in arguments.items() if found.get(name) != value
        )
        raise SampleDataError(f"{folder} holds another sample data set ({other}); {way_out}")
    for split in SPLITS:
        for path in sorted((folder / split).rglob("*")):
            if not path.is_dir() and str(path.relative_to(folder)) not in expected:
                raise SampleDataError(f"{path} is not part of the sample data; move it away or {way_out}")
    return complete


def _mark(folder: Path, arguments: Mapping[str, int], complete: bool) -> None:
    _write(folder, Path(MARKER), json.dumps({"arguments": dict(arguments), "complete": complete}).encode())


def _write(folder: Path, path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    (folder / SCRATCH).mkdir(exist_ok=True)
    scratch = folder / SCRATCH / f"{os.getpid()}-{path.name}"
    scratch.write_bytes(content)
    scratch.replace(folder / path)
    if path.name == MARKER:
        with suppress(OSError):
            (folder / SCRATCH).rmdir()


def _draw_one(job: tuple[Path, Picture]) -> None:
    folder, picture = job
    _write(folder, picture.path, picture.draw())


def _stop(*_: object) -> None:
    raise SystemExit(143)


def contact_sheet(file: Path | str, seed: int = 0, columns: int = 6, tile: int = 132) -> None:
    """Write a JPEG with a row of pictures of each breed; the first ones of the default training set."""
    pad = 4
    sheet = Image.new("RGB", (columns * (tile + pad) + pad, len(BREEDS) * (tile + pad) + pad), (250, 250, 248))
    for row in range(len(BREEDS)):
        for column in range(columns):
            content = Picture(seed, 0, row, column, DEFAULT_SIZE).draw()
            picture = Image.open(BytesIO(content))
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            square = picture.crop((left, top, left + side, top + side)).resize((tile, tile), Image.Resampling.LANCZOS)
            sheet.paste(square, (pad + column * (tile + pad), pad + row * (tile + pad)))
    try:
        sheet.save(file, "JPEG", quality=76, optimize=True)
    except OSError as error:
        raise SampleDataError(
            f"can't write the contact sheet {file}: {error.strerror or error}; choose another file"
        ) from None


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.sample_data",
        description="Draw pictures of six invented dog breeds into DIR/train, DIR/valid and DIR/test.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="where to write; new, empty, or this very set")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other dogs (default 0)")
    for split in SPLITS:
        parser.add_argument(
            f"--{split}",
            type=int,
            default=DEFAULT_COUNTS[split],
            metavar="N",
            help=f"pictures per breed for {split} (default {DEFAULT_COUNTS[split]})",
        )
    parser.add_argument(
        "--size",
        type=int,
        default=DEFAULT_SIZE,
        metavar="PX",
        help=f"usual length of a side in pixels, 64 to 1024 (default {DEFAULT_SIZE})",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes to draw with (default: one per CPU)")
    parser.add_argument(
        "--contact-sheet", type=Path, metavar="FILE", help="also write one JPEG with some of each breed"
    )
    options = parser.parse_args(argv)
    counts = {split: getattr(options, split) for split in SPLITS}
    signal.signal(signal.SIGTERM, _stop)
    try:
        drawn = make(options.folder, options.seed, counts, options.size, options.workers, quiet=False)
        if options.contact_sheet:
            contact_sheet(options.contact_sheet, options.seed)
    except SampleDataError as error:
        print(f"error: {error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here.", file=sys.stderr)
        return 130
    total = sum(counts.values()) * len(BREEDS)
    outcome = "drawn" if drawn == total else f"there, {drawn} of them newly drawn" if drawn else "already there"
    print(f"{options.folder}: {total} pictures of {len(BREEDS)} breeds {outcome} (seed {options.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
