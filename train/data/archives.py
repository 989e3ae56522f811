"""What is in a .tar or .zip file and where, so that its images can be read without unpacking it."""

import posixpath
import re
import shlex
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import DataError
from train.data.names import EXPECTED, member_path, printable
from train.data.sources import ArchiveFile, ImageSource, RangeSource, ZipSource

PLAIN: Final = (".tar", ".zip")
# How to undo each compression, by the ending of the file's name or by what the file begins with.
_UNPACKERS: Final = (
    ((".tar.gz", ".tgz"), b"\x1f\x8b", "gunzip -c"),
    ((".tar.bz2", ".tbz2", ".tbz"), b"BZh", "bunzip2 -c"),
    ((".tar.xz", ".txz"), b"\xfd7zXZ", "unxz -c"),
    ((".tar.zst", ".tzst"), b"\x28\xb5\x2f\xfd", "zstd -dc"),
)
_OTHER: Final = (".7z", ".rar")
_BLOCK: Final = tarfile.BLOCKSIZE
_LINKS_DEEP: Final = 8
# Common compression methods of the zip format, by number.
_METHODS: Final = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ"}


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive. path: relative, with forward slashes. archive: the archive's file name."""

    path: str
    source: ImageSource
    archive: str


@dataclass(frozen=True)
class Index:
    """The files of one or more archives; left_out: path -> why it can't be read."""

    members: tuple[Member, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def is_archive(name: str) -> bool:
    """Whether the file's name is that of an archive, of a kind that can be read or not."""
    return name.lower().endswith((*PLAIN, *_OTHER, *(ending for endings, _, _ in _UNPACKERS for ending in endings)))


def read_indexes(files: list[Path] | tuple[Path, ...]) -> Index:
    """The indexes of several archives as one, in the order of the archives' names.

    Raises DataError for an archive that is compressed as a whole, encrypted, damaged or truncated.
    """
    indexes = [_read_index(file) for file in sorted(files)]
    return Index(
        tuple(member for index in indexes for member in index.members),
        tuple(item for index in indexes for item in index.left_out),
    )


def _read_index(file: Path) -> Index:
    with file.open("rb") as opened:
        head = opened.read(8)
    _refuse_compressed(file, head)
    read: Callable[[Path], Index] = _read_zip if file.name.lower().endswith(".zip") else _read_tar
    with _damage(file):
        return read(file)


def _refuse_compressed(file: Path, head: bytes) -> None:
    name = file.name.lower()
    for endings, magic, command in _UNPACKERS:
        if name.endswith(endings) or (name.endswith(".tar") and head.startswith(magic)):
            plain = file.name if name.endswith(".tar") else re.sub(r"(\.tar)?\.[^.]*$", "", file.name) + ".tar"
            target = f"plain-{plain}" if plain == file.name else plain
            raise DataError(
                f"{printable(file.name)} is a compressed tar: no photo in it can be read without unpacking all before "
                "it, and photos are compressed already; make a plain one: "
                f"{command} < {printable(shlex.quote(file.name))} > {printable(shlex.quote(target))}"
            )
    if not name.endswith(PLAIN):
        raise DataError(f"{file} is no .tar or .zip file; {EXPECTED}")


@contextmanager
def _damage(file: Path) -> Iterator[None]:
    """Raises DataError for what the standard library raises on hostile or broken archives."""
    try:
        yield
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        NotImplementedError,
        EOFError,
        struct.error,
        ArithmeticError,
    ) as error:
        raise _damaged(file, str(error)) from error
    except (ValueError, LookupError, RecursionError, RuntimeError) as error:
        raise _damaged(file, type(error).__name__) from error


def _damaged(file: Path, why: str) -> DataError:
    first = printable(next(iter(why.splitlines()), ""))
    kind = file.suffix.lower()
    return DataError(f"{printable(str(file))} is damaged, truncated or no {kind} file ({first}); copy or make it again")


def _read_tar(file: Path) -> Index:
    archive = ArchiveFile(file)
    members: dict[str, Member] = {}
    links: dict[str, str] = {}
    left_out: dict[str, str] = {}
    with tarfile.open(file, "r:") as tar:
        while (info := tar.next()) is not None:
            # The library keeps every header it has read, which would only fill the memory.
            tar.members.clear()  # type: ignore[attr-defined]
            path = member_path(info.name)
            if info.size < 0:
                raise _damaged(file, "a negative size")
            if path is None or info.isdir():
                continue
            # A repeated name replaces the earlier member, as unpacking would.
            for table in (members, links, left_out):
                table.pop(path, None)
            if info.issym() or info.islnk():
                target = posixpath.join(posixpath.dirname(info.name), info.linkname) if info.issym() else info.linkname
                links[path] = posixpath.normpath(target)
            elif info.isreg() and not info.issparse():
                members[path] = Member(printable(path), RangeSource(archive, info.offset_data, info.size), file.name)
            else:
                left_out[path] = "neither a plain file nor a link in the archive"
        end = tar.offset
    _check_end(archive, end)
    for path, first in links.items():
        target = first
        for _ in range(_LINKS_DEEP):
            target = links.get(member_path(target) or "", target)
        if member := members.get(member_path(target) or ""):
            members[path] = Member(printable(path), member.source, file.name)
        else:
            left_out[path] = "a link to what isn't in the archive; tar --dereference puts the file itself there"
    return Index(tuple(members.values()), tuple((printable(path), why) for path, why in left_out.items()))


def _check_end(archive: ArchiveFile, end: int) -> None:
    """Raises DataError unless blocks of zeros (POSIX) end the archive: the library stops at a broken header, too."""
    # GNU tar fills up to 20 blocks; more than these zeros is never written.
    rest = archive.read(end, 20 * _BLOCK)
    if len(rest) < _BLOCK:
        raise _damaged(archive.path, "its end mark is missing")
    if rest.strip(b"\0"):
        raise _damaged(archive.path, f"no header and no end mark at byte {end}")


def _read_zip(file: Path) -> Index:
    archive = ArchiveFile(file)
    size = file.stat().st_size
    members: dict[str, Member] = {}
    with zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            path = member_path(_zip_name(info))
            if path is None or info.is_dir():
                continue
            if info.flag_bits & 0x1:
                raise DataError(f"{printable(str(file))} is encrypted; make it again without a password")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
                raise DataError(
                    f"{printable(str(file))} uses the compression {method}; make it again as stored or deflated: "
                    "zip -r -0 photos.zip FOLDER"
                )
            if not 0 <= info.header_offset <= size - info.compress_size:
                raise _damaged(file, "an entry lies outside the file")
            deflated = info.compress_type == zipfile.ZIP_DEFLATED
            source = ZipSource(archive, info.header_offset, info.compress_size, info.file_size, info.CRC, deflated)
            members[path] = Member(printable(path), source, file.name)
    return Index(tuple(members.values()))


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name in Unicode: macOS writes UTF-8 without the flag that says so; old Windows programs use backslashes."""
    name = info.filename
    if not info.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.filename
    return name.replace("\\", "/") if info.create_system == 0 else name
