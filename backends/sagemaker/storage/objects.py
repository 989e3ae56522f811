"""Objects in S3 below a prefix: listed, read, fetched into a folder, removed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

from backends.cancel import CancelToken
from backends.errors import BackendError, Stopped
from backends.sagemaker.account import Account
from backends.sagemaker.errors import translate_aws_errors
from backends.sagemaker.names import S3Location

_MOST_DELETED: Final = 1000  # of one request


def iterate_objects(account: Account, location: S3Location) -> Iterator[Mapping[str, Any]]:
    """{"Key", "Size", "ETag", ...} of every object whose key begins with the location's. Raises BackendError."""
    with translate_aws_errors(f"listing {location.url}"):
        pages = account.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=location.bucket, Prefix=location.key):
            yield from page.get("Contents", [])


def list_objects(account: Account, location: S3Location) -> dict[str, int]:
    """Everything below a prefix, by its name in it: bytes. Raises BackendError."""
    below = location / ""
    return {
        str(each["Key"]).removeprefix(below.key): int(each["Size"])
        for each in iterate_objects(account, below)
        if not each["Key"].endswith("/")
    }


def read_object(account: Account, location: S3Location) -> bytes | None:
    """An object's content; None when there is none. Raises BackendError."""
    client = account.client("s3")
    with translate_aws_errors(f"fetching {location.url}"):
        try:
            content: bytes = client.get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None
    return content


def download_objects(
    account: Account,
    location: S3Location,
    folder: Path,
    cancel: CancelToken,
    wanted: Callable[[str], bool] = lambda _: True,
) -> int:  # fmt: skip
    """Fetch what is below a prefix into a folder, but what lies there with the same size; returns how many files are
    there then. wanted: by the name below the prefix. Raises BackendError, and Stopped when cancelled.
    """
    sizes = {name: size for name, size in list_objects(account, location).items() if wanted(name)}
    for name in sizes:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise BackendError(f"{location.url}/{name} would lie outside {folder}; fetch it by hand")
    missing = [name for name, size in sizes.items() if not _lies_there(folder / name, size)]

    def one(name: str) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with translate_aws_errors(f"fetching {location.url}/{name}"):
            account.client("s3").download_file(location.bucket, f"{location.key.rstrip('/')}/{name}", str(target))

    for _ in run_concurrently(missing, one, cancel, f"fetching {location.url}"):
        pass
    return len(sizes)


def _lies_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def remove_objects(account: Account, location: S3Location, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Remove what is below a prefix. wanted: by the name below it. Raises BackendError."""
    remove_names(account, location, [name for name in list_objects(account, location) if wanted(name)])


def remove_names(account: Account, location: S3Location, names: Sequence[str]) -> None:
    """Remove objects by their names below a prefix. Raises BackendError."""
    for first in range(0, len(names), _MOST_DELETED):
        part = [{"Key": (location / name).key} for name in names[first : first + _MOST_DELETED]]
        with translate_aws_errors(f"removing objects from {location.url}"):
            answer = account.client("s3").delete_objects(
                Bucket=location.bucket, Delete={"Objects": part, "Quiet": True}
            )
        for fault in answer.get("Errors", [])[:1]:
            raise BackendError(f"s3://{location.bucket}/{fault['Key']} can't be removed: {fault.get('Message')}")


Result = TypeVar("Result")

AT_ONCE: Final = 8  # below the ten connections of a client
_POLL_S: Final = 0.2


def run_concurrently(
    keys: Iterable[str], work: Callable[[str], Result], cancel: CancelToken, action: str
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
                    raise Stopped(f"stopped while {action}; the same command goes on from here")
        finally:
            for each in running:
                each.cancel()
