"""What is profiled, how often and where to: SageMaker's profilerconfig.json, else the hyperparameters."""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.errors import ConfigError
from contract.paths import DEFAULT_ROOT, MLPaths
from contract.texts import quoted_json

INTERVALS_MS: Final = (100, 60_000)
MOST_STEPS: Final = 999
# In the order of how closely they mean operators; smdebug's names, which it compares in lower case.
_WINDOWS: Final = ("DetailedProfilingConfig", "PythonProfilingConfig", "DataloaderProfilingConfig")


@dataclass(frozen=True)
class ProfilerSettings:
    """folder: for all files. interval_ms: between samples of the machine. steps: auto, none or FIRST:COUNT.

    on: False when SageMaker's file switches the profiler off.
    """

    folder: Path
    interval_ms: int
    steps: str
    on: bool = True

    def window(self, total: int) -> range:
        """The training steps, from 0, whose operators are recorded, out of `total` of them."""
        if self.steps == "none":
            return range(0)
        if self.steps == "auto":
            # Late enough for caches and thread pools to be warm; a short training has no such step.
            return range(10, 13) if total >= 15 else range(1, min(2, total))
        first, count = (int(part) for part in self.steps.split(":"))
        return range(min(first, total), min(first + count, total))


def read_settings(paths: MLPaths, interval_ms: int, steps: str) -> ProfilerSettings:
    """The settings of the job below `paths.root`. interval_ms, steps: hyperparameters, for what the file leaves out.

    Raises ConfigError, one sentence, when profilerconfig.json is there and can't be followed.
    """
    defaults = ProfilerSettings(paths.profiler, interval_ms, steps)
    try:
        given = json.loads(paths.profilerconfig.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return defaults
    except (OSError, ValueError, RecursionError) as error:
        raise _fault(f"can't be read as JSON ({error}); write a JSON object") from None
    config = _lower(given, "the file")
    parameters = _lower(config.get("profilingparameters"), "ProfilingParameters")
    if _flag(config, "DisableProfiler", False) or not _flag(parameters, "ProfilerEnabled", True):
        return ProfilerSettings(paths.profiler, interval_ms, "none", on=False)
    name = "ProfilingIntervalInMilliseconds"
    interval = {**parameters, **config}.get(name.lower())
    if interval is not None:
        interval_ms = _number(name, interval, *INTERVALS_MS)
    return ProfilerSettings(_folder(paths, parameters), interval_ms, _steps(parameters) or steps)


def _fault(text: str) -> ConfigError:
    return ConfigError(f"profilerconfig.json: {text}")


def _lower(value: Any, name: str) -> dict[str, Any]:
    """A JSON object with its keys in lower case: SageMaker's own reader ignores case."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _fault(f"{name} must be a JSON object, got {quoted_json(value)}")
    return {key.lower(): each for key, each in value.items()}


def _flag(values: Mapping[str, Any], name: str, default: bool) -> bool:
    value = values.get(name.lower())
    word = "" if value is None else str(value).lower()
    words = {"true": True, "false": False, "": default}
    if word not in words:
        raise _fault(f"{name} must be true or false, got {quoted_json(value)}")
    return words[word]


def _number(name: str, value: Any, low: int, high: int) -> int:
    try:
        number = float(value) if not isinstance(value, bool) else low - 1.0
    except (TypeError, ValueError, OverflowError):
        number = low - 1.0
    if not low <= number <= high or number != int(number):
        raise _fault(f"{name} must be an integer from {low} to {high}, got {quoted_json(value)}")
    return int(number)


def _folder(paths: MLPaths, parameters: Mapping[str, Any]) -> Path:
    """LocalPath; SageMaker's own tree lies where `paths` has it."""
    value = parameters.get("localpath")
    if value is None or value == "":
        return paths.profiler
    if not isinstance(value, str) or not Path(value).is_absolute():
        raise _fault(f"LocalPath must be an absolute path, got {quoted_json(value)}")
    path = Path(value)
    return paths.root / path.relative_to(DEFAULT_ROOT) if path.is_relative_to(DEFAULT_ROOT) else path


def _steps(parameters: Mapping[str, Any]) -> str | None:
    """The window as FIRST:COUNT; None when no part of the file gives one in steps."""
    for name in _WINDOWS:
        if (found := _step_range(_nested(parameters.get(name.lower()), name), name)) is not None:
            return found
    return _step_range(parameters, "ProfilingParameters")


def _step_range(values: Mapping[str, Any], name: str) -> str | None:
    first, count = values.get("startstep"), values.get("numsteps")
    if first is None and count is None:
        return None
    # smdebug's defaults: from the current step on, one step.
    start = 0 if first is None else _number(f"StartStep of {name}", first, 0, 999_999)
    number = 1 if count is None else _number(f"NumSteps of {name}", count, 1, MOST_STEPS)
    return f"{start}:{number}"


def _nested(value: Any, name: str) -> dict[str, Any]:
    """An object within a string; the SageMaker SDK writes Python's form of it, with a comma at the end."""
    if isinstance(value, str):
        text = value.strip() or "{}"
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(text)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return _lower(value, name)
