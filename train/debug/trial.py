"""Tensors as smdebug saved them, step by step, while they are still being written or long after."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.errors import TensorsError
from train.debug.opening import open_trial, read_object, training_has_ended
from train.debug.saved import Place, SavedStep

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
        """Whether the writer said that it was done; not all do."""
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

    def record(self, place: Place) -> bytes:
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
