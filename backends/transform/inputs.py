"""The images of a transform: folders, globs and files -> file names in a fixed order, for one job or one by one."""

import glob
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from backends.errors import BackendError

# Those that training takes.
IMAGE_SUFFIXES: Final = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"))


@dataclass(frozen=True)
class Survey:
    """What there is to do. sha256: of every file's name, size and time of change, in hexadecimal. left_out: how many
    files of folders are no images by their names, by suffix.
    """

    count: int
    sha256: str
    left_out: Counter[str]


@dataclass(frozen=True)
class _Source:
    """One argument. kind: `folder`, `file` or `glob`."""

    kind: str
    name: str

    @classmethod
    def parse(cls, argument: str) -> "_Source":
        try:
            mode = os.stat(argument).st_mode  # noqa: PTH116 - a pattern is no path
        except (OSError, ValueError):
            if glob.has_magic(argument):
                return cls("glob", argument)
            raise BackendError(
                f"there is no file or folder {argument}; name photos, or a folder or glob of them"
            ) from None
        if stat.S_ISDIR(mode):
            return cls("folder", os.path.normpath(argument))
        if stat.S_ISREG(mode):
            return cls("file", argument)
        raise BackendError(f"{argument} is neither a file nor a folder; name photos, or a folder or glob of them")


class LocalImages:
    """The files of all arguments. Each iteration lists them anew, and holds the names of one folder alone.

    A folder gives its images, by their names' endings, and those of the folders in it, ordered by folder and name; what
    is hidden is passed over. A glob gives the files that it matches, in the same order, and is kept in memory whole. A
    file that two arguments name comes once.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        """Raises BackendError for an argument that is no file, folder or glob."""
        self._sources = [_Source.parse(argument) for argument in arguments]

    def __iter__(self) -> Iterator[str]:
        return self._files(Counter())

    def survey(self, goes_on: Callable[[], bool] = lambda: True) -> Survey:
        """Count and fingerprint the files; ends early, with the counts so far, when `goes_on` returns False."""
        digest, count, left_out = hashlib.sha256(), 0, Counter[str]()
        for count, file in enumerate(self._files(left_out), 1):
            try:
                status = os.stat(file)  # noqa: PTH116 - a million times
                size, changed = status.st_size, status.st_mtime_ns
            except OSError:
                size, changed = -1, 0
            digest.update(os.fsencode(f"{file}\0{size}\0{changed}\n"))
            if count % 1000 == 0 and not goes_on():
                break
        return Survey(count, digest.hexdigest(), left_out)

    def _files(self, left_out: Counter[str]) -> Iterator[str]:
        if len(self._sources) == 1:
            yield from _expand(self._sources[0], left_out)
            return
        singles: set[str] = set()
        folders: list[str] = []
        for source in self._sources:
            for file in _expand(source, left_out):
                absolute = os.path.abspath(file)  # noqa: PTH100 - a million times
                if absolute in singles or any(_walked(folder, absolute) for folder in folders):
                    continue
                if source.kind != "folder":
                    singles.add(absolute)
                yield file
            if source.kind == "folder":
                folders.append(os.path.join(os.path.abspath(source.name), ""))  # noqa: PTH100, PTH118


def _expand(source: _Source, left_out: Counter[str]) -> Iterator[str]:
    if source.kind == "folder":
        yield from _walk("" if source.name == "." else source.name, left_out, ())
    elif source.kind == "file":
        yield source.name
    else:
        files = filter(os.path.isfile, glob.iglob(source.name, recursive=True))  # noqa: PTH207 - a pattern may be absolute
        # `**` may match a file more than once.
        yield from sorted(set(files), key=lambda file: Path(file).parts)


def _walk(folder: str, left_out: Counter[str], above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """above: the identities of the folders that this one is in, so that a link to one of them is no way in."""
    try:
        status = os.stat(folder or ".")  # noqa: PTH116 - also ""
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            return
        names, folders = _names(folder, left_out)
    except OSError as error:
        raise BackendError(f"the folder {folder or '.'} can't be read ({error.strerror}); leave it out") from error
    above = (*above, identity)
    for name in names:
        path = os.path.join(folder, name)  # noqa: PTH118 - a million times
        if name in folders:
            yield from _walk(path, left_out, above)
        else:
            yield path


def _names(folder: str, left_out: Counter[str]) -> tuple[list[str], set[str]]:
    """The sorted names of images and folders in a folder, and which of them are folders."""
    names, folders = [], set()
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            if _hidden(entry.name):
                continue
            if entry.is_dir():
                folders.add(entry.name)
            # A link that leads nowhere is a photo that can't be read, and is reported as such.
            elif not _is_image(entry.name) or not (entry.is_file() or entry.is_symlink()):
                left_out[os.path.splitext(entry.name)[1].lower() or "no suffix"] += 1  # noqa: PTH122
                continue
            names.append(entry.name)
    return sorted(names), folders


def _walked(folder: str, file: str) -> bool:
    """Whether a walk through `folder`, which ends in a slash, yields `file`."""
    inside = Path(file.removeprefix(folder)).parts
    return file.startswith(folder) and _is_image(file) and not any(map(_hidden, inside))


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


class ImageFiles(Protocol):
    """Images by name, in a fixed order, listed anew by each iteration."""

    def __iter__(self) -> Iterator[str]: ...

    def survey(self, goes_on: Callable[[], bool]) -> Survey:
        """Count and fingerprint them; ends early when `goes_on` returns False."""


@dataclass(frozen=True)
class TransformBatch:
    """artifact: its folder. labels: the classes' in order, where all probabilities are wanted. concurrent: requests at
    once, or None for what the server says.
    """

    files: ImageFiles
    count: int
    artifact: Path
    labels: tuple[str, ...] | None = None
    concurrent: int | None = None
