"""A data set in S3: sent where it isn't there yet, and named as the channels that a training job reads."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backends.base import JobProgress, ProgressCallback
from backends.cancel import CancelToken
from backends.child import OutputFiles, last_error, python_environment, run_child
from backends.errors import BackendError
from backends.inputs import DATA_CHANNEL, check_data_path
from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import Item
from backends.sagemaker.names import S3Location
from backends.sagemaker.storage.sync import Difference, compare_with_s3, list_files
from backends.sagemaker.storage.upload import upload_files

ROOT: Final = Path(__file__).resolve().parents[3]
_GB: Final = 1024**3  # as S3 counts
_DIGEST: Final = 8


@dataclass(frozen=True)
class UploadResult:
    """A data set in S3. channels: of a training job, name -> URL of a prefix. bytes: of all its `files`, of which
    `sent_bytes` were new.
    """

    location: S3Location
    channels: Mapping[str, str]
    files: int
    bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class UploadPlan:
    """What an upload would do: send `send` of `files` files, `send_bytes` of `bytes`, and remove `obsolete`."""

    location: S3Location
    files: int
    bytes: int
    send: int
    send_bytes: int
    obsolete: int

    @property
    def item(self) -> Item:
        """The data set as something that costs money as long as it lies there."""
        return Item(f"data set in {self.location.url}", "storage", gigabytes=self.bytes / _GB)


class S3DataSet:
    """A data set of this machine, compared with what S3 has of it. channels: it as a training job's, name -> URL."""

    def __init__(self, account: Account, difference: Difference, channels: Mapping[str, str]) -> None:
        self._account = account
        self._difference = difference
        self.channels = channels

    @property
    def plan(self) -> UploadPlan:
        """What `send` would do."""
        difference = self._difference
        return UploadPlan(
            difference.location,
            len(difference.files),
            difference.bytes,
            len(difference.send),
            difference.bytes_to_send,
            len(difference.obsolete),
        )

    def send(self, watch: ProgressCallback, cancel: CancelToken) -> UploadResult:
        """Make S3 hold it. Raises BackendError, and Stopped when cancelled."""
        plan = self.plan
        upload_files(self._account, self._difference, watch, cancel)
        return UploadResult(plan.location, self.channels, plan.files, plan.bytes, plan.send_bytes)


@contextmanager
def open_dataset(account: Account, data: Path, watch: ProgressCallback, cancel: CancelToken) -> Iterator[S3DataSet]:
    """The data set, read and compared with S3. Files that had to be made for it are gone at the end.

    Raises BackendError, and Stopped when cancelled.
    """
    with _files(account, data, watch, cancel) as (files, location):
        yield S3DataSet(
            account, compare_with_s3(account, files, location, watch, cancel), _channels(account, location, files)
        )


def upload_dataset(
    account: Account, data: Path, watch: ProgressCallback, cancel: CancelToken | None = None
) -> UploadResult:
    """Make S3 hold the data set, sending only what it lacks. Raises BackendError, and Stopped when cancelled.

    Files that are gone here are removed there. Cut off, it goes on from there the next time.
    """
    cancel = cancel or CancelToken()
    with open_dataset(account, data, watch, cancel) as dataset:
        return dataset.send(watch, cancel)


def plan_upload(account: Account, data: Path, watch: ProgressCallback, cancel: CancelToken | None = None) -> UploadPlan:
    """What `upload` would do. Nothing is sent."""
    with open_dataset(account, data, watch, cancel or CancelToken()) as dataset:
        return dataset.plan


def check_dataset(data: Path, report: Path, watch: ProgressCallback, cancel: CancelToken) -> None:
    """Check the data set as training would, on this machine, before anything is sent; writes the report (JSON).

    Raises BackendError with what training would say, and Stopped when cancelled.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = OutputFiles(Path(scratch, "log.txt"), Path(scratch, "progress.json"))
        command = [sys.executable, "-m", "train.check_data", "--data", str(check_data_path(data)),
                   "--json", str(report), "--progress", str(output.progress)]  # fmt: skip
        if run_child(command, output, watch, env=python_environment(ROOT), cwd=ROOT, cancel=cancel):
            raise BackendError(last_error(output.log))


def check_weights(weights: Path) -> None:
    """Raises BackendError when there is no such file."""
    if not weights.is_file():
        raise BackendError(f"pretrained: there is no file {weights}; give imagenet, none or a weights file")


def upload_weights(
    account: Account, weights: Path, watch: ProgressCallback, cancel: CancelToken | None = None
) -> S3Location:
    """Make S3 hold a file of weights; returns the prefix that it lies in, which is called after its content."""
    cancel = cancel or CancelToken()
    check_weights(weights)
    try:
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:_DIGEST]
    except OSError as error:
        raise BackendError(f"pretrained: {weights} can't be read ({error.strerror})") from error
    location = account.location("data") / f"weights-{digest}"
    upload_files(account, compare_with_s3(account, {weights.name: weights}, location, watch, cancel), watch, cancel)
    return location


@contextmanager
def _files(
    account: Account, data: Path, watch: ProgressCallback, cancel: CancelToken
) -> Iterator[tuple[dict[str, Path], S3Location]]:
    """The files that are to lie in S3 by relative key, and where. Those that had to be made are gone afterwards."""
    source = check_data_path(data)
    digest = hashlib.sha256(os.fsencode(source)).hexdigest()[:_DIGEST]
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in source.name).strip("-")
    location = account.location("data") / f"{name[:40] or 'data'}-{digest}"
    if source.is_file():
        # An archive already.
        yield {source.name: source}, location
    elif account.settings.data.form == "archives":
        with tempfile.TemporaryDirectory() as scratch:
            yield _pack(source, Path(scratch), watch, cancel), S3Location(location.bucket, f"{location.key}-archives")
    else:
        if not (files := list_files(source)):
            raise BackendError(f"there are no files in {data}; give --data a folder with train/CLASS/photo.jpg")
        yield files, location


def _pack(data: Path, scratch: Path, watch: ProgressCallback, cancel: CancelToken) -> dict[str, Path]:
    """One tar a split, by `train.pack`."""
    watch(JobProgress("packing", 0, 1, "archives"))
    log, archives = scratch / "log.txt", scratch / "packed"
    command = [sys.executable, "-m", "train.pack", "--data", str(data), "--out", str(archives)]
    files = OutputFiles(log, scratch / "progress.json")
    if run_child(command, files, watch, env=python_environment(ROOT), cwd=ROOT, cancel=cancel):
        raise BackendError(last_error(log))
    return list_files(archives)


def _channels(account: Account, location: S3Location, files: Mapping[str, Path]) -> dict[str, str]:
    """One channel for folders, in which training finds the splits; of archives each split is a channel of its own."""
    splits = sorted({key.split("/")[0] for key in files})
    if account.settings.data.form == "archives" and all("/" in key for key in files):
        return {split: f"{location.url}/{split}/" for split in splits}
    return {DATA_CHANNEL: f"{location.url}/"}
