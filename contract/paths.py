"""The /opt/ml tree as SageMaker lays it out; `KENNEL_ML_ROOT` moves its root."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT_VARIABLE = "KENNEL_ML_ROOT"
DEFAULT_ROOT = Path("/opt/ml")


@dataclass(frozen=True)
class MLPaths:
    """Where a job finds its input and leaves its output, below one root."""

    root: Path = DEFAULT_ROOT

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "MLPaths":
        """The tree below `KENNEL_ML_ROOT`, or /opt/ml when that is unset or empty."""
        return cls(Path(environ.get(ROOT_VARIABLE) or DEFAULT_ROOT))

    @property
    def config(self) -> Path:
        return self.root / "input" / "config"

    @property
    def hyperparameters(self) -> Path:
        return self.config / "hyperparameters.json"

    @property
    def inputdataconfig(self) -> Path:
        return self.config / "inputdataconfig.json"

    @property
    def resourceconfig(self) -> Path:
        return self.config / "resourceconfig.json"

    @property
    def input_data(self) -> Path:
        return self.root / "input" / "data"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def output(self) -> Path:
        return self.root / "output"

    @property
    def failure(self) -> Path:
        return self.output / "failure"

    @property
    def output_data(self) -> Path:
        return self.output / "data"

    @property
    def metrics(self) -> Path:
        return self.output_data / "metrics.jsonl"

    @property
    def data_report(self) -> Path:
        return self.output_data / "data.json"

    @property
    def evaluation(self) -> Path:
        return self.output_data / "evaluation.json"

    @property
    def evaluation_page(self) -> Path:
        return self.output_data / "evaluation.html"

    @property
    def tensorboard(self) -> Path:
        """SageMaker's default LocalPath of a TensorBoardOutputConfig: what is in it goes to S3 while the job runs."""
        return self.output / "tensorboard"

    @property
    def debughookconfig(self) -> Path:
        return self.config / "debughookconfig.json"

    @property
    def profilerconfig(self) -> Path:
        return self.config / "profilerconfig.json"

    @property
    def tensors(self) -> Path:
        """SageMaker's default LocalPath of a DebugHookConfig."""
        return self.output / "tensors"

    @property
    def profiler(self) -> Path:
        """SageMaker's default LocalPath of a ProfilerConfig."""
        return self.output / "profiler"

    @property
    def debugger_report(self) -> Path:
        return self.output_data / "debugger-report.json"

    @property
    def debugger_page(self) -> Path:
        return self.output_data / "debugger-report.html"

    @property
    def profiler_report(self) -> Path:
        return self.output_data / "profiler-report.json"

    @property
    def profiler_page(self) -> Path:
        return self.output_data / "profiler-report.html"

    @property
    def checkpoints(self) -> Path:
        """SageMaker's default LocalPath of a CheckpointConfig: kept in S3, and there again when a spot job goes on."""
        return self.root / "checkpoints"

    @property
    def training_checkpoint(self) -> Path:
        """What a training needs to go on after its last whole epoch."""
        return self.checkpoints / "training.safetensors"

    @property
    def tuning_checkpoints(self) -> Path:
        """What a search needs to go on where it was."""
        return self.checkpoints / "tuning"

    @property
    def tuning_report(self) -> Path:
        return self.output_data / "tuning.json"

    @property
    def tuning_page(self) -> Path:
        return self.output_data / "tuning-report.html"

    @property
    def best_hyperparameters(self) -> Path:
        """The best trial's, as `hyperparameters` takes them."""
        return self.output_data / "best-hyperparameters.json"

    @property
    def progress(self) -> Path:
        return self.output / "progress.json"
