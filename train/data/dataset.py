"""Splits of images over one list of classes, with a report of what was left out."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
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


def describe_sizes(classes: int, images: Mapping[str, int]) -> str:
    """The number of classes, and of images by split, for people."""
    return f"{classes} classes; images: {', '.join(f'{count} {split}' for split, count in images.items())}"


@dataclass(frozen=True)
class DataSet:
    """The splits by name, over one list of classes, the files that were left out, and notes for people."""

    classes: tuple[str, ...]
    splits: dict[str, Split]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def facts(self, split: str) -> dict[str, Any]:
        """What an evaluation's report says of a split's data, JSON-ready."""
        skipped = [asdict(file) for file in self.skipped if file.file.startswith(f"{split}/")]
        return {"data": self.splits[split].where, "skipped": skipped, "notes": list(self.notes)}

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
            "skipped": [asdict(skipped) for skipped in self.skipped],
            "notes": list(self.notes),
        }
