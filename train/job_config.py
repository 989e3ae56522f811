"""Read SageMaker's input/config files, and name every fault in them at once."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters, describe_faults
from contract.job import ALONE, Job
from contract.paths import MLPaths
from contract.rules.request import RuleSelection, parse_rules
from tuning.objective import parse_objectives
from tuning.space import Space

_T = TypeVar("_T")


def read_job(paths: MLPaths) -> Job:
    """The job described below `paths.root`; a config file that isn't there means its defaults.

    Raises ConfigError that names all faults of all files.
    """
    faults: list[str] = []
    raw = _read_object(paths.hyperparameters, faults)
    parsed, wrong = Hyperparameters.read(raw)
    if wrong:
        faults.append(describe_faults("hyperparameter", wrong))
    hyperparameters = Hyperparameters() if wrong else parsed
    rules = _checked(lambda: parse_rules(parsed.rules), faults) or RuleSelection()
    if parsed.tune_trials:
        _checked(lambda: Space.parse(parsed.tune_space), faults)
    # Also without a search, as it says whether to measure the latency.
    _checked(lambda: parse_objectives(parsed.tune_objective), faults)
    if hyperparameters.profile == "on":
        from contract.profiler import read_settings

        _checked(lambda: read_settings(paths, hyperparameters.profile_interval, hyperparameters.profile_steps), faults)
    if hyperparameters.debug == "on":
        _read_object(paths.debughookconfig, faults)
    resources = _read_object(paths.resourceconfig, faults)
    hosts, here = _hosts(resources, faults)
    if len(hosts) > 1 and not hyperparameters.tune_trials and hyperparameters.batch_size < 2 * len(hosts):
        faults.append(
            f"batch_size: {hyperparameters.batch_size} images are too few for {len(hosts)} hosts, each of which needs "
            f"2 of a batch; raise it to {2 * len(hosts)} at least, or set the instance count to "
            f"{max(1, hyperparameters.batch_size // 2)}"
        )
    channels = _channels(paths, _read_object(paths.inputdataconfig, faults), faults)
    if faults:
        raise ConfigError(describe_faults("configuration", faults))
    tuner_objective = _text(raw.get("_tuning_objective_metric"))
    interface = _text(resources.get("network_interface_name")) or ""
    return Job(hyperparameters, channels, rules, hosts, here, interface, tuner_objective)


def read_port(environ: Mapping[str, str], variable: str, default: int) -> int:
    """The port at which rank 0 of several hosts listens. Raises ConfigError when the variable is no port."""
    raw = environ.get(variable) or str(default)
    if not raw.isascii() or not raw.isdigit() or not 0 < int(raw[:6]) < 65536:
        raise ConfigError(f"{variable}: must be a port from 1 to 65535, the same on all hosts, got {raw}")
    return int(raw)


def _text(raw: object) -> str | None:
    """A text as SageMaker passes it: JSON-encoded or not."""
    if not isinstance(raw, str):
        return None
    with suppress(ValueError, RecursionError):
        value = json.loads(raw)
        return value if isinstance(value, str) else raw
    return raw


def _checked(parse: Callable[[], _T], faults: list[str]) -> _T | None:
    """What `parse` returns; None after a fault, which is added to `faults` unless it is in them."""
    try:
        return parse()
    except ConfigError as error:
        if not any(str(error) in fault for fault in faults):
            faults.append(str(error))
        return None


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


def _hosts(resources: dict[str, Any], faults: list[str]) -> tuple[tuple[str, ...], str]:
    """All hosts, sorted, and this one."""
    hosts, current = resources.get("hosts", []), resources.get("current_host")
    if not isinstance(hosts, list) or len(hosts) < 2:
        return (ALONE,), ALONE
    if not all(isinstance(host, str) and host for host in hosts) or len(set(hosts)) < len(hosts):
        faults.append(f"resourceconfig.json: hosts must be different names, got {json.dumps(hosts)[:200]}")
    elif not isinstance(current, str) or current not in hosts:
        faults.append(f"resourceconfig.json: current_host must be one of {', '.join(hosts)}, got {json.dumps(current)}")
    else:
        return tuple(sorted(hosts)), current
    return (ALONE,), ALONE


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
