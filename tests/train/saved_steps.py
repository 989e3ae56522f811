"""Saved steps made by hand, in place of files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from monitor.debugger.rules.base import Array

# Of debugger-report.json.
DOCUMENT_KEYS = {
    "format", "kennel", "tensors", "outcome", "steps", "last_step", "rules", "trends", "epochs", "steps_per_epoch",
    "hyperparameters", "notes", "settings",
}  # fmt: skip


@dataclass
class Saved:
    """A saved step. tensors: name -> (collection, array)."""

    number: int
    mode: str
    mode_step: int
    tensors: Mapping[str, tuple[str, Array]] = field(default_factory=dict)
    time: float | None = None

    def names(self, *collections: str) -> list[str]:
        return sorted(name for name, (collection, _) in self.tensors.items() if collection in collections)

    def matching(self, regex: str) -> list[str]:
        return sorted(name for name in self.tensors if re.search(regex, name))

    def value(self, name: str) -> Array | None:
        return self.tensors[name][1]

    def shape(self, name: str) -> tuple[int, ...] | None:
        return self.tensors[name][1].shape

    def reduction(self, name: str, kind: str, absolute: bool = False) -> float | None:
        values = self.tensors[name][1].astype(np.float64)
        values = np.abs(values) if absolute else values
        return float(np.mean(values) if kind == "mean" else np.linalg.norm(values))


class Folder:
    """In place of Tensors: what `steps` holds is saved, the rest comes with `more`."""

    steps: ClassVar[list[Saved]] = []
    more: ClassVar[list[Saved]] = []
    broken = ""

    def __init__(self, path: str) -> None:
        self.notes: list[str] = []
        self._new = list(self.steps)

    def poll(self, final: bool = False) -> list[Saved]:
        if self.broken:
            raise ValueError(self.broken)
        found, self._new = self._new, []
        return found + (self.more if final else [])


def losses(*values: float, mode: str = "TRAIN") -> list[Saved]:
    """A step each, every 10th of training."""
    return [
        Saved(2 * index, mode, 10 * index, {"loss": ("losses", np.array(value))}) for index, value in enumerate(values)
    ]
