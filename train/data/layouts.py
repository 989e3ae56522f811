"""Reads a role's data in whichever of the accepted layouts they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contract.errors import DataError
from train.data.archives import Index, is_archive, read_indexes
from train.data.contents import CLASSES_FILE, LISTS, Contents, describe, look, read_text
from train.data.folders import list_folders, list_members, without_common_top
from train.data.listing import Listing, parse_classes
from train.data.lists import list_images
from train.data.names import EXPECTED, summary
from train.data.webdataset import is_webdataset, list_webdataset, member_text


@dataclass(frozen=True)
class Place:
    """Where one role's data are.

    path: a folder, or an archive. files: the archives or lists that count; empty for whatever `path` holds.
    beside: folders where the images that a list names may lie too. inside: folder in the archives. index: what the
    archives hold, when that was read already.
    """

    path: Path
    files: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    inside: str = ""
    index: Index | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        files = f" ({', '.join(file.name for file in self.files)})" if self.files else ""
        return f"{self.path}{files}{f', folder {self.inside}' if self.inside else ''}"


def read_place(place: Place, keep: Sequence[str] = ()) -> Listing:
    """What lies in `place`. keep: class names known beforehand. Raises DataError for what is in no known layout."""
    if place.index is not None:
        return _read_archives(place, place.index, keep)
    if place.path.is_file():
        return _read_archives(place, read_indexes([place.path]), keep)
    if not place.path.is_dir():
        raise DataError(f"there is no folder {place.path}; {EXPECTED}")
    contents = look(place.path)
    if lists := lists_in(place, contents):
        listing = list_images(lists, [place.path, *place.beside])
        if (names := place.path / CLASSES_FILE).is_file():
            listing.numbered = parse_classes(read_text(names), str(names))
        return listing
    if contents.folders and not place.files:
        listing = list_folders(place.path, contents)
        if contents.archives:
            beside = ", ".join(each.name for each in contents.archives[:5])
            listing.layout += f"; {beside} beside them is not read"
        return listing
    if archives := [file for file in place.files or contents.archives if is_archive(file.name)]:
        return _read_archives(place, read_indexes(archives), keep)
    raise DataError(f"{place.path} holds {describe(place.path)}; {EXPECTED}")


def lists_in(place: Place, contents: Contents) -> list[Path]:
    """The manifests and .lst files that say which images `place` has."""
    if place.files:
        return [file for file in place.files if not is_archive(file.name)]
    # JSON lines beside class folders or archives may be anything; a manifest names its images by source-ref.
    alone = not contents.folders and not contents.archives
    return [file for file in contents.lists if alone or _names_images(file)]


def _names_images(file: Path) -> bool:
    if file.name.lower().endswith((".manifest", *LISTS)):
        return True
    with file.open("rb") as opened:
        return b'"source-ref"' in opened.read(4096)


def _read_archives(place: Place, index: Index, keep: Sequence[str]) -> Listing:
    where = str(place)
    index = without_common_top(index, keep)
    archives = sorted({member.archive for member in index.members})
    if not index.members:
        raise DataError(f"{where} holds no files; {EXPECTED}")
    listing = list_webdataset(index, where) if is_webdataset(index) else list_members(index, where)
    if not listing.images:
        held = summary(member.path for member in index.members)
        example = f", and no image with a class ({': '.join(listing.left_out[0])})" if listing.left_out else ""
        raise DataError(f"{where} holds {held}{example}; {EXPECTED}")
    listing.layout += f" in {archives[0]}" if len(archives) == 1 else f" in {len(archives)} archives"
    if listing.classes is None:
        listing.numbered = _class_names(place, index)
    return listing


def _class_names(place: Place, index: Index) -> list[str] | None:
    """From classes.txt in the archive, the one in the fewest folders; else from that beside it in the channel."""
    inside = [member for member in index.members if member.path.rpartition("/")[2] == CLASSES_FILE]
    if inside:
        member = min(inside, key=lambda each: each.path.count("/"))
        text = member_text(member)
        if text is None:
            raise DataError(f"{member.path} in {member.archive} is no UTF-8 text; write one class name a line")
        return parse_classes(text, f"{member.path} in {member.archive}")
    beside = place.path / CLASSES_FILE
    return parse_classes(read_text(beside), str(beside)) if place.path.is_dir() and beside.is_file() else None
