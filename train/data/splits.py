"""Which data are for training, validation and test: by the channels' names, or by what one channel holds.

Also separates validation images, stratified by class, from data that come without any.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from contract.errors import DataError
from train.data.archives import PLAIN, Index, Member, read_indexes
from train.data.contents import CLASSES_FILE, scan
from train.data.dataset import DataSet, Sample, Split
from train.data.folders import below, without_common_top
from train.data.layouts import DataLocation, lists_in
from train.data.names import EXPECTED

SPLIT_NAMES: Final = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
# AWS's own image classification algorithm takes .lst files in separate channels: train_lst beside train.
_LIST_CHANNEL: Final = "_lst"

Locations = dict[str, DataLocation]  # by split


def _split_of(name: str) -> str | None:
    """The split that a channel or folder of this name holds."""
    return SPLIT_NAMES.get(name.lower())


def resolve_splits(channels: Mapping[str, Path]) -> Locations:
    """Where each split's data are: in channels named train, valid(ation), test, or in one that holds such folders.

    Channels of other names are not used (one may carry pretrained weights), but images that a list names may lie in
    them. Raises DataError when there is no training data, two locations are of one split or an archive can't be read.
    """
    data = {name: folder for name, folder in channels.items() if _listed_split(name) is None}
    splits: Locations = {}
    for name, folder in data.items():
        if split := _split_of(name):
            _add(splits, split, DataLocation(folder))
    if len(data) == 1 or set(splits) <= {"train"}:
        splits = _nested_splits(data, splits)
    for name, folder in channels.items():
        if split := _listed_split(name):
            splits[split] = _with_lists(splits.get(split), name, folder)
    if "train" not in splits:
        names = ", ".join(sorted(channels)) or "none"
        raise DataError(f"there is no training data: channels found: {names}; give a channel named train; {EXPECTED}")
    others = tuple(folder for name, folder in data.items() if not _split_of(name))
    return {split: _with_beside(_own_files(split, location), others) for split, location in splits.items()}


def _nested_splits(data: Mapping[str, Path], splits: Locations) -> Locations:
    """The splits that one channel holds, if one does; else `splits`, a single channel being the training data."""
    for folder in data.values():
        # Archives are opened only where they are certainly training data; another channel's may be anything.
        peek = len(data) == 1 or any(location.path == folder for location in splits.values())
        inside = _splits_in(folder, peek=peek)
        whole = list(inside) == ["train"] and inside["train"] == DataLocation(folder)
        if inside and not (whole and splits and "train" not in splits):
            return inside
    if not splits and len(data) == 1:
        # A single channel needs no special name.
        return {"train": DataLocation(next(iter(data.values())))}
    return splits


def _listed_split(channel: str) -> str | None:
    name = channel.lower()
    return _split_of(name.removesuffix(_LIST_CHANNEL)) if name.endswith(_LIST_CHANNEL) else None


def _with_lists(location: DataLocation | None, name: str, folder: Path) -> DataLocation:
    if location is None:
        images = name.lower().removesuffix(_LIST_CHANNEL)
        raise DataError(f"channel {name} lists images, and no channel {images} holds them; give that channel too")
    files = scan(folder).lists
    if not files:
        raise DataError(f"channel {name} ({folder}) holds no .lst file; put one in, or leave that channel out")
    return DataLocation(location.path, files=files)


def _own_files(split: str, location: DataLocation) -> DataLocation:
    """Without the files of other splits: beside train.lst a channel may hold val.lst, which is no training data."""
    if location.files or location.index is not None:
        return location
    contents = scan(location.path)
    for files in (tuple(lists_in(location, contents)), () if contents.folders else contents.archives):
        named = _by_split(files)
        if split in named and len(named) > 1:
            return replace(location, files=named[split])
    return location


def _with_beside(location: DataLocation, others: tuple[Path, ...]) -> DataLocation:
    """The location with the folders where a list's images may lie; unchanged when it has no list."""
    if location.index is not None or not lists_in(location, scan(location.path)):
        return location
    return replace(location, beside=tuple(folder for folder in (*location.beside, *others) if folder != location.path))


def _add(splits: Locations, split: str, location: DataLocation) -> None:
    if other := splits.get(split):
        raise DataError(f"both {other.path.name} and {location.path.name} are {split} data; keep one of the two")
    splits[split] = location


def _splits_in(path: Path, *, peek: bool) -> Locations:
    """The splits in one folder or archive: folders, archives or lists named by split, or such folders in archives.

    peek: whether archives may be opened. Without a train split of its own the result is empty, unless archives were
    opened: then all is training data, so that they aren't read twice. Raises DataError for one that can't be read.
    """
    contents = scan(path)
    if _holds_splits(contents.folders):
        splits: Locations = {}
        for child in contents.folders:
            if split := _split_of(child.name):
                _add(splits, split, _split_folder(child, contents.folders))
        return splits
    lists = tuple(lists_in(DataLocation(path), contents))
    named = _by_split(lists)
    if "train" not in named:
        if contents.folders or lists:
            return {}
        named = _by_split(contents.archives)
    if "train" in named and (lists or len(named) > 1):
        return {split: DataLocation(path, files) for split, files in named.items()}
    archives = (path,) if path.is_file() else contents.archives
    # The error for a compressed archive is raised when the data are read.
    return _splits_inside(path, archives) if peek and archives else {}


