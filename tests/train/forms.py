"""The same photos in every form that training reads: archives, WebDataset shards, manifests and lists."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from contract.errors import DataError
from contract.progress import Progress
from train.data.dataset import DataSet
from train.data.load import load_data
from train.data.splits import resolve_splits


def contents(folder: Path) -> dict[str, bytes]:
    """The files below `folder` by relative path, in no good order."""
    files = sorted((file for file in folder.rglob("*") if file.is_file()), reverse=True)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def write_tar(file: Path, members: Mapping[str, bytes], mode: str = "w") -> Path:
    """A tar of these members, in this order; mode: as tarfile.open's, w:gz say."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return file


def write_zip(file: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip of these members, in this order."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file


def write_lines(file: Path, lines: Sequence[object]) -> Path:
    """JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def ground_truth(ref: str, number: int, name: str) -> dict[str, object]:
    """One line as Ground Truth's image classification job `breeds` writes it."""
    about = {
        "class-name": name,
        "confidence": 0.95,
        "type": "groundtruth/image-classification",
        "job-name": "labeling-job/breeds",
        "human-annotated": "yes",
        "creation-date": "2026-10-18T22:18:13.527256",
    }
    return {"source-ref": ref, "breeds": number, "breeds-metadata": about}


def load(**channels: Path) -> DataSet:
    """What training would find in these channels."""
    return load_data(resolve_splits(channels), Progress(None))


def fault(**channels: Path) -> str:
    """The sentence that training would end with."""
    with pytest.raises(DataError) as caught:
        load(**channels)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names(data: DataSet, role: str = "train") -> list[str]:
    """The names of a split's samples, in order."""
    split = data.splits[role]
    return [sample.name for sample in split.samples]
