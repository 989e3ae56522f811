"""Class folders: in a folder, or in the index of archives."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from train.data.archives import Index, Member
from train.data.contents import Contents, describe, files_below
from train.data.listing import LabelledImage, Listing
from train.data.names import IMAGE_SUFFIXES, suffix, summary
from train.data.sources import FileSource


def list_folders(folder: Path, contents: Contents) -> Listing:
    """The files below each folder in `folder`: folder name -> class."""
    images = [
        LabelledImage(child.name, f"{child.name}/{file}", FileSource(child / file))
        for child in contents.folders
        for file in files_below(child)
    ]
    classes = [child.name for child in contents.folders]
    return Listing("class folders", str(folder), images, classes, held=describe(folder))


def list_members(index: Index, location: str) -> Listing:
    """The members in each top folder of the archives: folder name -> class. Loose members belong to no class."""
    inside = [member for member in index.members if "/" in member.path]
    classes = sorted({member.path.split("/", 1)[0] for member in inside})
    images = [LabelledImage(member.path.split("/", 1)[0], name, member.source) for member, name in unique_names(inside)]
    held = summary(member.path for member in index.members)
    return Listing("class folders", location, images, classes, left_out=list(index.left_out), held=held)


def unique_names(members: Sequence[Member]) -> list[tuple[Member, str]]:
    """Each member with its path; where two archives hold the same path, with the archive's name in it."""
    counts = Counter(member.path for member in members)
    named = []
    for member in members:
        head, _, tail = member.path.rpartition("/")
        twice = counts[member.path] > 1
        named.append((member, "/".join(filter(None, [head, member.archive, tail])) if twice else member.path))
    return named


def without_common_top(index: Index, keep: Sequence[str] = ()) -> Index:
    """The index below the one folder that holds all others, when there is such a folder (photos/beagle/1.jpg).

    A folder named in `keep` is a class, not a wrapping. Loose members at the top, a readme say, come along.
    """
    members = index.members
    wanted = {name.lower() for name in keep}
    while True:
        tops = {member.path.split("/", 1)[0] for member in members if "/" in member.path}
        loose = any("/" not in member.path and suffix(member.path) in ("cls", "json") for member in members)
        deep = any(member.path.count("/") > 1 for member in members)
        photos = any(member.path.count("/") == 1 and suffix(member.path) in IMAGE_SUFFIXES for member in members)
        if len(tops) != 1 or {top.lower() for top in tops} & wanted or loose or photos or not deep:
            return replace(index, members=tuple(members))
        members = below(members, next(iter(tops)), loose=True)


def below(members: Sequence[Member], folder: str, *, loose: bool = False) -> tuple[Member, ...]:
    """The members in a top folder, with their paths in it; with `loose`, those at the top too, as they are."""
    start = f"{folder}/"
    return tuple(
        replace(member, path=member.path.removeprefix(start))
        for member in members
        if member.path.startswith(start) or (loose and "/" not in member.path)
    )
