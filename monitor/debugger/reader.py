"""Tensors as smdebug saved them, step by step, while they are still being written or long after."""

import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from contract.errors import TensorsError
from monitor.debugger._smdebug import (
    LocalTrial,
    ReadObjectRequest,
    S3Handler,
    S3Trial,
    has_training_ended,
    is_s3,
)
from monitor.debugger.events import decode, wall_time
from monitor.debugger.rules.base import Array

REDUCTIONS: Final = "smdebug/reductions/"
RecordLocation = tuple[str, int, int]
"""An event file, and a record's start and length in it, in bytes."""


class Source(Protocol):
    """Whoever knows the folder."""

    def record(self, place: RecordLocation) -> bytes:
        """A record's bytes, fewer if the file is cut off."""

    def belongs(self, name: str, collection: str) -> bool:
        """Whether a tensor is part of a collection."""


@dataclass
class _Saved:
    """Where one tensor of a step is. reductions: by (kind, absolute)."""

    whole: RecordLocation | None = None
    shape: tuple[int, ...] | None = None
    reductions: dict[tuple[str, bool], RecordLocation] = field(default_factory=dict)


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


# What belongs to a collection where the collections file doesn't say: names of PyTorch, MXNet and TensorFlow hooks.
FALLBACK: Final = {
    "weights": r"^(?!gradient).*(weight|kernel)",
    "biases": r"^(?!gradient).*bias",
    "gradients": r"^gradient",
    "losses": r"[Ll]oss(?!.*_input_)",
    "labels": r"^labels",
    "predictions": r"^predictions",
    "input_means": r"^input_means",
    "update_ratios": r"^update_ratio/",
    "relu_active_share": r"^relu_active_share/",
    "relu_activations": r"(?i)relu\d*_(input|output)",
}
# Tensors of Kennel's own hook that hold a parameter's name, which the patterns of other collections would match.
OWN: Final = ("update_ratio/", "relu_active_share/")
_GIVE: Final = "give the folder, or s3:// URL, that smdebug wrote to: it holds collections, events and index"


@dataclass(frozen=True)
class Collection:
    """Which tensors belong together: by name, or by regular expressions that match somewhere in the name."""

    names: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()


