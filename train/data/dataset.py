"""Splits of images over one list of classes, with a report of what was left out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.data.sources import Source


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and the index of its class. name: class/file, for people, unique in the split."""

    source: Source
    label: int
    name: str

    def encoded(self) -> bytes | Path:
        """What `model.preprocess.decode` takes: the file, or its bytes.

        Raises OSError when it is gone, ImageError when its archive is damaged here.
        """
        return self.source.encoded()


@dataclass(frozen=True)
class Split:
    """The usable images of one role (train, valid or test), ordered by class and file name.

    where: the folder or archive they come from, for people.
    """

    role: str
    samples: tuple[Sample, ...]
    where: str = ""

    def name(self, sample: Sample) -> str:
        """The sample's name in the split, with forward slashes: class/file."""
        return sample.name

    def reader(self) -> Callable[[str], bytes | Path]:
        """Gives an image by its name, as bytes or a file. Raises KeyError for other names, OSError without its file."""
        samples = {self.name(sample): sample for sample in self.samples}
        return lambda name: samples[name].encoded()


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
