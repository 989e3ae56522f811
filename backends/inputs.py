"""Lays out a training run's /opt/ml tree as SageMaker would."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from backends.errors import BackendError
from backends.runs import Run
from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters

DATA_CHANNEL: Final = "training"
PRETRAINED_CHANNEL: Final = "pretrained"


def parse_settings(texts: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE texts by name. Raises BackendError for one without `=` or a name given twice."""
    values: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise BackendError(f"--set takes NAME=VALUE, got {text!r}")
        if name in values:
            raise BackendError(f"--set {name} is given twice; give it once")
        values[name] = value
    return values


def parse_hyperparameters(values: Mapping[str, str]) -> Hyperparameters:
    """Hyperparameters from texts. Raises BackendError with all faults at once."""
    try:
        return Hyperparameters.parse(values)
    except ConfigError as error:
        raise BackendError(str(error)) from error


def check_data_path(data: Path) -> Path:
    """The data set's absolute path: a folder, or an archive. Raises BackendError when there is neither."""
    if not data.exists():
        raise BackendError(
            f"there is no data folder {data}; give --data a folder with train/CLASS/photo.jpg, or a .tar or .zip file"
        )
    return data.absolute()


def place_inside(folder: str, data: Path) -> str:
    """Where a job sees the data set: the folder itself, or an archive in it under its own name."""
    # The name of an archive shows its format, so it is kept.
    return folder if data.is_dir() else f"{folder}/{data.name}"


def is_url(path: str) -> bool:
    """Whether it is an s3:// URL, and so no path of this machine's."""
    return path.startswith("s3://")


def check_report(report: Path) -> Path:
    """The report's absolute path. Raises BackendError for a name that its page would take."""
    if report.suffix == ".html":
        raise BackendError(f"--json {report} is where the page would go; give the report a name that ends in .json")
    return report.resolve()


def write_inputs(run: Run, data: Path, hyperparameters: Hyperparameters, root: str) -> dict[str, Path]:
    """Write input/config; returns what must appear below input/data: path there -> file or folder here.

    root: where the job will see the run's ml folder. The whole data set is one channel; train finds the splits in
    it. A weights file named by `pretrained` becomes a channel of its own, as it has to on SageMaker.
    """
    source = check_data_path(data)
    sources = {place_inside(DATA_CHANNEL, source): source.resolve()}
    channels = [DATA_CHANNEL]
    if hyperparameters.pretrained not in ("imagenet", "none"):
        weights = Path(hyperparameters.pretrained)
        if not weights.is_file():
            raise BackendError(f"pretrained: there is no file {weights}; give imagenet, none or a weights file")
        inside = f"{PRETRAINED_CHANNEL}/{weights.name}"
        sources[inside] = weights.resolve()
        channels.append(PRETRAINED_CHANNEL)
        hyperparameters = replace(hyperparameters, pretrained=f"{root}/input/data/{inside}")
    hyperparameters = replace(hyperparameters, rules=rules_text(hyperparameters.rules))
    config = {name: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"} for name in channels}
    host = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
    _write(run, "hyperparameters.json", hyperparameters.to_json())
    _write(run, "inputdataconfig.json", config)
    _write(run, "resourceconfig.json", host)
    return sources


def rules_text(text: str) -> str:
    """The rules as text: of a file the contents, for the job can't see this machine's files."""
    if not text.endswith(".json"):
        return text
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise BackendError(
            f"rules: {text} can't be read; give the path of a JSON file of rule configurations"
        ) from None


def _write(run: Run, name: str, value: object) -> None:
    (run.ml / "input" / "config" / name).write_text(json.dumps(value, indent=2) + "\n")
