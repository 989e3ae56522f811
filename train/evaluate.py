"""`python -m train.evaluate --artifact DIR --data DIR --json FILE`: how good an artifact is."""

import argparse
import sys
from pathlib import Path

import torch

from model.artifact import Artifact
from model.files import write_json
from model.machine import available_cpus
from model.weights import load_network
from train.cli import run_command
from train.data.dataset import Split
from train.data.load import load_data
from train.data.roles import pick_split
from train.device import choose_device
from train.evaluation import evaluate, evaluation_report
from train.loader import Images, Loader
from train.order import EpochOrder
from train.progress import Progress


def main() -> None:
    """Evaluate and write the report. Raises UserError for what the user can mend."""
    arguments = _arguments()
    artifact = Artifact.load(arguments.artifact)
    device = choose_device(arguments.device)
    torch.set_num_threads(available_cpus())
    role, place = pick_split(arguments.data, arguments.split)
    data = load_data({role: place}, Progress(arguments.progress), artifact.classes)
    split = data.splits[role]
    images = Images(split.samples, artifact.preprocess, None, seed=0)
    loader = Loader(images, EpochOrder(len(images), arguments.batch_size), workers=0, pin=False)
    result = evaluate(load_network(artifact).to(device), loader, device)
    report = evaluation_report(result, _names(split), artifact.classes, artifact.labels)
    facts = {
        "artifact": artifact.id,
        "data": str(place),
        "skipped": data.report()["skipped"],
        "notes": list(data.notes),
    }
    write_json(arguments.json, {**report, **facts})
    for note in data.notes:
        print(f"data: {note}")
    print(
        f"{result.n} images: accuracy {result.accuracy:.4f}, top-5 {result.top_accuracy(5):.4f}, "
        f"macro F1 {result.macro_f1():.4f}, loss {result.loss:.4f}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="folder that train wrote")
    parser.add_argument(
        "--data", type=Path, required=True, help="class folders or archives, or a folder with test/ or valid/"
    )
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument("--split", choices=["train", "valid", "test"], help="default: test, else valid, else all")
    parser.add_argument("--batch-size", type=_positive, default=32)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--progress", type=Path, help="file that tells how far it has come")
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def _names(split: Split) -> list[str]:
    return [split.name(sample) for sample in split.samples]


if __name__ == "__main__":
    sys.exit(run_command(main))
