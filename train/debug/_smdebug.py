"""The door to smdebug, for those who read tensors: its warnings, its log and its import of torch stay behind it."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_import(torch: bool = False) -> Iterator[None]:
    """Import smdebug in here. torch: whether it may import torch, which takes seconds and which reading never needs."""
    level = os.environ.get("SMDEBUG_LOG_LEVEL")
    hidden = not torch and "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]  # the documented way to make an import fail
    os.environ.setdefault("SMDEBUG_LOG_LEVEL", "warning")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in its source
            yield
    finally:
        if hidden:
            del sys.modules["torch"]
        if level is None:
            os.environ.pop("SMDEBUG_LOG_LEVEL", None)


def open_trial(path: str) -> Any:
    """The trial of a folder or an s3:// URL. Nothing but the names of files is read yet.

    Opened smdebug's own way it waits, for ever if need be, for the collections of all workers, and then keeps the
    place of every tensor of every step.
    """
    with quiet_import():
        from smdebug.core.utils import is_s3
        from smdebug.trials import LocalTrial, S3Trial

    class Local(LocalTrial):  # type: ignore[misc]
        def _load_collections(self) -> None:
            self.num_workers = 1

        def refresh_data(self) -> None:
            pass

    class Remote(S3Trial):  # type: ignore[misc]
        _load_collections = Local._load_collections
        refresh_data = Local.refresh_data

    logger = logging.getLogger("smdebug")
    logger.setLevel(max(logger.level, logging.WARNING))  # "Loading trial ..." is nobody's news
    remote, bucket, prefix = is_s3(path)
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return Remote(name, bucket, prefix) if remote else Local(name, path)


def training_has_ended(path: str) -> bool:
    """Whether smdebug's end file is there. None is written where TRAINING_JOB_NAME is set."""
    with quiet_import():
        from smdebug.core.access_layer.utils import has_training_ended
    return bool(has_training_ended(path))


def read_object(url: str) -> bytes | None:
    """The content of an s3:// URL; None if there is no such object."""
    with quiet_import():
        from smdebug.core.access_layer.s3handler import ReadObjectRequest, S3Handler
    content: bytes | None = S3Handler.get_object(ReadObjectRequest(url))
    return content


def read_tensor(record: bytes) -> Any:
    """The tensor in a record of an event file, as smdebug reads it."""
    with quiet_import():
        from smdebug.core.tfrecord.tensor_reader import TensorReader
    return next(iter(TensorReader(record).read_tensors()))[2]
