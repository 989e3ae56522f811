"""The door to smdebug 1.0.34 for whoever reads tensors: quiet, and without torch.

smdebug was written for Python 3.6 to 3.8 and is no longer maintained. What it takes to live with it stands here, and in
`_smdebug_torch` for whoever saves tensors, each with its reason; nobody else imports it.
"""

import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from contract.environment import environment
from model._stand_in import boto3_on_demand

__all__ = [
    "CHECKSUM_MAGIC_BYTES",
    "END_OF_JOB_FILENAME",
    "FileWriter",
    "IndexFileLocationUtils",
    "LocalTrial",
    "ModeKeys",
    "NoMoreData",
    "ReadObjectRequest",
    "ReductionConfig",
    "S3Handler",
    "S3Trial",
    "SaveConfig",
    "SaveConfigMode",
    "StepUnavailable",
    "TensorFileLocation",
    "TensorReader",
    "TensorUnavailable",
    "TensorUnavailableForStep",
    "create_trial",
    "has_training_ended",
    "imported_quietly",
    "is_s3",
    "masked_crc32c",
]


@contextmanager
def imported_quietly() -> Iterator[None]:
    """Around every import of smdebug's modules."""
    # It prints every step on stdout, among training's own lines. What goes wrong is raised, and reported by Kennel.
    level = os.environ.get("SMDEBUG_LOG_LEVEL", "critical")
    # Its regular expressions have escapes that Python deprecates, and its generated messages use protobuf's old ways.
    with warnings.catch_warnings(), environment({"SMDEBUG_LOG_LEVEL": level}):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _without_torch() -> Iterator[None]:
    """smdebug.core.utils imports torch.distributed where there is one: seconds that a reader doesn't need."""
    if "torch" in sys.modules:
        yield
        return
    # None makes `import torch` raise ImportError, which smdebug expects of machines without it.
    modules: dict[str, Any] = sys.modules
    modules["torch"] = None
    try:
        yield
    finally:
        del modules["torch"]


def _without_profiler() -> None:
    """Leave out what imports pandas, a second that nobody here needs: smdebug.profiler's __init__, though not its other
    modules, and the class that create_trial returns for profiler's files.
    """
    found = importlib.util.find_spec("smdebug")
    if found is None or found.origin is None or "smdebug.profiler" in sys.modules:
        return
    package = ModuleType("smdebug.profiler")
    package.__path__ = [str(Path(found.origin).parent / "profiler")]
    trial: Any = ModuleType("smdebug.trials.profiler_trial")
    trial.ProfilerTrial = None
    sys.modules.update({each.__name__: each for each in (package, trial)})


_without_profiler()
with imported_quietly(), _without_torch(), boto3_on_demand():
    from smdebug.core.access_layer.s3handler import ReadObjectRequest, S3Handler
    from smdebug.core.access_layer.utils import END_OF_JOB_FILENAME, has_training_ended
    from smdebug.core.locations import IndexFileLocationUtils, TensorFileLocation
    from smdebug.core.modes import ModeKeys
    from smdebug.core.reduction_config import ReductionConfig
    from smdebug.core.save_config import SaveConfig, SaveConfigMode
    from smdebug.core.tfrecord.record_writer import CHECKSUM_MAGIC_BYTES, masked_crc32c
    from smdebug.core.tfrecord.tensor_reader import TensorReader
    from smdebug.core.utils import is_s3
    from smdebug.core.writer import FileWriter
    from smdebug.exceptions import NoMoreData, StepUnavailable, TensorUnavailable, TensorUnavailableForStep
    from smdebug.trials import LocalTrial, S3Trial, create_trial
