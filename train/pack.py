"""`python -m train.pack --data DIR --out FOLDER`: one plain tar a split, for quick reading over a network."""

import argparse
import sys
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from contract.command import run_command
from contract.errors import DataError, ImageError
from contract.files import open_atomic
from train.check_data import HELP_DATA
from train.data.dataset import Sample
from train.data.load import find_images
from train.data.splits import resolve_splits


def main() -> None:
    """Write FOLDER/SPLIT/SPLIT.tar with class folders in it; the same photos give the same bytes.

    Raises DataError when the data can't be understood or read, a class can't be a folder's name, or a tar is there.
    """
    parser = argparse.ArgumentParser(prog="python -m train.pack", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help=HELP_DATA)
    parser.add_argument("--out", type=Path, required=True, help="where train/train.tar and the others go")
    arguments = parser.parse_args()
    images = find_images(resolve_splits({"data": arguments.data}))
    if bad := [name for name in images.classes if "/" in name or name.startswith(".")]:
        raise DataError(f"class {bad[0]} can't be a folder's name; rename it")
    files = {split: arguments.out / split / f"{split}.tar" for split in images.samples}
    if there := [str(file) for file in files.values() if file.exists()]:
        raise DataError(f"{there[0]} is there already; remove it or choose another --out")
    for split, samples in images.samples.items():
        pack(samples, files[split])
        print(f"{files[split]}: {len(samples)} images, {files[split].stat().st_size} bytes")
    for split, listing in images.listings.items():
        for file, why in listing.left_out:
            print(f"left out {split}/{file}: {why}")


def pack(samples: Sequence[Sample], file: Path) -> None:
    """Write the samples as they are, undecoded, under their names. No owner and no time: it depends on them alone."""
    with open_atomic(file, durable=False) as opened, tarfile.open(fileobj=opened, mode="w") as tar:
        for sample in samples:
            content = _content(sample)
            entry = tarfile.TarInfo(sample.name)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, BytesIO(content))


def _content(sample: Sample) -> bytes:
    try:
        data = sample.encoded()
        return data.read_bytes() if isinstance(data, Path) else data
    except OSError as error:
        raise DataError(f"{sample.name} can't be read ({error.strerror}); repair or remove it") from error
    except ImageError as error:
        raise DataError(f"{sample.name}: {error}") from error


if __name__ == "__main__":
    sys.exit(run_command(main))
