"""Which data are for training, validation and test: by the channels' names, or by what one channel holds.

A stratified validation split, for data that comes without validation images.
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
from train.data.contents import CLASSES_FILE, Contents, look
from train.data.dataset import DataSet, Sample, Split
from train.data.folders import below, without_common_top
from train.data.layouts import Place, lists_in
from train.data.names import EXPECTED

SPLIT_NAMES: Final = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
# AWS's own image classification algorithm takes .lst files in channels of their own: train_lst beside train.
_LIST_CHANNEL: Final = "_lst"


def resolve_splits(channels: Mapping[str, Path]) -> dict[str, Place]:
    """The place of each role: channels named train, valid(ation), test, or one that holds such folders or archives.

    Channels of other names are left alone (one may carry pretrained weights), but images that a list names may lie in
    them. Raises DataError when there is no training data, two places claim one role or an archive can't be read.
    """
    data = {name: folder for name, folder in channels.items() if _listed_role(name) is None}
    roles: dict[str, Place] = {}
    for name, folder in data.items():
        if name.lower() in SPLIT_NAMES:
            _claim(roles, SPLIT_NAMES[name.lower()], Place(folder))
    if len(data) == 1 or set(roles) <= {"train"}:
        roles = _nested_roles(data, roles)
    for name, folder in channels.items():
        if role := _listed_role(name):
            roles[role] = _with_lists(roles.get(role), name, folder)
    if "train" not in roles:
        found = ", ".join(sorted(channels)) or "none"
        raise DataError(f"there is no training data: channels found: {found}; give a channel named train; {EXPECTED}")
    others = tuple(folder for name, folder in data.items() if name.lower() not in SPLIT_NAMES)
    return {role: _with_beside(_own_files(role, place), others) for role, place in roles.items()}


def _nested_roles(data: Mapping[str, Path], roles: dict[str, Place]) -> dict[str, Place]:
    """The roles that one channel holds, if one does; else `roles`, a single channel being the training data."""
    for folder in data.values():
        # Archives are opened where they are the training data for certain; another channel's may be anything.
        peek = len(data) == 1 or any(place.path == folder for place in roles.values())
        found = splits_in(folder, peek=peek)
        whole = list(found) == ["train"] and found["train"] == Place(folder)
        if found and not (whole and roles and "train" not in roles):
            return found
    if not roles and len(data) == 1:
        # A single channel needs no special name.
        return {"train": Place(next(iter(data.values())))}
    return roles


def _listed_role(channel: str) -> str | None:
    name = channel.lower()
    return SPLIT_NAMES.get(name.removesuffix(_LIST_CHANNEL)) if name.endswith(_LIST_CHANNEL) else None


def _with_lists(place: Place | None, name: str, folder: Path) -> Place:
    if place is None:
        images = name.lower().removesuffix(_LIST_CHANNEL)
        raise DataError(f"channel {name} lists images, and no channel {images} holds them; give that channel too")
    files = look(folder).lists
    if not files:
        raise DataError(f"channel {name} ({folder}) holds no .lst file; put one in, or leave that channel out")
    return Place(place.path, files=files)


def _own_files(role: str, place: Place) -> Place:
    """Without the files of other roles: beside train.lst a channel may hold val.lst, which is no training data."""
    if place.files or place.index is not None:
        return place
    contents = look(place.path)
    for files in (tuple(lists_in(place, contents)), () if contents.folders else contents.archives):
        named = _by_role(files)
        if role in named and len(named) > 1:
            return replace(place, files=named[role])
    return place


def _with_beside(place: Place, others: tuple[Path, ...]) -> Place:
    """The place with the folders where a list's images may lie; as it is when it has no list."""
    if place.index is not None or not lists_in(place, look(place.path)):
        return place
    return replace(place, beside=tuple(folder for folder in (*place.beside, *others) if folder != place.path))


def _claim(roles: dict[str, Place], role: str, place: Place) -> None:
    if role in roles:
        raise DataError(f"both {roles[role].path.name} and {place.path.name} are {role} data; keep one of the two")
    roles[role] = place


def splits_in(path: Path, *, peek: bool) -> dict[str, Place]:
    """The roles within one folder or archive: role folders, archives or lists named by role, role folders in archives.

    peek: whether archives may be opened. Without a train split of its own the result is empty, unless archives were
    opened: then all is training data, so that they aren't read twice. Raises DataError for one that can't be read.
    """
    contents = look(path)
    if _holds_roles(contents.folders):
        return _role_folders(contents.folders)
    lists = tuple(lists_in(Place(path), contents))
    named = _by_role(lists)
    if "train" in named:
        return {role: Place(path, files) for role, files in named.items()}
    if contents.folders or lists:
        return {}
    named = _by_role(contents.archives)
    if "train" in named and len(named) > 1:
        return {role: Place(path, files) for role, files in named.items()}
    archives = (path,) if path.is_file() else contents.archives
    # A compressed archive is refused with a sentence of its own when the data are read.
    return _splits_inside(path, archives) if peek and archives else {}


def _splits_inside(path: Path, archives: tuple[Path, ...]) -> dict[str, Place]:
    index = without_common_top(read_indexes(archives), keep=[*SPLIT_NAMES])
    tops = _top_folders(index.members)
    train = [name for name in tops if SPLIT_NAMES.get(name.lower()) == "train"]
    deep = any("/" in member.path for name in train for member in below(index.members, name))
    if not train or not (deep or all(name.lower() in SPLIT_NAMES for name in tops)):
        return {"train": Place(path, index=index)}
    return _inner_roles(path, index)


