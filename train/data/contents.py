"""What lies in a folder, one level deep: class folders, archives, lists of images."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import DataError
from train.data.archives import is_archive
from train.data.names import hidden, summary

MANIFESTS: Final = (".manifest", ".jsonl", ".jsonlines")
LISTS: Final = (".lst",)
CLASSES_FILE: Final = "classes.txt"
# Files that a description reads: enough to recognise a folder, quick on a network file system.
_MOST_FILES: Final = 2000


@dataclass(frozen=True)
class Contents:
    """The folders and files in one folder, each sorted; hidden ones are left out. others: files of other kinds."""

    folders: tuple[Path, ...] = ()
    archives: tuple[Path, ...] = ()
    lists: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()


def scan(folder: Path) -> Contents:
    """The contents of `folder`; empty when it is no folder. Raises OSError when it can't be read."""
    if not folder.is_dir():
        return Contents()
    with os.scandir(folder) as entries:
        names = sorted((entry.name, entry.is_dir()) for entry in entries if not hidden(entry.name))
    files = [folder / name for name, is_folder in names if not is_folder]
    kinds = {file: _kind(file.name) for file in files}
    return Contents(
        tuple(folder / name for name, is_folder in names if is_folder),
        tuple(file for file in files if kinds[file] == "archive"),
        tuple(file for file in files if kinds[file] == "list"),
        tuple(file for file in files if kinds[file] == "other"),
    )


def _kind(name: str) -> str:
    if is_archive(name):
        return "archive"
    return "list" if name.lower().endswith((*MANIFESTS, *LISTS)) else "other"


def files_below(folder: Path) -> list[str]:
    """The files below `folder` as relative paths with forward slashes, ordered by folder and name."""
    files = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not hidden(name)]
        inside = os.path.relpath(parent, folder)
        files += [name if inside == "." else f"{inside}/{name}" for name in names if not hidden(name)]
    return sorted(files, key=lambda path: path.split("/"))


def read_text(file: Path) -> str:
    """The file as UTF-8 text, with or without a byte order mark. Raises DataError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no UTF-8 text (byte {error.start}); save it as UTF-8") from error


def describe(folder: Path) -> str:
    """What `folder` holds, in a few words, for an error message."""
    return summary(itertools.islice(_examples(folder), _MOST_FILES))


def _examples(folder: Path) -> Iterator[str]:
    contents = scan(folder)
    for file in (*contents.archives, *contents.lists, *contents.others):
        yield file.name
    for child in contents.folders:
        inside = itertools.islice(_files(child), 50)
        first = next(inside, None)
        yield f"{child.name}/{first or ''}"
        yield from (f"{child.name}/{name}" for name in inside)


def _files(folder: Path) -> Iterator[str]:
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not hidden(name)]
        yield from (name for name in names if not hidden(name))
