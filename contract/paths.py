"""The /opt/ml tree as SageMaker lays it out; `KENNEL_ML_ROOT` moves its root."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT_VARIABLE = "KENNEL_ML_ROOT"
DEFAULT_ROOT = Path("/opt/ml")


class _Below:
    """A path below the root."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __get__(self, paths: "MLPaths", _owner: type) -> Path:
        return paths.root / self._path


@dataclass(frozen=True)
class MLPaths:
    """Where a job finds its input and leaves its output, below one root."""

    root: Path = DEFAULT_ROOT

    config = _Below("input/config")
    hyperparameters = _Below("input/config/hyperparameters.json")
    inputdataconfig = _Below("input/config/inputdataconfig.json")
    resourceconfig = _Below("input/config/resourceconfig.json")
    debughookconfig = _Below("input/config/debughookconfig.json")
    profilerconfig = _Below("input/config/profilerconfig.json")
    input_data = _Below("input/data")
    model = _Below("model")

    output = _Below("output")
    failure = _Below("output/failure")
    progress = _Below("output/progress.json")
    # SageMaker's default LocalPath of a TensorBoardOutputConfig: what is in it goes to S3 while the job runs.
    tensorboard = _Below("output/tensorboard")
    # Those of a DebugHookConfig and a ProfilerConfig.
    tensors = _Below("output/tensors")
    profiler = _Below("output/profiler")

    output_data = _Below("output/data")
    metrics = _Below("output/data/metrics.jsonl")
    data_report = _Below("output/data/data.json")
    evaluation = _Below("output/data/evaluation.json")
    evaluation_page = _Below("output/data/evaluation.html")
    debugger_report = _Below("output/data/debugger-report.json")
    debugger_page = _Below("output/data/debugger-report.html")
    profiler_report = _Below("output/data/profiler-report.json")
    profiler_page = _Below("output/data/profiler-report.html")
    tuning_report = _Below("output/data/tuning.json")
    tuning_page = _Below("output/data/tuning-report.html")
    # The best trial's, as `hyperparameters` takes them.
    best_hyperparameters = _Below("output/data/best-hyperparameters.json")

    # SageMaker's default LocalPath of a CheckpointConfig: kept in S3, and there again when a spot job goes on.
    checkpoints = _Below("checkpoints")
    # What a training needs to go on after its last whole epoch, and a search to go on where it was.
    training_checkpoint = _Below("checkpoints/training.safetensors")
    tuning_checkpoints = _Below("checkpoints/tuning")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "MLPaths":
        """The tree below `KENNEL_ML_ROOT`, or /opt/ml when that is unset or empty."""
        return cls(Path(environ.get(ROOT_VARIABLE) or DEFAULT_ROOT))
