"""Where an image's bytes lie: in a file of its own, or in a range of an archive.

Sources are small and picklable, for the processes that load images. Nothing here writes, unpacks, or moves an offset
that processes or threads share, so a read-only network file system will do.
"""

import os
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from contract.errors import ImageError

# Of a zip entry's local header: fixed part in bytes, and where the lengths of name and extra field stand in it.
_LOCAL_HEADER: Final = 30
_LENGTHS: Final = struct.Struct("<26xHH")
# Read along with the fixed part, so that name and extra field rarely need a second read.
_NAME_ALLOWANCE: Final = 512
_opening: Final = threading.Lock()


class ImageSource(Protocol):
    """One image's encoded bytes."""

    @property
    def size(self) -> int:
        """In bytes. Raises OSError when the file is gone."""

    def encoded(self) -> bytes | Path:
        """What `model.preprocess.decode` takes. Raises OSError when it can't be read, ImageError when damaged."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """An image in a file of its own."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def encoded(self) -> Path:
        return self.path


class ArchiveFile:
    """An archive on disk. Each process opens it at its first read and keeps it open; equal when the path is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def read(self, offset: int, size: int) -> bytes:
        """The bytes from `offset` on: `size` of them, fewer at the file's end. Raises OSError."""
        if self._descriptor < 0:
            with _opening:
                if self._descriptor < 0:
                    self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        parts: list[bytes] = []
        while size > 0:
            # One read may give less than asked for: network file systems do, and Linux ends at 2 GiB.
            part = os.pread(self._descriptor, size, offset)
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def __reduce__(self) -> tuple[type["ArchiveFile"], tuple[Path]]:
        return ArchiveFile, (self.path,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArchiveFile) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True, slots=True)
class RangeSource:
    """An image stored as it is: `size` bytes from `offset` on, as in a tar."""

    archive: ArchiveFile
    offset: int
    size: int

    def encoded(self) -> bytes:
        data = self.archive.read(self.offset, self.size)
        if len(data) != self.size:
            raise ImageError(f"{self.archive.path.name} ends within this image; copy the archive again")
        return data


@dataclass(frozen=True, slots=True)
class ZipSource:
    """An entry of a zip file, stored or deflated. offset: of its local header; packed: its size in the file."""

    archive: ArchiveFile
    offset: int
    packed: int
    size: int
    crc: int
    deflated: bool

    def encoded(self) -> bytes:
        # Deflate adds 5 bytes a block of 64 KiB at most (RFC 1951); a packed size far above that is no true one.
        if self.packed > self.size + self.size // 1000 + 1000:
            raise self._damaged()
        data = self.archive.read(self.offset, _LOCAL_HEADER + _NAME_ALLOWANCE + self.packed)
        if len(data) < _LOCAL_HEADER or data[:4] != b"PK\3\4":
            raise self._damaged()
        start = _LOCAL_HEADER + sum(_LENGTHS.unpack_from(data))
        packed = data[start : start + self.packed]
        if start > _LOCAL_HEADER + _NAME_ALLOWANCE:
            packed = self.archive.read(self.offset + start, self.packed)
        try:
            # At most the size in the index, however much the entry would grow to.
            plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, self.size + 1) if self.deflated else packed
        except zlib.error:
            raise self._damaged() from None
        if len(plain) != self.size or zlib.crc32(plain) != self.crc:
            raise self._damaged()
        return plain

    def _damaged(self) -> ImageError:
        return ImageError(f"its entry in {self.archive.path.name} is damaged; copy or make the archive again")
