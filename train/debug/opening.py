"""smdebug's trials, opened without waiting."""

import logging
from typing import Any

from train.debug._smdebug import (
    LocalTrial,
    ReadObjectRequest,
    S3Handler,
    S3Trial,
    TensorReader,
    has_training_ended,
    is_s3,
)


class _Unread:
    """smdebug opens a trial by waiting, for ever if need be, for the collections of all workers, and then keeps the
    place of every tensor of every step.
    """

    num_workers: int

    def _load_collections(self) -> None:
        self.num_workers = 1

    def refresh_data(self) -> None:
        pass


class _Local(_Unread, LocalTrial):  # type: ignore[misc]  # smdebug is untyped
    pass


class _Remote(_Unread, S3Trial):  # type: ignore[misc]
    pass


def open_trial(path: str) -> Any:
    """The trial of a folder or an s3:// URL; none of its files is read yet."""
    logger = logging.getLogger("smdebug")
    logger.setLevel(max(logger.level, logging.WARNING))  # "Loading trial ..." is nobody's news
    remote, bucket, prefix = is_s3(path)
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return _Remote(name, bucket, prefix) if remote else _Local(name, path)


def training_has_ended(path: str) -> bool:
    """Whether smdebug's end file is there. None is written where TRAINING_JOB_NAME is set."""
    return bool(has_training_ended(path))


def read_object(url: str) -> bytes | None:
    """The content of an s3:// URL; None if there is no such object."""
    content: bytes | None = S3Handler.get_object(ReadObjectRequest(url))
    return content


def read_tensor(record: bytes) -> Any:
    """The tensor in a record of an event file, as smdebug reads it."""
    return next(iter(TensorReader(record).read_tensors()))[2]