def _inner_roles(path: Path, index: Index) -> dict[str, Place]:
    names = tuple(member for member in index.members if member.path == CLASSES_FILE)
    roles: dict[str, Place] = {}
    for name in _top_folders(index.members):
        if role := SPLIT_NAMES.get(name.lower()):
            part = Index((*below(index.members, name), *names), index.left_out if role == "train" else ())
            _claim(roles, role, Place(path, inside=name, index=part))
    return roles


def _top_folders(members: Iterable[Member]) -> list[str]:
    return sorted({member.path.split("/", 1)[0] for member in members if "/" in member.path})


def _holds_roles(children: tuple[Path, ...]) -> bool:
    """Whether there is a train folder that isn't just a class of that name, among ships and planes."""
    train = [child for child in children if SPLIT_NAMES.get(child.name.lower()) == "train"]
    return any(_holds_data(look(each)) for each in train) or (
        bool(train) and all(child.name.lower() in SPLIT_NAMES for child in children)
    )


def _holds_data(contents: Contents) -> bool:
    return bool(contents.folders or contents.archives or contents.lists)


def _role_folders(children: tuple[Path, ...]) -> dict[str, Place]:
    roles: dict[str, Place] = {}
    for child in children:
        if child.name.lower() in SPLIT_NAMES:
            _claim(roles, SPLIT_NAMES[child.name.lower()], _role_folder(child, children))
    return roles


def _role_folder(child: Path, children: tuple[Path, ...]) -> Place:
    """A list in train/ may name images in a folder images/ beside it."""
    others = tuple(each for each in children if each.name.lower() not in SPLIT_NAMES)
    return Place(child, beside=others if look(child).lists else ())


def _by_role(files: tuple[Path, ...]) -> dict[str, tuple[Path, ...]]:
    """The files by the role that their names begin with (train.tar, val-0001.tar); empty when one has none."""
    found: dict[str, tuple[Path, ...]] = {}
    for file in files:
        role = SPLIT_NAMES.get(re.split(r"[-_.]", file.name.lower(), maxsplit=1)[0])
        if role is None:
            return {}
        found[role] = (*found.get(role, ()), file)
    return found


def unused_channels(channels: Mapping[str, Path], roles: Mapping[str, Place]) -> list[str]:
    """Names of the channels that no role's data are in."""
    places = [path for place in roles.values() for path in (place.path, *place.files, *place.beside)]
    used = {parent for path in places for parent in (path, *path.parents)}
    return [name for name, folder in channels.items() if folder not in used]


def pick_split(path: Path, wanted: str | None) -> tuple[str, Place]:
    """(role, place) to evaluate: the wanted split, else test, else valid, else all that `path` holds.

    Raises DataError when the folder or archive, or the wanted split in it, isn't there.
    """
    if not path.exists():
        raise DataError(f"there is no folder {path}; {EXPECTED}")
    found = _any_splits(path)
    if wanted is not None and wanted not in found:
        raise DataError(f"{path} holds no {wanted} folder (it has: {', '.join(sorted(found)) or 'none'})")
    for role in [wanted] if wanted else ["test", "valid"]:
        if role in found:
            return role, found[role]
    return "test", Place(path)


def _any_splits(path: Path) -> dict[str, Place]:
    """Like `splits_in`, but a train split is not needed."""
    contents = look(path)
    found: dict[str, Place] = {}
    for child in contents.folders:
        if child.name.lower() in SPLIT_NAMES:
            found.setdefault(SPLIT_NAMES[child.name.lower()], _role_folder(child, contents.folders))
    if found or contents.folders:
        return found
    for files in (tuple(lists_in(Place(path), contents)), contents.archives):
        if named := _by_role(files):
            return {role: Place(path, chosen) for role, chosen in named.items()}
    archives = (path,) if path.is_file() else contents.archives
    if archives and all(file.name.lower().endswith(PLAIN) for file in archives):
        return _inner_roles(path, without_common_top(read_indexes(archives), keep=[*SPLIT_NAMES]))
    return {}


def ensure_validation(data: DataSet, fraction: float, seed: int) -> DataSet:
    """The data as it is when it has validation images; else with `fraction` of every class moved there.

    At least one image of a class goes to validation and at least one stays; a class of one image stays whole.
    The choice depends on the seed and the classes alone. Raises DataError when no class has two images.
    """
    if "valid" in data.splits:
        return data
    train = data.splits["train"]
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in train.samples:
        by_class[sample.label].append(sample)
    chosen: set[Sample] = set()
    for label, samples in sorted(by_class.items()):
        count = min(max(1, round(fraction * len(samples))), len(samples) - 1)
        order = np.random.default_rng((seed, label)).permutation(len(samples))
        chosen.update(samples[i] for i in order[:count])
    if not chosen:
        raise DataError("no class has two training images, so none can be set apart for validation; add images")
    kept = Split("train", tuple(s for s in train.samples if s not in chosen), train.where)
    valid = Split("valid", tuple(s for s in train.samples if s in chosen), train.where)
    note = (
        f"no validation data was given: {len(valid.samples)} of {len(train.samples)} training images were "
        f"set apart, stratified by class, seed {seed}"
    )
    return replace(data, splits={**data.splits, "train": kept, "valid": valid}, notes=(*data.notes, note))