def _splits_inside(path: Path, archives: tuple[Path, ...]) -> Locations:
    index = without_common_top(read_indexes(archives), keep=[*SPLIT_NAMES])
    tops = _top_folders(index.members)
    train = [name for name in tops if _split_of(name) == "train"]
    deep = any("/" in member.path for name in train for member in below(index.members, name))
    if not train or not (deep or all(_split_of(name) for name in tops)):
        return {"train": DataLocation(path, index=index)}
    return _inner_splits(path, index)


def _inner_splits(path: Path, index: Index) -> Locations:
    names = tuple(member for member in index.members if member.path == CLASSES_FILE)
    splits: Locations = {}
    for name in _top_folders(index.members):
        if split := _split_of(name):
            part = Index((*below(index.members, name), *names), index.left_out if split == "train" else ())
            _add(splits, split, DataLocation(path, inside=name, index=part))
    return splits


def _top_folders(members: Iterable[Member]) -> list[str]:
    return sorted({member.path.split("/", 1)[0] for member in members if "/" in member.path})


def _holds_splits(folders: tuple[Path, ...]) -> bool:
    """Whether there is a train folder that isn't just a class of that name, among ships and planes."""
    train = [scan(folder) for folder in folders if _split_of(folder.name) == "train"]
    if any(contents.folders or contents.archives or contents.lists for contents in train):
        return True
    return bool(train) and all(_split_of(folder.name) for folder in folders)


def _split_folder(folder: Path, folders: tuple[Path, ...]) -> DataLocation:
    """A list in train/ may name images in a folder images/ beside it."""
    others = tuple(other for other in folders if not _split_of(other.name))
    return DataLocation(folder, beside=others if scan(folder).lists else ())


def _by_split(files: tuple[Path, ...]) -> dict[str, tuple[Path, ...]]:
    """The files by the split that their names begin with (train.tar, val-0001.tar); empty when one has none."""
    by_split: dict[str, tuple[Path, ...]] = {}
    for file in files:
        split = _split_of(re.split(r"[-_.]", file.name, maxsplit=1)[0])
        if split is None:
            return {}
        by_split[split] = (*by_split.get(split, ()), file)
    return by_split


def unused_channels(channels: Mapping[str, Path], splits: Mapping[str, DataLocation]) -> list[str]:
    """Names of the channels that hold no split's data."""
    paths = [path for location in splits.values() for path in (location.path, *location.files, *location.beside)]
    used = {parent for path in paths for parent in (path, *path.parents)}
    return [name for name, folder in channels.items() if folder not in used]


def pick_split(path: Path, wanted: str | None) -> tuple[str, DataLocation]:
    """(split, location) to evaluate: the wanted split, else test, else valid, else all that `path` holds.

    Raises DataError when the folder or archive, or the wanted split in it, isn't there.
    """
    if not path.exists():
        raise DataError(f"there is no folder {path}; {EXPECTED}")
    splits = _any_splits(path)
    if wanted is not None and wanted not in splits:
        raise DataError(f"{path} holds no {wanted} folder (it has: {', '.join(sorted(splits)) or 'none'})")
    for split in [wanted] if wanted else ["test", "valid"]:
        if split in splits:
            return split, splits[split]
    return "test", DataLocation(path)


def _any_splits(path: Path) -> Locations:
    """Like `_splits_in`, but a train split is not needed."""
    contents = scan(path)
    splits: Locations = {}
    for child in contents.folders:
        if split := _split_of(child.name):
            splits.setdefault(split, _split_folder(child, contents.folders))
    if splits or contents.folders:
        return splits
    for files in (tuple(lists_in(DataLocation(path), contents)), contents.archives):
        if named := _by_split(files):
            return {split: DataLocation(path, own) for split, own in named.items()}
    archives = (path,) if path.is_file() else contents.archives
    if archives and all(file.name.lower().endswith(PLAIN) for file in archives):
        return _inner_splits(path, without_common_top(read_indexes(archives), keep=[*SPLIT_NAMES]))
    return {}


def ensure_validation(data: DataSet, fraction: float, seed: int) -> DataSet:
    """The data unchanged when they have validation images; else with `fraction` of every class moved there.

    At least one image of a class goes to validation and at least one stays; a class of one image stays whole.
    The choice depends on the seed and the classes alone. Raises DataError when no class has two images.
    """
    if "valid" in data.splits:
        return data
    train = data.splits["train"]
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in train.samples:
        by_class[sample.label].append(sample)
    moved: set[Sample] = set()
    for label, samples in sorted(by_class.items()):
        count = min(max(1, round(fraction * len(samples))), len(samples) - 1)
        order = np.random.default_rng((seed, label)).permutation(len(samples))
        moved.update(samples[i] for i in order[:count])
    if not moved:
        raise DataError("no class has two training images, so none can be set apart for validation; add images")
    rest = Split("train", tuple(sample for sample in train.samples if sample not in moved), train.where)
    valid = Split("valid", tuple(sample for sample in train.samples if sample in moved), train.where)
    note = (
        f"no validation data was given: {len(valid.samples)} of {len(train.samples)} training images were "
        f"set apart, stratified by class, seed {seed}"
    )
    return replace(data, splits={**data.splits, "train": rest, "valid": valid}, notes=(*data.notes, note))
