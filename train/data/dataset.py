"""Splits of images over one list of classes, with a report of what was left out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.data.sources import ImageSource


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and the index of its class. name: class/file, for people, unique in the split."""

    source: ImageSource
    label: int
    name: str

    def encoded(self) -> bytes | Path:
        """What `model.preprocess.decode` takes. Raises OSError when it is gone, ImageError when it is damaged."""
        return self.source.encoded()


@dataclass(frozen=True)
class Split:
    """The usable images of a split, ordered by class and file name.

    name: train, valid or test. where: the folder or archive that they come from, for people.
    """

    name: str
    samples: tuple[Sample, ...]
    where: str = ""

    def reader(self) -> Callable[[str], bytes | Path]:
        """A function that returns the image of a sample's name, as bytes or a file.

        It raises KeyError for an unknown name, OSError when the file is gone.
        """
        samples = {sample.name: sample for sample in self.samples}
        return lambda name: samples[name].encoded()


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class DataSet:
    """The splits by name, over one list of classes, the files that were left out, and notes for people."""

    classes: tuple[str, ...]
    splits: dict[str, Split]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def report(self) -> dict[str, Any]:
        """Counts by split and class, skipped files with their reasons, notes: JSON-ready."""
        counts = {
            name: Counter(self.classes[sample.label] for sample in split.samples) for name, split in self.splits.items()
        }
        return {
            "classes": list(self.classes),
            "images": {name: len(split.samples) for name, split in self.splits.items()},
            "images_by_class": {name: {c: count[c] for c in self.classes} for name, count in counts.items()},
            "skipped_count": len(self.skipped),
            "skipped": [{"file": each.file, "reason": each.reason} for each in self.skipped],
            "notes": list(self.notes),
        }
