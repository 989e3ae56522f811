"""Reads SageMaker's input/config files and tells every fault in them at once."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import ConfigError
from model.paths import MLPaths
from train.config import Hyperparameters, describe_faults


@dataclass(frozen=True)
class Job:
    """What one training job was asked to do: its hyperparameters and its channels (name -> folder)."""

    hyperparameters: Hyperparameters
    channels: dict[str, Path]


def read_job(paths: MLPaths) -> Job:
    """The job described below `paths.root`; a config file that isn't there means its defaults.

    Raises ConfigError that names all faults of all files.
    """
    faults: list[str] = []
    hyperparameters = Hyperparameters()
    try:
        hyperparameters = Hyperparameters.parse(_read_object(paths.hyperparameters, faults))
    except ConfigError as error:
        faults.append(str(error))
    if hyperparameters.profile == "on" and paths.profilerconfig.exists():
        from train.profile.settings import read_settings

        try:
            read_settings(paths, hyperparameters.profile_interval, hyperparameters.profile_steps)
        except ConfigError as error:
            faults.append(str(error))
    _check_hosts(_read_object(paths.resourceconfig, faults), faults)
    channels = _channels(paths, _read_object(paths.inputdataconfig, faults), faults)
    if faults:
        raise ConfigError(describe_faults("configuration", faults))
    return Job(hyperparameters, channels)


def _read_object(file: Path, faults: list[str]) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError, OSError) as error:
        faults.append(f"{file.name} can't be read as JSON ({error}); write a JSON object")
        return {}
    if not isinstance(value, dict):
        faults.append(f"{file.name} must hold a JSON object, got {type(value).__name__}")
        return {}
    return value


def _check_hosts(resources: dict[str, Any], faults: list[str]) -> None:
    hosts = resources.get("hosts", [])
    if isinstance(hosts, list) and len(hosts) > 1:
        # Every host would train the same model from the same data, at that many times the price.
        faults.append(
            f"resourceconfig.json lists {len(hosts)} hosts, Kennel trains on one; set the instance count to 1"
        )


def _channels(paths: MLPaths, config: dict[str, Any], faults: list[str]) -> dict[str, Path]:
    if config:
        for name, about in config.items():
            mode = about.get("TrainingInputMode", "File") if isinstance(about, dict) else "File"
            if mode not in ("File", "FastFile"):
                faults.append(f"channel {name}: input mode {mode} isn't supported; use File or FastFile")
        names = list(config)
    elif paths.input_data.is_dir():
        names = [p.name for p in sorted(paths.input_data.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    else:
        names = []
    return {name: paths.input_data / name for name in names}
