"""Sends what S3 lacks of a folder's files, and removes what is gone."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from backends.base import JobProgress, ProgressCallback
from backends.cancel import CancelToken
from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.errors import translate_aws_errors
from backends.sagemaker.storage.objects import remove_names, run_concurrently
from backends.sagemaker.storage.sync import Difference, UploadedFile, checksums_location

# Larger files are sent in parts, which boto3 does by itself.
_ONE_PART: Final = 64 << 20
_NOTE_S: Final = 10.0


def upload_files(account: Account, difference: Difference, watch: ProgressCallback, cancel: CancelToken) -> None:
    """Make S3 hold what the difference says. What is sent before an error or a cancellation isn't sent again.

    Raises BackendError, and Stopped when cancelled.
    """
    checksums = _ChecksumFile(account, difference)
    meter = _Meter(difference.bytes_to_send, watch)
    sender = _Sender(account, difference, meter)
    try:
        for key, sent in run_concurrently(difference.send, sender, cancel, "uploading"):
            checksums.add(key, sent)
            meter.show()
        remove_names(account, difference.location, difference.obsolete)
    except BackendError:
        with contextlib.suppress(BackendError):
            checksums.write()
        raise
    if difference.send or difference.obsolete:
        checksums.write()


class _ChecksumFile:
    """What S3 has by now, written every few seconds and at the end."""

    def __init__(self, account: Account, difference: Difference) -> None:
        self._account = account
        self._place = checksums_location(difference.location)
        self._files = dict(difference.unchanged)
        self._due = time.monotonic() + _NOTE_S

    def add(self, key: str, sent: UploadedFile) -> None:
        self._files[key] = sent
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        rows = {key: [sent.sha256, sent.etag] for key, sent in sorted(self._files.items())}
        document = {"kms_key": self._account.settings.sagemaker.kms_key, "files": rows}
        with translate_aws_errors(f"writing {self._place.url}"):
            self._account.client("s3").put_object(
                Bucket=self._place.bucket, Key=self._place.key, Body=json.dumps(document).encode(),
                **self._account.encryption,
            )  # fmt: skip
        self._due = time.monotonic() + _NOTE_S


class _Meter:
    """Bytes sent, counted by many threads and shown by one."""

    def __init__(self, total: int, watch: ProgressCallback) -> None:
        self._unit, self._size = ("MB", 10**6) if total >= 10**7 else ("kB", 10**3)
        self._total = total
        self._watch = watch
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count

    def show(self) -> None:
        done, total = (-(-each // self._size) for each in (self._done, self._total))
        self._watch(JobProgress("uploading", done, total, self._unit))


class _Sender:
    """Sends one file, in a thread; returns what S3 has of it."""

    def __init__(self, account: Account, difference: Difference, meter: _Meter) -> None:
        self._difference = difference
        self._extra = account.encryption
        self._meter = meter
        self._client = account.client("s3")

    def __call__(self, key: str) -> UploadedFile:
        file, digest = self._difference.files[key], self._difference.sums[key]
        target = {"Bucket": self._difference.location.bucket, "Key": f"{self._difference.location.key}/{key}"}
        try:
            with translate_aws_errors(f"uploading {file}"):
                if self._difference.sizes[key] > _ONE_PART:
                    self._client.upload_file(
                        str(file), **target, Callback=self._meter.add,
                        ExtraArgs={**self._extra, "ChecksumAlgorithm": "SHA256"},
                    )  # fmt: skip
                    answer: Mapping[str, Any] = self._client.head_object(**target)
                else:
                    answer = self._send_whole(file, digest, target)
        except OSError as error:
            raise BackendError(f"{file} can't be read ({error.strerror}); repair or remove it") from error
        return UploadedFile(digest, answer["ETag"])

    def _send_whole(self, file: Path, digest: str, target: Mapping[str, str]) -> Mapping[str, Any]:
        # S3 refuses what doesn't have this sum: a file that changed since it was read, say.
        sum_of_it = base64.b64encode(bytes.fromhex(digest)).decode()
        with file.open("rb") as content:
            answer: Mapping[str, Any] = self._client.put_object(
                **target, Body=content, ChecksumSHA256=sum_of_it, **self._extra
            )
            self._meter.add(content.tell())
        return answer
