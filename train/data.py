"""Finds the images: channels and folders -> splits of (file, class), with a report of what was left out."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model.errors import DataError, ImageError
from model.machine import available_cpus
from model.preprocess import decode
from train.progress import Progress

ROLES: Final = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
EXPECTED: Final = "expected one folder a class, like train/beagle/photo.jpg"


@dataclass(frozen=True)
class Sample:
    """One image and the index of its class."""

    path: Path
    label: int

    def encoded(self) -> bytes | Path:
        """What `model.preprocess.decode` takes: the file, or its bytes. Raises OSError when it is gone."""
        return self.path


@dataclass(frozen=True)
class Split:
    """The usable images of one role (train, valid or test), ordered by class and file name."""

    role: str
    root: Path
    samples: tuple[Sample, ...]

    def name(self, sample: Sample) -> str:
        """The sample's path relative to the split, with forward slashes: class/file."""
        return sample.path.relative_to(self.root).as_posix()


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class DataSet:
    """The splits by role, over one list of classes, and what was noticed on the way."""

    classes: tuple[str, ...]
    splits: dict[str, Split]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def report(self) -> dict[str, Any]:
        """Counts by split and class, skipped files with their reasons, notes: JSON-ready."""
        counts = {
            role: Counter(self.classes[sample.label] for sample in split.samples) for role, split in self.splits.items()
        }
        return {
            "classes": list(self.classes),
            "images": {role: len(split.samples) for role, split in self.splits.items()},
            "images_by_class": {role: {c: count[c] for c in self.classes} for role, count in counts.items()},
            "skipped_count": len(self.skipped),
            "skipped": [{"file": each.file, "reason": each.reason} for each in self.skipped],
            "notes": list(self.notes),
        }


def find_roles(channels: Mapping[str, Path]) -> dict[str, Path]:
    """The folder of each role: channels named train, valid(ation), test, or one that holds such folders.

    Channels of other names are left alone (one may carry pretrained weights). Raises DataError when there is
    no training data or two folders claim one role.
    """
    roles: dict[str, Path] = {}
    for name, folder in channels.items():
        if name.lower() in ROLES:
            _claim(roles, ROLES[name.lower()], folder)
    nested = [folder for folder in channels.values() if _holds_roles(folder)]
    if nested and (len(channels) == 1 or set(roles) <= {"train"}):
        roles = {}
        for child in sorted(nested[0].iterdir()):
            if child.is_dir() and child.name.lower() in ROLES:
                _claim(roles, ROLES[child.name.lower()], child)
    if not roles and len(channels) == 1:
        # A single channel needs no special name.
        roles["train"] = next(iter(channels.values()))
    if "train" not in roles:
        found = ", ".join(sorted(channels)) or "none"
        raise DataError(f"there is no training data: channels found: {found}; give a channel named train ({EXPECTED})")
    return roles


def _claim(roles: dict[str, Path], role: str, folder: Path) -> None:
    if role in roles:
        raise DataError(f"both {roles[role].name} and {folder.name} are {role} data; keep one of the two")
    roles[role] = folder


def _holds_roles(folder: Path) -> bool:
    """Whether `folder` holds a train folder that isn't just a class of that name, among ships and planes."""
    children = _folders(folder) if folder.is_dir() else []
    train = [child for child in children if ROLES.get(child.name.lower()) == "train"]
    return any(_folders(each) for each in train) or (
        bool(train) and all(child.name.lower() in ROLES for child in children)
    )


def _folders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted, without hidden ones and what macOS leaves in a zip file."""
    names = sorted(child for child in folder.iterdir() if not child.name.startswith((".", "__MACOSX")))
    return [child for child in names if child.is_dir()]


def unused_channels(channels: Mapping[str, Path], roles: Mapping[str, Path]) -> list[str]:
    """Names of the channels that no role's folder is in."""
    used = {parent for folder in roles.values() for parent in (folder, *folder.parents)}
    return [name for name, folder in channels.items() if folder not in used]


