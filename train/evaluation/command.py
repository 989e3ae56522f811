"""What `train.evaluate` and `train.compare` share: their options, the images, one artifact's answers."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from contract.errors import ConfigError
from contract.progress import Progress
from model.artifact import Artifact
from model.machine import available_cpus
from model.metrics import Evaluation
from model.threads import use_threads
from model.weights import load_network
from train.data.dataset import DataSet, Split
from train.data.load import load_data
from train.data.roles import pick_split
from train.device import choose_device
from train.evaluation.result import evaluate
from train.loader import Images, Loader
from train.order import EpochOrder


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    parser.add_argument("--artifact", type=Path, required=True, help="folder that train wrote, or its model.tar.gz")
    parser.add_argument(
        "--data", type=Path, required=True, help="class folders or archives, or a folder with test/ or valid/"
    )
    parser.add_argument("--json", type=Path, required=True, help="where the report goes; the page goes beside it")
    parser.add_argument("--split", choices=["train", "valid", "test"], help="default: test, else valid, else all")
    parser.add_argument("--batch-size", type=_positive, default=32)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--progress", type=Path, help="file that tells how far it has come")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def page_beside(report: Path) -> Path:
    """The page's file beside the report's: evaluation.html beside evaluation.json. Raises ConfigError for .html."""
    page = report.with_suffix(".html")
    if page == report:
        raise ConfigError(f"--json {report} is where the page would go; give the report a name that ends in .json")
    return page


@dataclass(frozen=True)
class Measurement:
    """The images to measure on, and how."""

    data: DataSet
    split: Split
    device: torch.device
    batch_size: int

    @classmethod
    def prepare(cls, arguments: argparse.Namespace, artifact: Artifact) -> "Measurement":
        """Find and check the images. Raises UserError for what the user can mend."""
        device = choose_device(arguments.device)
        use_threads(available_cpus())
        role, place = pick_split(arguments.data, arguments.split)
        data = load_data({role: place}, Progress(arguments.progress), artifact.classes)
        return cls(data, data.splits[role], device, arguments.batch_size)

    @property
    def files(self) -> list[str]:
        """The images' names, in order."""
        return [self.split.name(sample) for sample in self.split.samples]

    def of(self, artifact: Artifact) -> Evaluation:
        """What the artifact answers, at its own temperature. Raises ArtifactError when its weights don't fit."""
        images = Images(self.split.samples, artifact.preprocess, None, seed=0)
        loader = Loader(images, EpochOrder(len(images), self.batch_size), workers=0, pin=False)
        answered = evaluate(load_network(artifact).to(self.device), loader, self.device)
        return replace(answered, temperature=artifact.temperature)

    def facts(self) -> dict[str, Any]:
        """What the reports say of the data."""
        return {
            "data": self.split.where,
            "skipped": self.data.report()["skipped"],
            "notes": list(self.data.notes),
        }
