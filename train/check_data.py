"""`python -m train.check_data --data DIR`: what training would find in a data set, without training."""

import argparse
import sys
from pathlib import Path

from contract.command import run_command
from contract.files import write_json
from contract.progress import Progress
from train.data.dataset import DataSet
from train.data.load import load_data
from train.data.splits import resolve_splits

HELP_DATA = "folder with train/, valid/, test/, with class folders, archives or a manifest; or an archive"


def main() -> None:
    """Print the table of classes and splits. Raises DataError for data that couldn't be trained on."""
    parser = argparse.ArgumentParser(prog="python -m train.check_data", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help=HELP_DATA)
    parser.add_argument("--json", type=Path, help="where the report goes")
    parser.add_argument("--progress", type=Path, help="file to which the progress is written")
    arguments = parser.parse_args()
    data = load_data(resolve_splits({"data": arguments.data}), Progress(arguments.progress))
    if arguments.json:
        write_json(arguments.json, data.report())
    _print(data)


def _print(data: DataSet) -> None:
    report = data.report()
    splits = list(data.splits)
    width = max(len(name) for name in (*data.classes, "images"))
    print(f"{'class':<{width}}" + "".join(f"{split:>8}" for split in splits))
    for name in data.classes:
        print(f"{name:<{width}}" + "".join(f"{report['images_by_class'][split][name]:>8}" for split in splits))
    print(f"{'images':<{width}}" + "".join(f"{report['images'][split]:>8}" for split in splits))
    for note in data.notes:
        print(note)
    for skipped in data.skipped:
        print(f"skipped {skipped.file}: {skipped.reason}")


if __name__ == "__main__":
    sys.exit(run_command(main))
