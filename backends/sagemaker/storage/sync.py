"""What S3 has of a folder's files, and what it lacks.

What was sent is noted in an object beside the prefix, NAME.sums.json: of each file its SHA-256 and the ETag that S3
gave it. A file counts as sent when its sum is the noted one and the object still has that ETag.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backends.base import JobProgress, ProgressCallback
from backends.cancel import CancelToken
from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.names import S3Location
from backends.sagemaker.storage.objects import iterate_objects, read_object, run_concurrently

_SUMS: Final = ".sums.json"
MAX_KEY_BYTES: Final = 1024  # bytes
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class UploadedFile:
    """What S3 has of a file, and of which content. key: relative to the prefix."""

    sha256: str
    etag: str


@dataclass(frozen=True)
class Difference:
    """What an upload to `place` has to do. files: all that belong there, by relative key; sums: their SHA-256.

    sizes: bytes of each. send: keys that are new or changed. obsolete: keys in S3 that belong there no more.
    unchanged: what S3 has already.
    """

    location: S3Location
    files: Mapping[str, Path]
    sums: Mapping[str, str]
    sizes: Mapping[str, int]
    send: Sequence[str]
    obsolete: Sequence[str]
    unchanged: Mapping[str, UploadedFile]

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    @property
    def bytes_to_send(self) -> int:
        return sum(self.sizes[key] for key in self.send)


def list_files(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its path with slashes, links followed, in order; nothing hidden."""
    files: dict[str, Path] = {}
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(names):
            if not _hidden(name):
                path = Path(parent, name)
                files[path.relative_to(folder).as_posix()] = path
    return files


def _hidden(name: str) -> bool:
    # The same as for training, which leaves them out.
    return name.startswith((".", "__MACOSX"))


def _check_key(key: str) -> None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise BackendError(f"the file name {key!r} is no valid text, which S3 needs; rename it") from None
    if length > MAX_KEY_BYTES:
        raise BackendError(
            f"{key[:100]}... would be a key of {length} bytes, S3 takes {MAX_KEY_BYTES}; shorten the path"
        )


def compare_with_s3(
    account: Account, files: Mapping[str, Path], location: S3Location, watch: ProgressCallback, cancel: CancelToken
) -> Difference:
    """What is to be sent. Reads every file once. Raises BackendError, and Stopped when cancelled."""
    for key in files:
        _check_key(f"{location.key}/{key}")
    sums: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for key, (size, digest) in run_concurrently(files, lambda key: _sum(files[key]), cancel, "checking files"):
        sizes[key], sums[key] = size, digest
        watch(JobProgress("checking files", len(sums), len(files), "files"))
    etags = {
        str(each["Key"]).removeprefix(f"{location.key}/"): str(each["ETag"])
        for each in iterate_objects(account, location / "")
    }
    unchanged = {
        key: sent
        for key, sent in _read_checksums(account, location).items()
        if etags.get(key) == sent.etag and sums.get(key) == sent.sha256
    }
    send = [key for key in files if key not in unchanged]
    obsolete = sorted(key for key in etags if key not in files)
    return Difference(location, files, sums, sizes, send, obsolete, unchanged)


def _sum(file: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    try:
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise BackendError(f"{file} can't be read ({error.strerror}); repair or remove it") from error
    return size, digest.hexdigest()


def checksums_location(location: S3Location) -> S3Location:
    """The object that notes what was sent to a place; beside it, so that no job gets it as data."""
    return S3Location(location.bucket, location.key + _SUMS)


def _read_checksums(account: Account, location: S3Location) -> dict[str, UploadedFile]:
    """What was sent before, with the key of encryption that is in use now; else nothing."""
    body = read_object(account, checksums_location(location))
    if body is None:
        return {}
    try:
        document = json.loads(body)
        if document["kms_key"] != account.settings.sagemaker.kms_key:
            return {}
        return {key: UploadedFile(*each) for key, each in document["files"].items()}
    except (ValueError, KeyError, TypeError):
        return {}