class Tensors:
    """A folder or s3:// URL of saved tensors. collections, notes: what was known at the last poll.

    Raises TensorsError, in one sentence, where there are none (yet).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.collections: dict[str, Collection] = {}
        self.notes: list[str] = []
        self._remote = self.path.startswith("s3://")
        if not self._remote and not Path(self.path).is_dir():
            raise TensorsError(f"{self.path} holds no saved tensors: there is no such folder; {_GIVE}")
        try:
            self._trial = open_trial(self.path)
            self._read_collections()
            found = bool(self.collections) or bool(self._index_files())
        except Exception as error:  # noqa: BLE001 - boto3 and smdebug raise a dozen kinds
            raise TensorsError(f"{self.path} can't be read ({error}); {_GIVE}") from None
        if not found:
            raise TensorsError(f"{self.path} holds no saved tensors: no collections and no index in it; {_GIVE}")
        self._seen: set[str] = set()
        self._waiting: dict[int, dict[str, dict[str, Any]]] = {}  # step -> worker's index file -> its content
        self._last = -1
        self._members: dict[tuple[str, str], bool] = {}
        self._files: dict[str, bytes] = {}

    @property
    def ended(self) -> bool:
        """Whether the writer marked that it was done; not all do."""
        return training_has_ended(self.path)

    def poll(self, final: bool = False) -> list[SavedStep]:
        """The steps that became complete since the last call, ascending. Never waits.

        A step is complete when all workers have written it, or a later one; or, final, when no more will come.
        """
        new = [file for file in self._index_files() if file not in self._seen]
        if new:
            self._read_collections()
            self._members.clear()
        for file in new:
            self._read_index(file, final)
        workers = max(1, int(self._trial.num_workers))
        whole = [step for step, files in self._waiting.items() if len(files) >= workers and self._has_events(files)]
        last = max(whole, default=-1)
        if final or (new and self.ended):
            last = max(self._waiting, default=-1)
        return [step for number in sorted(self._waiting) if number <= last for step in self._take(number)]

    def _take(self, number: int) -> list[SavedStep]:
        files = self._waiting.pop(number)
        usable = [files[name] for name in sorted(files) if self._has_events({name: files[name]})]
        if number <= self._last:
            self.notes.append(f"step {number} came after step {self._last} and isn't judged")
            return []
        if not usable:
            self.notes.append(f"step {number} isn't judged: its event file is missing")
            return []
        self._last = number
        return [SavedStep(self, number, usable)]

    def _read_index(self, file: str, final: bool) -> None:
        try:
            content = json.loads(self._read(file))
            step = int(os.path.basename(file).split("_", 1)[0])  # noqa: PTH119 - an object's key as well
            content["meta"]["mode"], content["meta"]["mode_step"]
        except (OSError, ValueError, KeyError, TypeError):
            if final:  # until then it may still be on its way
                self.notes.append(f"{file} isn't an intact index file")
                self._seen.add(file)
            return
        self._seen.add(file)
        self._waiting.setdefault(step, {})[file] = content

    def _has_events(self, files: dict[str, dict[str, Any]]) -> bool:
        named = [each["meta"].get("event_file_name") for each in files.values()]
        return self._remote or all(name is None or Path(self.path, name).exists() for name in named)

    def _index_files(self) -> list[str]:
        found = self._trial.index_reader.list_index_files()
        if self._remote:
            bucket = self._trial.bucket_name
            return sorted(f"s3://{bucket}/{key}" for key in found[0] if key.endswith(".json"))
        return sorted(found)

    def _read_collections(self) -> None:
        """Names join a collection while training runs."""
        files = sorted(self._trial._get_collection_files())
        if self._remote:
            files = [f"s3://{self._trial.bucket_name}/{key}" for key in files]
        merged: dict[str, Collection] = {}
        for file in files:
            try:
                content = json.loads(self._read(file))
                self._trial.num_workers = int(content["_meta"]["num_workers"])
                entries = content["collections"].items()
            except (OSError, ValueError, KeyError, TypeError):
                continue  # half written: the next call reads it again
            for name, entry in entries:
                old = merged.get(name, Collection())
                patterns = entry.get("include_regex") or ()
                merged[name] = Collection(
                    old.names | frozenset(entry.get("tensor_names") or ()),
                    tuple(dict.fromkeys((*old.patterns, *patterns))),
                )
        self.collections = merged

    def belongs(self, name: str, collection: str) -> bool:
        """Whether a tensor is part of a collection: by the collections file, else by the names hooks give."""
        key = (name, collection)
        if key not in self._members:
            self._members[key] = self._belongs(name, collection)
        return self._members[key]

    def _belongs(self, name: str, collection: str) -> bool:
        known = self.collections.get(collection, Collection())
        if name in known.names:
            return True
        own = name.startswith(OWN)
        patterns = known.patterns or (() if known.names else (FALLBACK.get(collection, "(?!)"),))
        if own:
            patterns = (FALLBACK[collection],) if collection in ("update_ratios", "relu_active_share") else ()
        return any(_matches(pattern, name) for pattern in patterns)

    def record(self, place: RecordLocation) -> bytes:
        """A record's bytes, fewer if the file is cut off. An event file is read once, not once a tensor."""
        file, start, length = place
        if file not in self._files:
            while len(self._files) > 8:  # the workers of a step, or so
                self._files.pop(next(iter(self._files)))
            full = f"{self.path.rstrip('/')}/{file}"
            try:
                self._files[file] = self._read(full)
            except OSError:
                self.notes.append(f"{full} can't be read")
                self._files[file] = b""
        return self._files[file][start : start + length]

    def _read(self, file: str) -> bytes:
        if not self._remote:
            return Path(file).read_bytes()
        content = read_object(file)
        if content is None:
            raise OSError(f"{file} can't be read")
        return content


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return False  # somebody's collections file; smdebug itself could not have saved by it


class _Unread:
    """smdebug opens a trial by waiting, for ever if need be, for the collections of all workers, and then keeps the
    place of every tensor of every step.
    """

    num_workers: int

    def _load_collections(self) -> None:
        self.num_workers = 1

    def refresh_data(self) -> None:
        pass


class _Local(_Unread, LocalTrial):  # type: ignore[misc]  # smdebug is untyped
    pass


class _Remote(_Unread, S3Trial):  # type: ignore[misc]
    pass


def open_trial(path: str) -> Any:
    """The trial of a folder or an s3:// URL; none of its files is read yet."""
    logger = logging.getLogger("smdebug")
    logger.setLevel(max(logger.level, logging.WARNING))  # "Loading trial ..." is nobody's news
    remote, bucket, prefix = is_s3(path)
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return _Remote(name, bucket, prefix) if remote else _Local(name, path)


def training_has_ended(path: str) -> bool:
    """Whether smdebug's end file is there. None is written where TRAINING_JOB_NAME is set."""
    return bool(has_training_ended(path))


def read_object(url: str) -> bytes | None:
    """The content of an s3:// URL; None if there is no such object."""
    content: bytes | None = S3Handler.get_object(ReadObjectRequest(url))
    return content
