"""The summary of a transform's lines: a table for spreadsheets, counts, and accuracy where folders are classes."""

import csv
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from backends.errors import BackendError
from backends.transform.results import SUMMARY, TABLE, Results, writing
from contract.files import write_json

MANIFEST: Final = "kennel.json"
# 001.Affenpinscher: an order number; n02085620-Chihuahua: a WordNet synset. Labels are made without them.
_BEFORE: Final = re.compile(r"^(?:\d+[._\-\s]+(?=\D)|n\d{8}[._\-\s]+(?=\S))+")


@dataclass(frozen=True)
class ArtifactInfo:
    """An artifact's manifest, read as a file. id: as in the server's log. sha256: of the manifest itself, which changes
    with everything that changes a result.
    """

    id: str
    sha256: str
    names: tuple[str, ...]
    labels: tuple[str, ...]


def folder_of(file: str) -> str:
    """The name of the folder that a file is in."""
    return os.path.basename(os.path.dirname(os.path.abspath(file)))  # noqa: PTH100, PTH119, PTH120 - a million times


class Truth:
    """Folder names -> classes' labels."""

    def __init__(self, labels: Sequence[str], names: Sequence[str] = ()) -> None:
        """labels: as answers have them. names: of the folders in training, in the same order, where they are known."""
        self._exactly: dict[str, str] = {**{label: label for label in labels}, **dict(zip(names, labels, strict=False))}
        alike: dict[str, set[str]] = {}
        for name, label in self._exactly.items():
            alike.setdefault(_plain(name), set()).add(label)
        self._nearly = {name: next(iter(each)) for name, each in alike.items() if len(each) == 1}

    def label(self, folder: str) -> str | None:
        """The class of a folder of that name: by its exact name, by its label, or by a name that differs only in
        number, case or underscores; None where there is none, or more than one.
        """
        return self._exactly.get(folder) or self._nearly.get(_plain(folder))


def labels_in(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every label that occurs in answers: all that is known of the classes without the artifact."""
    labels = {str(prediction["label"]): None for row in rows for prediction in row.get("predictions", ())}
    return list(labels)


def read_artifact(folder: Path) -> ArtifactInfo:
    """Raises BackendError when its manifest can't be made out."""
    try:
        content = (folder / MANIFEST).read_bytes()
        values = json.loads(content)
        entries = values["classes"]
        names, labels = (tuple(str(entry[key]) for entry in entries) for key in ("name", "label"))
        return ArtifactInfo(str(values["weights"]["sha256"])[:12], hashlib.sha256(content).hexdigest(), names, labels)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f"{folder / MANIFEST} can't be read ({error!r}); copy the artifact's folder again"
        ) from error


def _plain(name: str) -> str:
    return re.sub(r"[_\s]+", " ", _BEFORE.sub("", name)).strip().casefold()


_TOP: Final = 5
# In the summary; all of them are in the table.
_MOST_FAILURES: Final = 20


@dataclass
class Tally:
    """What is counted on the way through all lines. by_class: label -> [images, right ones]."""

    images: int = 0
    failed: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    right: int = 0
    right_in_top: int = 0
    fewest_labels: int = _TOP
    by_class: dict[str, list[int]] = field(default_factory=dict)
    strange_folders: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any], truth: Truth) -> None:
        self.images += 1
        if "error" in row:
            self.failed += 1
            if len(self.failures) < _MOST_FAILURES:
                self.failures.append({"file": row["file"], "error": row["error"]})
            return
        labels = [prediction["label"] for prediction in row["predictions"][:_TOP]]
        folder = folder_of(row["file"])
        if (label := truth.label(folder)) is None:
            # With one folder for each photo there could be a million.
            if len(self.strange_folders) < _MOST_FAILURES or folder in self.strange_folders:
                self.strange_folders[folder] += 1
            return
        self.right += label == labels[0]
        self.right_in_top += label in labels
        self.fewest_labels = min(self.fewest_labels, len(labels))
        counts = self.by_class.setdefault(label, [0, 0])
        counts[0] += 1
        counts[1] += label == labels[0]

    def labelled(self, classes: int) -> dict[str, Any] | None:
        """Accuracy on the images whose folder is a class; None without any. classes: how many there are, 0 if unknown.

        Among five classes or fewer the right one is always in the best five, so that is left out.
        """
        n = sum(images for images, _ in self.by_class.values())
        if not n:
            return None
        top = {"top5_accuracy": self.right_in_top / n} if self.fewest_labels == _TOP and classes != _TOP else {}
        return {
            "n": n, "correct": self.right, "accuracy": self.right / n, **top,
            "classes": {label: {"n": n, "correct": right} for label, (n, right) in sorted(self.by_class.items())},
            "other_folders": dict(self.strange_folders),
        }  # fmt: skip


def conclude(
    results: Results, artifact: ArtifactInfo | None, facts: Mapping[str, Any], labels: Sequence[str]
) -> dict[str, Any]:
    """Read all lines once more, write predictions.csv and summary.json, and return what the latter says.

    labels: of the columns for all probabilities, empty for none. facts: more entries of the summary.
    """
    truth = Truth(artifact.labels, artifact.names) if artifact else Truth(labels_in(results.lines()))
    tally = Tally()
    with writing(results.folder):
        new = results.folder / f".{TABLE}.new"
        # A name that is no UTF-8 is written with escapes, as Python shows it.
        with new.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["file", "label", "probability", "error", *(f"p:{label}" for label in labels)])
            for row in results.lines():
                tally.add(row, truth)
                table.writerows(_cells(row, len(labels)))
        new.replace(results.folder / TABLE)
        summary = {
            **facts, "images": tally.images, "predicted": tally.images - tally.failed, "failed": tally.failed,
            "failures": tally.failures, "labelled": tally.labelled(len(artifact.labels) if artifact else 0),
        }  # fmt: skip
        write_json(results.folder / SUMMARY, summary)
    return summary


def _cells(row: Mapping[str, Any], classes: int) -> Iterator[list[Any]]:
    if "error" in row:
        yield [row["file"], "", "", row["error"], *[""] * classes]
    else:
        best = row["predictions"][0]
        yield [row["file"], best["label"], best["probability"], "", *row.get("probabilities", ())]
