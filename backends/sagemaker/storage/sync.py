"""What S3 has of a folder's files, and what it lacks.

What was sent is noted in an object beside the prefix, NAME.sums.json: of each file its SHA-256 and the ETag that S3
gave it. A file counts as sent when its sum is the noted one and the object still has that ETag.

Work on many files, several at a time.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from backends.base import JobProgress, ProgressCallback
from backends.cancel import CancelToken
from backends.errors import BackendError, Stopped
from backends.sagemaker.account import Account
from backends.sagemaker.errors import told
from backends.sagemaker.names import Place

_SUMS: Final = ".sums.json"
LONGEST_KEY: Final = 1024  # bytes
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Sent:
    """What S3 has of a file, and of which content. key: relative to the prefix."""

    sha256: str
    etag: str


@dataclass(frozen=True)
class Difference:
    """What an upload to `place` has to do. files: all that belong there, by relative key; sums: their SHA-256.

    sizes: bytes of each. send: keys that are new or changed. gone: keys in S3 that belong there no more. kept: what S3
    has already.
    """

    place: Place
    files: Mapping[str, Path]
    sums: Mapping[str, str]
    sizes: Mapping[str, int]
    send: Sequence[str]
    gone: Sequence[str]
    kept: Mapping[str, Sent]

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    @property
    def bytes_to_send(self) -> int:
        return sum(self.sizes[key] for key in self.send)


def files_below(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its path with slashes, links followed, in order; nothing hidden."""
    found: dict[str, Path] = {}
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
                found[path.relative_to(folder).as_posix()] = path
    return found


def _hidden(name: str) -> bool:
    # The same as for training, which leaves them out.
    return name.startswith((".", "__MACOSX"))


def _check_key(key: str) -> None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise BackendError(f"the file name {key!r} is no valid text, which S3 needs; rename it") from None
    if length > LONGEST_KEY:
        raise BackendError(f"{key[:100]}... would be a key of {length} bytes, S3 takes {LONGEST_KEY}; shorten the path")


def compare(
    account: Account, files: Mapping[str, Path], place: Place, watch: ProgressCallback, cancel: CancelToken
) -> Difference:
    """What is to be sent. Reads every file once. Raises BackendError, and Stopped when cancelled."""
    for key in files:
        _check_key(f"{place.key}/{key}")
    sums: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for key, (size, digest) in each_done(files, lambda key: _sum(files[key]), cancel, "checking files"):
        sizes[key], sums[key] = size, digest
        watch(JobProgress("checking files", len(sums), len(files), "files"))
    there = _listed(account, place)
    kept = {
        key: sent
        for key, sent in _noted(account, place).items()
        if there.get(key) == sent.etag and sums.get(key) == sent.sha256
    }
    send = [key for key in files if key not in kept]
    gone = sorted(key for key in there if key not in files)
    return Difference(place, files, sums, sizes, send, gone, kept)


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


def _listed(account: Account, place: Place) -> dict[str, str]:
    """Relative key -> ETag of what is below the prefix."""
    prefix = f"{place.key}/"
    with told(f"looking into {place.url}"):
        pages = account.client("s3").get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=prefix)
        return {each["Key"].removeprefix(prefix): each["ETag"] for page in pages for each in page.get("Contents", [])}


def sums_of(place: Place) -> Place:
    """The object that notes what was sent to a place; beside it, so that no job gets it as data."""
    return Place(place.bucket, place.key + _SUMS)


def _noted(account: Account, place: Place) -> dict[str, Sent]:
    """What was sent before, with the key of encryption that is in use now; else nothing."""
    from botocore.exceptions import ClientError

    note = sums_of(place)
    with told(f"reading {note.url}"):
        try:
            body = account.client("s3").get_object(Bucket=note.bucket, Key=note.key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return {}
            raise
    try:
        noted = json.loads(body)
        if noted["kms_key"] != account.settings.sagemaker.kms_key:
            return {}
        return {key: Sent(*each) for key, each in noted["files"].items()}
    except (ValueError, KeyError, TypeError):
        return {}


Result = TypeVar("Result")

AT_ONCE: Final = 8  # below the ten connections of a client
_POLL_S: Final = 0.2


def each_done(
    keys: Iterable[str], work: Callable[[str], Result], cancel: CancelToken, doing: str
) -> Iterator[tuple[str, Result]]:
    """(key, result) of each as it is done. Raises what the work raised, and Stopped when cancelled."""
    running: dict[Future[Result], str] = {}
    waiting = iter(keys)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            while True:
                # No more than are soon begun, so that an end is an end.
                while len(running) < 2 * AT_ONCE and (key := next(waiting, None)) is not None:
                    running[pool.submit(work, key)] = key
                if not running:
                    return
                done, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for each in done:
                    yield running.pop(each), each.result()
                if cancel.requested:
                    raise Stopped(f"stopped while {doing}; the same command goes on from here")
        finally:
            for each in running:
                each.cancel()
