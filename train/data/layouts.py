"""Reads a split's data in any of the accepted layouts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from contract.errors import DataError
from train.data.archives import Index, is_archive, read_indexes
from train.data.contents import CLASSES_FILE, LISTS, Contents, describe, read_text, scan
from train.data.folders import list_folders, list_members, without_common_top
from train.data.listing import Listing, parse_classes
from train.data.lists import list_images
from train.data.names import EXPECTED, summary
from train.data.webdataset import is_webdataset, list_webdataset, member_text


@dataclass(frozen=True)
class DataLocation:
    """Where one split's data are.

    path: a folder, or an archive. files: the archives or lists to read; empty for all that `path` holds. beside: other
    folders where the images of a list may lie. inside: folder in the archives. index: of the archives, when it was
    read already.
    """

    path: Path
    files: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    inside: str = ""
    index: Index | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        files = f" ({', '.join(file.name for file in self.files)})" if self.files else ""
        return f"{self.path}{files}{f', folder {self.inside}' if self.inside else ''}"


def read_listing(location: DataLocation, keep: Sequence[str] = ()) -> Listing:
    """The files of `location` and their classes. keep: classes known beforehand. Raises DataError for other layouts."""
    if location.index is not None or location.path.is_file():
        return _read_archives(location, location.index or read_indexes([location.path]), keep)
    if not location.path.is_dir():
        raise DataError(f"there is no folder {location.path}; {EXPECTED}")
    contents = scan(location.path)
    if lists := lists_in(location, contents):
        listing = list_images(lists, [location.path, *location.beside])
        return replace(listing, numbered=_classes_beside(location.path))
    if contents.folders and not location.files:
        listing = list_folders(location.path, contents)
        beside = ", ".join(archive.name for archive in contents.archives[:5])
        return replace(listing, layout=f"{listing.layout}; {beside} beside them is not read") if beside else listing
    if archives := [file for file in location.files or contents.archives if is_archive(file.name)]:
        return _read_archives(location, read_indexes(archives), keep)
    raise DataError(f"{location.path} holds {describe(location.path)}; {EXPECTED}")


def lists_in(location: DataLocation, contents: Contents) -> list[Path]:
    """The manifests and .lst files that say which images `location` has."""
    if location.files:
        return [file for file in location.files if not is_archive(file.name)]
    # JSON lines beside class folders or archives may be anything; a manifest names its images by source-ref.
    alone = not contents.folders and not contents.archives
    return [file for file in contents.lists if alone or _names_images(file)]


def _names_images(file: Path) -> bool:
    if file.name.lower().endswith((".manifest", *LISTS)):
        return True
    with file.open("rb") as opened:
        return b'"source-ref"' in opened.read(4096)


def _read_archives(location: DataLocation, index: Index, keep: Sequence[str]) -> Listing:
    where = str(location)
    index = without_common_top(index, keep)
    archives = sorted({member.archive for member in index.members})
    if not index.members:
        raise DataError(f"{where} holds no files; {EXPECTED}")
    listing = list_webdataset(index, where) if is_webdataset(index) else list_members(index, where)
    if not listing.images:
        held = summary(member.path for member in index.members)
        example = f", and no image with a class ({': '.join(listing.left_out[0])})" if listing.left_out else ""
        raise DataError(f"{where} holds {held}{example}; {EXPECTED}")
    layout = f"{listing.layout} in {archives[0] if len(archives) == 1 else f'{len(archives)} archives'}"
    numbered = _class_names(location, index) if listing.classes is None else None
    return replace(listing, layout=layout, numbered=numbered)


def _class_names(location: DataLocation, index: Index) -> list[str] | None:
    """From the classes.txt in the fewest folders of the archive; else from the one beside it in the channel."""
    inside = [member for member in index.members if member.path.rpartition("/")[2] == CLASSES_FILE]
    if inside:
        member = min(inside, key=lambda member: member.path.count("/"))
        text = member_text(member)
        if text is None:
            raise DataError(f"{member.path} in {member.archive} is no UTF-8 text; write one class name a line")
        return parse_classes(text, f"{member.path} in {member.archive}")
    return _classes_beside(location.path)


def _classes_beside(folder: Path) -> list[str] | None:
    file = folder / CLASSES_FILE
    return parse_classes(read_text(file), str(file)) if file.is_file() else None
