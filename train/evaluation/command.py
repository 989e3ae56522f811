"""What `train.evaluate` and `train.compare` share: options, images, an artifact and its predictions."""

import argparse
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from contract.command import page_beside
from contract.errors import ArtifactError
from contract.files import write_json
from contract.progress import Progress
from model.artifact import Artifact
from model.machine import available_cpus
from model.metrics import Evaluation
from model.threads import use_threads
from model.weights import load_network
from train.data.dataset import DataSet, Split
from train.data.load import load_data
from train.data.splits import pick_split
from train.device import choose_device
from train.evaluation.result import evaluate
from train.loader import EpochOrder, Images, Loader

WritePage = Callable[[Path, dict[str, Any], Callable[[str], bytes | Path]], None]


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
    parser.add_argument("--progress", type=Path, help="file to which the progress is written")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


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
        name, location = pick_split(arguments.data, arguments.split)
        data = load_data({name: location}, Progress(arguments.progress), artifact.classes)
        return cls(data, data.splits[name], device, arguments.batch_size)

    @property
    def files(self) -> list[str]:
        """The images' names, in order."""
        return [sample.name for sample in self.split.samples]

    def of(self, artifact: Artifact) -> Evaluation:
        """The artifact's predictions, at its own temperature. Raises ArtifactError when its weights don't fit."""
        images = Images(self.split.samples, artifact.preprocess, None, seed=0)
        loader = Loader(images, EpochOrder(len(images), self.batch_size), workers=0, pin=False)
        evaluation = evaluate(load_network(artifact).to(self.device), loader, self.device)
        return replace(evaluation, temperature=artifact.temperature)

    def write(self, report: dict[str, Any], file: Path, write_page: WritePage) -> None:
        """Add the facts about the data to the report; write it, and its page beside it; print the data's notes."""
        document = {**report, **self.data.facts(self.split.name)}
        write_page(page_beside(file), document, self.split.reader())
        write_json(file, document)
        for note in self.data.notes:
            print(f"data: {note}")


@contextmanager
def artifact_folder(artifact: Path) -> Iterator[Path]:
    """The folder itself; for an archive a folder with its content, until the block ends.

    Raises ArtifactError for a file that is no archive, or one with anything but plain files and folders below it.
    """
    if not artifact.is_file():
        yield artifact
        return
    with tempfile.TemporaryDirectory(prefix="kennel-artifact-") as scratch:
        try:
            with tarfile.open(artifact, "r:gz") as archive:
                _unpack(archive, artifact, Path(scratch))
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ArtifactError(
                f"{artifact} can't be unpacked ({error}); give an artifact's folder or its model.tar.gz"
            ) from error
        yield Path(scratch)


def _unpack(archive: tarfile.TarFile, artifact: Path, folder: Path) -> None:
    for member in archive:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
            raise ArtifactError(f"{artifact} holds {member.name}, which is no plain file; pack the artifact again")
        target = folder / name
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        content = archive.extractfile(member)
        assert content is not None
        with content, target.open("wb") as file:
            while block := content.read(1 << 20):
                file.write(block)
