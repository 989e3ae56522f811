"""One saved step: where its tensors are, and what can be told of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np

from train.debug.events import decode, wall_time
from train.debug.rules.base import Array

REDUCTIONS: Final = "smdebug/reductions/"
Place = tuple[str, int, int]
"""An event file, and a record's start and length in it, in bytes."""


class Source(Protocol):
    """Whoever knows the folder."""

    def record(self, place: Place) -> bytes:
        """A record's bytes, fewer if the file is cut off."""

    def belongs(self, name: str, collection: str) -> bool:
        """Whether a tensor is part of a collection."""


@dataclass
class _Saved:
    """Where one tensor of a step is. reductions: by (kind, absolute)."""

    whole: Place | None = None
    shape: tuple[int, ...] | None = None
    reductions: dict[tuple[str, bool], Place] = field(default_factory=dict)


class SavedStep:
    """One saved step, whose tensors are read when they are asked for. See rules.base.Step."""

    def __init__(self, source: Source, number: int, indices: list[dict[str, Any]]) -> None:
        """indices: the contents of its index files, one a worker; where workers saved the same, the first counts."""
        self.number = number
        meta = indices[0]["meta"]
        self.mode = str(meta["mode"]).strip()
        self.mode_step = int(meta["mode_step"])
        self._source = source
        self._saved: dict[str, _Saved] = {}
        self._reduced: dict[tuple[str, str, bool], float | None] = {}
        for index in indices:
            self._add(index)

    def _add(self, index: dict[str, Any]) -> None:
        file = index["meta"].get("event_file_name", "")
        for entry in index.get("tensor_payload") or ():
            name, place = entry["tensorname"], (file, int(entry["start_idx"]), int(entry["length"]))
            if name.startswith(REDUCTIONS):
                kind, name = name.removeprefix(REDUCTIONS).split("/", 1)
                key = (kind.removeprefix("abs_"), kind.startswith("abs_"))
                self._saved.setdefault(name, _Saved()).reductions.setdefault(key, place)
            else:
                saved = self._saved.setdefault(name, _Saved())
                saved.whole = saved.whole or place
        for entry in index.get("shape_payload") or ():
            self._saved.setdefault(entry["tensorname"], _Saved()).shape = tuple(entry["shape"])

    @cached_property
    def time(self) -> float | None:
        places = [place for each in self._saved.values() for place in (each.whole, *each.reductions.values()) if place]
        last = max(places, key=lambda place: place[1], default=None)
        return None if last is None else wall_time(self._source.record(last))

    def names(self, *collections: str) -> list[str]:
        return sorted(name for name in self._saved if any(self._source.belongs(name, each) for each in collections))

    def matching(self, regex: str) -> list[str]:
        found = re.compile(regex)
        return sorted(name for name in self._saved if found.search(name))

    def value(self, name: str) -> Array | None:
        saved = self._saved.get(name)
        return None if saved is None or saved.whole is None else decode(self._source.record(saved.whole))

    def shape(self, name: str) -> tuple[int, ...] | None:
        saved = self._saved.get(name)
        if saved is None:
            return None
        if saved.shape is not None:
            return saved.shape
        whole = self.value(name)
        return None if whole is None else whole.shape

    def reduction(self, name: str, kind: str, absolute: bool = False) -> float | None:
        key = (name, kind, absolute)
        if key not in self._reduced:
            self._reduced[key] = self._reduce(name, kind, absolute)
        return self._reduced[key]

    def _reduce(self, name: str, kind: str, absolute: bool) -> float | None:
        saved = self._saved.get(name)
        if saved is None:
            return None
        place = saved.reductions.get((kind, absolute))
        if place is not None:
            value = decode(self._source.record(place))
            return None if value is None or value.size != 1 else float(value.reshape(()))
        whole = self.value(name)
        if whole is not None and whole.size and whole.dtype.kind in "fiub":
            return _computed(whole, kind, absolute)
        return self._derived(name, kind, absolute)

    def _derived(self, name: str, kind: str, absolute: bool) -> float | None:
        """What follows exactly from the reductions that were saved."""
        has = self._saved[name].reductions
        if absolute and kind in ("l1", "l2"):
            return self.reduction(name, kind) if (kind, False) in has else None
        if not absolute and kind in ("l1", "l2") and (kind, True) in has:
            return self.reduction(name, kind, absolute=True)
        if kind == "variance" and ("std", absolute) in has:
            return (self.reduction(name, "std", absolute) or 0.0) ** 2
        if kind == "std" and ("variance", absolute) in has:
            return float(np.sqrt(self.reduction(name, "variance", absolute) or 0.0))
        if absolute and {("min", False), ("max", False)} <= has.keys():
            low, high = self.reduction(name, "min"), self.reduction(name, "max")
            return _absolute(kind, low, high, self.reduction(name, "mean"))
        return None


def _absolute(kind: str, low: float | None, high: float | None, mean: float | None) -> float | None:
    if low is None or high is None:
        return None
    if kind == "max":
        return float(np.max(np.abs([low, high])))
    if kind == "mean" and mean is not None and (low >= 0 or high <= 0):
        return abs(mean)
    return None


def _computed(whole: Array, kind: str, absolute: bool) -> float | None:
    numbers: Array = whole.astype(np.float64).ravel()
    if absolute:
        numbers = np.abs(numbers)
    functions: dict[str, Callable[[Any], Any]] = {
        "min": np.min, "max": np.max, "mean": np.mean, "std": np.std, "variance": np.var,
        "l1": lambda x: np.linalg.norm(x, 1), "l2": np.linalg.norm,
    }  # fmt: skip
    with np.errstate(all="ignore"):  # what isn't finite stays so
        return float(functions[kind](numbers)) if kind in functions else None