def load_data(roles: Mapping[str, Path], progress: Progress, classes: Sequence[str] | None = None) -> DataSet:
    """Find and check every image below the roles' folders (role -> folder of class folders).

    Every file is decoded once; those that can't be are left out and reported. The classes are the training
    folders' names, sorted, or `classes` when given. Raises DataError when a folder isn't laid out in classes,
    a class has no readable image left, or a class was never trained on.
    """
    roles = {role: roles[role] for role in ("train", "valid", "test") if role in roles}
    found = {role: _class_files(role, folder) for role, folder in roles.items()}
    names = tuple(classes) if classes is not None else tuple(found["train"])
    if len(names) < 2:
        raise DataError(f"{roles['train']} holds one class ({names[0]}), a classifier needs at least two; {EXPECTED}")
    for role, files in found.items():
        if unknown := sorted(set(files) - set(names)):
            raise DataError(
                f"{role} data: the training data has no class for {len(unknown)} of its folders "
                f"({', '.join(unknown[:5])}); move or rename them"
            )
    todo = [(role, name, file) for role, files in found.items() for name in names for file in files.get(name, [])]
    reasons = _check(todo, progress)
    skipped = tuple(
        Skipped(f"{role}/{file.relative_to(roles[role]).as_posix()}", reason)
        for (role, _, file), reason in zip(todo, reasons, strict=True)
        if reason is not None
    )
    index = {name: number for number, name in enumerate(names)}
    good: dict[str, list[Sample]] = {role: [] for role in roles}
    for (role, name, file), reason in zip(todo, reasons, strict=True):
        if reason is None:
            good[role].append(Sample(file, index[name]))
    splits = {role: Split(role, roles[role], tuple(samples)) for role, samples in good.items()}
    notes = _check_classes(found, splits, names, skipped)
    return DataSet(names, splits, skipped, tuple(notes))


def _class_files(role: str, folder: Path) -> dict[str, list[Path]]:
    """Class name -> its files, both sorted. Hidden files and folders are no part of a data set."""
    if not folder.is_dir():
        raise DataError(f"{role} data: there is no folder {folder}; {EXPECTED}")
    classes = _folders(folder)
    if not classes:
        files = sum(1 for child in folder.iterdir() if not child.name.startswith("."))
        raise DataError(f"{role} data: {folder} holds {files} files and no folders; {EXPECTED}")
    return {child.name: _files_below(child) for child in classes}


def _files_below(folder: Path) -> list[Path]:
    files = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent) / name for name in names if not name.startswith(".")]
    return sorted(files)


def _check(todo: Sequence[tuple[str, str, Path]], progress: Progress) -> list[str | None]:
    """Why each file can't be used; None where it can. Pillow decodes outside Python's lock, so threads do."""
    reasons: list[str | None] = []
    with ThreadPoolExecutor(available_cpus()) as pool:
        for reason in pool.map(_fault, (file for _, _, file in todo)):
            reasons.append(reason)
            progress.update("checking images", len(reasons), len(todo), "images")
    return reasons


def _fault(file: Path) -> str | None:
    try:
        if file.stat().st_size == 0:
            return "empty file"
        # Smallest scale: truncation and corruption show all the same, at a fraction of the cost.
        decode(file, min_size=8)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return None


def _check_classes(
    found: Mapping[str, Mapping[str, list[Path]]],
    splits: Mapping[str, Split],
    classes: Sequence[str],
    skipped: Sequence[Skipped],
) -> list[str]:
    notes = []
    for role, split in splits.items():
        present = {sample.label for sample in split.samples}
        lost = [name for number, name in enumerate(classes) if number not in present]
        if not lost:
            continue
        emptied = [name for name in lost if name in found[role]]
        if role == "train" or not split.samples:
            name = (emptied or lost)[0]
            first = next((each for each in skipped if each.file.startswith(f"{role}/{name}/")), None)
            why = f" (for example {first.file}: {first.reason})" if first else ""
            files = len(found[role].get(name, []))
            raise DataError(
                f"{role} data: class {name} has no readable image among its {files} files{why}; "
                "put images in that folder or remove it"
            )
        notes.append(f"{role} data has no image of {len(lost)} classes: {', '.join(lost[:5])}")
    if skipped:
        kinds = Counter(each.file.split("/", 1)[0] for each in skipped)
        notes.append("skipped unreadable files: " + ", ".join(f"{n} in {role}" for role, n in kinds.items()))
    return notes
