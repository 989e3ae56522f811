"""What can be set about serving: one table of environment variables, with default, range and help.

How many processes and threads serve follows from the machine and what was asked for.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from contract.errors import ConfigError
from contract.options import allowed, choice, number, parsed, read_texts, text
from contract.paths import DEFAULT_ROOT, ROOT_VARIABLE
from contract.texts import quoted
from serve.engines.base import DEVICES, ENGINE_FORMS, PRECISIONS
from serve.engines.registry import AUTO, ENGINES
from serve.media_types import RESPONSE_FORMATS, ResponseFormat, negotiate

MB: Final = 1024 * 1024
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_SAFE_PORTS: Final = "SAGEMAKER_SAFE_PORT_RANGE"
_SAGEMAKER_PORT: Final = "SAGEMAKER_BIND_TO_PORT"
# Asynchronous inference's 1 GB is the most that ever comes.
_MOST_MB: Final = 1024


def _port_range(text: str) -> tuple[int, int]:
    first, last = (int(part) for part in text.split("-", 1))
    if not 1 <= first <= last <= 65535:
        raise ValueError
    return first, last


def _strategy(text: str) -> str:
    # Jobs are described with SingleRecord; containers get, and answer, SINGLE_RECORD.
    known = {"singlerecord": "SINGLE_RECORD", "multirecord": "MULTI_RECORD"}
    return known[text.lower().replace("_", "")]


def _accept(text: str) -> ResponseFormat:
    response_format = negotiate(text)
    if response_format is None:
        raise ValueError
    return response_format


def _log_level(text: str) -> int:
    # SageMaker's SDK sends Python's numbers (20), people write names.
    if text.isdecimal() and len(text) <= 2:
        return int(text)
    if text.lower() not in _LEVELS:
        raise ValueError
    return logging.getLevelNamesMapping()[text.upper()]


@dataclass(frozen=True)
class ServeSettings:
    """Each setting with its default, range, help and variables: `python -m serve --help` lists them."""

    ml_root: Path = parsed(  # noqa: RUF009 - an immutable default
        str(DEFAULT_ROOT), "a folder", "the artifact is read from the folder model in it", Path, ROOT_VARIABLE
    )
    host: str = text("0.0.0.0", "an address", "address to listen on", variables="KENNEL_HOST")  # noqa: S104
    port: int = number(
        8080, 0, 65535, "port to listen on; 0 takes any free one, which the log names",
        variables=f"{_SAGEMAKER_PORT} KENNEL_PORT",
    )  # fmt: skip
    safe_port_range: tuple[int, int] | None = parsed(
        None, "FIRST-LAST, two ports from 1 to 65535", f"{_SAGEMAKER_PORT} must lie within it", _port_range, _SAFE_PORTS
    )
    workers: int = number(
        0, 0, 64, "processes, each with the model in its memory; 0: one for every 8 cores, for one uses them all",
        variables="SAGEMAKER_MODEL_SERVER_WORKERS",
    )  # fmt: skip
    engine: str = text(
        AUTO, f"one of {', '.join(ENGINES)}, or module:attribute",
        "what runs the network; auto: torch on a GPU, else openvino where the artifact has a form for it",
        rf"{'|'.join(ENGINES)}|[A-Za-z_][\w.]*:[A-Za-z_]\w*", variables="KENNEL_ENGINE",
    )  # fmt: skip
    device: str = choice("auto", DEVICES, "auto: a GPU if the machine has one that can be used", "KENNEL_DEVICE")
    form: str = choice(
        "auto", ENGINE_FORMS,
        "which of the artifact's networks to run; auto: the engine's, for openvino the artifact's default form",
        "KENNEL_FORM",
    )  # fmt: skip
    precision: str = choice(
        "auto", PRECISIONS, "what floating-point numbers to compute in; auto: the fastest that costs no accuracy",
        "KENNEL_PRECISION",
    )  # fmt: skip
    threads: int = number(
        0, 0, 1024, "cores a worker predicts on and images it decodes at once; 0: its share of the cores",
        variables="KENNEL_THREADS",
    )  # fmt: skip
    timeout_s: float = number(
        60.0, 1, 3600, "seconds a request waits for its prediction at most; then it is answered 503",
        variables="SAGEMAKER_MODEL_SERVER_TIMEOUT",
    )  # fmt: skip
    stuck_after_s: float = number(
        20.0, 1, 3600, "seconds after which a running prediction counts as stuck, and /ping says 503",
        variables="KENNEL_STUCK_AFTER",
    )  # fmt: skip
    max_waiting: int = number(
        128, 1, 1024, "images a worker holds at once, one a request at least; one more gets 503, Retry-After",
        variables="KENNEL_MAX_WAITING",
    )  # fmt: skip
    # Batch transform writes 0 for "no limit".
    max_payload_mb: int = number(
        6, 0, _MOST_MB, f"largest request body in MiB (1,048,576 bytes); 0 means {_MOST_MB}",
        variables="SAGEMAKER_MAX_PAYLOAD_IN_MB",
    )  # fmt: skip
    max_images: int = number(64, 1, 1024, "images in one request; more are answered 413", variables="KENNEL_MAX_IMAGES")
    batch: bool = parsed(
        "false", "true or false", "whether this is a batch transform job's server; SageMaker sets it",
        lambda text: {"true": True, "false": False}[text.lower()], "SAGEMAKER_BATCH",
    )  # fmt: skip
    batch_strategy: str = parsed(
        "SINGLE_RECORD", "SINGLE_RECORD or MULTI_RECORD",
        "reported at /execution-parameters; a request is one image with either", _strategy, "SAGEMAKER_BATCH_STRATEGY",
    )  # fmt: skip
    max_concurrent_transforms: int = number(
        0, 0, 1024, "requests that a transform job has under way at once, all let in; 0: by the cores",
        variables="SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
    )  # fmt: skip
    batch_errors: str = choice(
        "status", ("status", "answer"),
        "with SAGEMAKER_BATCH=true, answer: an image's own fault is reported in an answer of status 200",
        "KENNEL_BATCH_ERRORS",
    )  # fmt: skip
    default_accept: ResponseFormat = parsed(  # noqa: RUF009 - an immutable default
        "application/json", "one of " + ", ".join(map(str, RESPONSE_FORMATS)),
        "the answer's form when the request has no Accept, or */*", _accept, "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",
    )  # fmt: skip
    log_level: int = parsed(
        "info", f"one of {', '.join(_LEVELS)}, or Python's number for it", "debug also logs every request",
        _log_level, "SAGEMAKER_CONTAINER_LOG_LEVEL",
    )  # fmt: skip

    @property
    def max_payload_bytes(self) -> int:
        return (self.max_payload_mb or _MOST_MB) * MB

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "ServeSettings":
        """Raises ConfigError that names all faults at once."""
        given = {}
        for setting in fields(cls):
            if variable := next(filter(environ.get, setting.metadata["variables"]), None):
                given[variable] = setting
        values, faults = read_texts(given, environ)
        faults += _outside_range(values, environ)
        if faults:
            raise ConfigError(faults[0] if len(faults) == 1 else f"{len(faults)} settings: " + " | ".join(faults))
        settings = cls(**values)
        # A transform job is granted what it was announced with: none of its requests finds the server full.
        return replace(settings, max_waiting=max(settings.max_waiting, settings.max_concurrent_transforms))


def _outside_range(values: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """The range is about the port that SageMaker asks for; Kennel's own default isn't meant by it."""
    span, port = values.get("safe_port_range"), values.get("port")
    if not span or port is None or not environ.get(_SAGEMAKER_PORT) or span[0] <= port <= span[1]:
        return []
    return [f"{_SAGEMAKER_PORT} must lie within {_SAFE_PORTS} ({span[0]}-{span[1]}), got {port}"]


def default_text(setting: "Field[Any]") -> str:
    """A setting's default as its variable would say it; empty for none."""
    about, default = setting.metadata, setting.default
    if about["kind"] == "parsed":
        return about["text"] or ""
    return f"{default:g}" if isinstance(default, float) else quoted(default)


def describe() -> str:
    """The table for `python -m serve --help`."""
    lines = ["Environment variables:"]
    for setting in fields(ServeSettings):
        default = f" (default {default})" if (default := default_text(setting)) else ""
        lines.append(f"  {', else '.join(setting.metadata['variables'])}{default}")
        lines.append(f"      {setting.metadata['help']}; {allowed(setting)}")
    return "\n".join(lines)


# One Python process has one interpreter lock: what it does to a request beside decoding and predicting, about half a
# millisecond, bounds it to some 2,000 requests a second, which is what ten cores' worth of int8 predictions come to.
CORES_A_WORKER: Final = 8


def choose_concurrency(cpus: int, workers: int, threads: int) -> tuple[int, int]:
    """(workers, threads): processes, each with a copy of the model; cores that each may use for predicting, and as many
    images it decodes at once.

    cpus: cores this container may use. workers, threads: what the user set, 0 for what suits the machine.
    Together the workers never have more threads than there are cores, unless there are more workers than that.
    """
    workers = workers or max(1, cpus // CORES_A_WORKER)
    return workers, threads or max(1, cpus // workers)
