"""The images of a transform job: from here or from S3, which of them can be sent, and how large they are."""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from backends.cloud.account import Account
from backends.cloud.errors import told
from backends.cloud.names import Place
from backends.errors import BackendError
from backends.transform.batch import Batch, Files
from backends.transform.inputs import IMAGE_SUFFIXES, Survey

# Of the service: of one request's body, and of all that are under way at once.
MOST_MB: Final = 100
# What the container asks for when the job says nothing (docs/transform.md).
USUAL_MB: Final = 6
_MB: Final = 1 << 20


@dataclass(frozen=True)
class Remote:
    """The images below a prefix in S3, by their names' endings, in the order of their keys."""

    account: Account
    place: Place

    def __iter__(self) -> Iterator[str]:
        return (f"s3://{self.place.bucket}/{key}" for key, *_ in self._images(Counter()))

    def survey(self, goes_on: Callable[[], bool] = lambda: True) -> Survey:
        """As of files here; the ETag stands for the time of change."""
        digest, count, left_out = hashlib.sha256(), 0, Counter[str]()
        for count, (key, size, etag) in enumerate(self._images(left_out), 1):
            digest.update(f"{key}\0{size}\0{etag}\n".encode())
            if count % 1000 == 0 and not goes_on():
                break
        return Survey(count, digest.hexdigest(), left_out)

    def sizes(self) -> dict[str, int]:
        """URL -> bytes."""
        return {f"s3://{self.place.bucket}/{key}": size for key, size, _ in self._images(Counter())}

    def _images(self, left_out: Counter[str]) -> Iterator[tuple[str, int, str]]:
        with told(f"listing {self.place.url}"):
            pages = self.account.client("s3").get_paginator("list_objects_v2").paginate(
                Bucket=self.place.bucket, Prefix=self.place.key
            )  # fmt: skip
            for each in (each for page in pages for each in page.get("Contents", [])):
                suffix = PurePosixPath(each["Key"]).suffix.lower()
                if suffix in IMAGE_SUFFIXES:
                    yield each["Key"], int(each["Size"]), str(each["ETag"])
                elif not each["Key"].endswith("/"):
                    left_out[suffix or "no suffix"] += 1


def listing(account: Account, urls: Sequence[str]) -> Files:
    """The images below one s3:// URL. Raises BackendError when there are several."""
    if len(urls) != 1:
        raise BackendError(f"one job transforms one prefix of S3, got {', '.join(urls)}; give one at a time")
    place = Place.parse(urls[0])
    if not place.bucket:
        raise BackendError(f"{urls[0]} names no bucket; give s3://BUCKET/PREFIX/")
    # `photos` is meant as a folder, and photos-old is none of its.
    key = f"{place.key.rstrip('/')}/" if place.key else ""
    return Remote(account, Place(place.bucket, key))


@dataclass
class Plan:
    """What the job is to do. source: the prefix with the images. faults: file -> why it isn't among them. largest:
    bytes of the largest image.
    """

    source: Place
    faults: dict[str, str]
    largest: int
    files: dict[str, Path]

    def limits(self, concurrent: int | None) -> tuple[int | None, int | None]:
        """Requests at once and megabytes of each, as the job is to set them; None for what the container asks for."""
        needed = max(1, math.ceil(self.largest / _MB))
        if concurrent is None and needed <= USUAL_MB:
            return None, None
        payload = max(needed, USUAL_MB)
        if concurrent is not None and concurrent * payload > MOST_MB:
            payload = needed
        return max(1, min(concurrent or MOST_MB, MOST_MB // payload)), payload


def object_name(number: int) -> str:
    """What the `number`th file, from 0, is called among the job's inputs: in the order of the files."""
    return f"{number:08d}"


def plan_of(batch: Batch, inputs: Place) -> Plan:
    """What is to be sent, to `inputs` if it lies here. Raises BackendError when there is nothing that can be sent."""
    faults: dict[str, str] = {}
    files: dict[str, Path] = {}
    largest = 0
    remote = batch.files.sizes() if isinstance(batch.files, Remote) else None
    for number, file in enumerate(batch.files):
        size = remote[file] if remote is not None else _size(file)
        if isinstance(size, str):
            faults[file] = size
        elif size > MOST_MB * _MB:
            faults[file] = f"the file has {size} bytes, and a transform job takes {MOST_MB * _MB} at most"
        else:
            largest = max(largest, size)
            if remote is None:
                files[object_name(number)] = Path(file)
    source = batch.files.place if isinstance(batch.files, Remote) else inputs
    if len(faults) == batch.count:
        file, fault = next(iter(faults.items()))
        raise BackendError(f"none of the {batch.count} images can be sent; the first, {file}: {fault}")
    return Plan(source, faults, largest, files)


def _size(file: str) -> int | str:
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - a million times
            return os.fstat(opened.fileno()).st_size
    except OSError as error:
        return f"the file can't be read ({error.strerror})"
