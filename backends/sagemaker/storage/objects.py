"""Objects in S3 below a prefix: listed, read, fetched into a folder, removed."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from backends.cancel import CancelToken
from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.errors import told
from backends.sagemaker.names import Place
from backends.sagemaker.storage.sync import each_done

_MOST_DELETED: Final = 1000  # of one request


def listed(account: Account, place: Place) -> dict[str, int]:
    """Everything below a prefix, by its name in it: bytes. Raises BackendError."""
    prefix = f"{place.key.rstrip('/')}/"
    with told(f"listing {place.url}"):
        pages = account.client("s3").get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=prefix)
        return {
            str(each["Key"]).removeprefix(prefix): int(each["Size"])
            for page in pages
            for each in page.get("Contents", [])
            if not each["Key"].endswith("/")
        }


def read(account: Account, place: Place) -> bytes | None:
    """An object's content; None when there is none. Raises BackendError."""
    client = account.client("s3")
    with told(f"fetching {place.url}"):
        try:
            content: bytes = client.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None
    return content


def fetch(
    account: Account, place: Place, folder: Path, cancel: CancelToken, wanted: Callable[[str], bool] = lambda _: True
) -> int:
    """Fetch what is below a prefix into a folder, but what lies there with the same size; returns how many files are
    there then. wanted: by the name below the prefix. Raises BackendError, and Stopped when cancelled.
    """
    sizes = {name: size for name, size in listed(account, place).items() if wanted(name)}
    for name in sizes:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise BackendError(f"{place.url}/{name} would lie outside {folder}; fetch it by hand")
    missing = [name for name, size in sizes.items() if not _lies_there(folder / name, size)]

    def one(name: str) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with told(f"fetching {place.url}/{name}"):
            account.client("s3").download_file(place.bucket, f"{place.key.rstrip('/')}/{name}", str(target))

    for _ in each_done(missing, one, cancel, f"fetching {place.url}"):
        pass
    return len(sizes)


def _lies_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def remove(account: Account, place: Place, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Remove what is below a prefix. wanted: by the name below it. Raises BackendError."""
    names = [f"{place.key.rstrip('/')}/{name}" for name in listed(account, place) if wanted(name)]
    for first in range(0, len(names), _MOST_DELETED):
        part = [{"Key": name} for name in names[first : first + _MOST_DELETED]]
        with told(f"removing {place.url}"):
            answer = account.client("s3").delete_objects(Bucket=place.bucket, Delete={"Objects": part, "Quiet": True})
        for fault in answer.get("Errors", [])[:1]:
            raise BackendError(f"s3://{place.bucket}/{fault['Key']} can't be removed: {fault.get('Message')}")
