"""What can be set about serving: one table of environment variables, with default, range and help.

How many processes and threads serve follows from the machine and what was asked for.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from contract.errors import ConfigError
from contract.paths import DEFAULT_ROOT, ROOT_VARIABLE
from serve.engines.base import DEVICES, ENGINE_FORMS, PRECISIONS
from serve.engines.registry import AUTO, ENGINES
from serve.media_types import OFFERS, Offer, negotiate

MB: Final = 1024 * 1024
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True)
class Option:
    """One setting. The first of `variables` that is set and not empty counts. allowed: its values, in words.

    parse: text -> value; ValueError for what isn't allowed.
    """

    field: str
    variables: tuple[str, ...]
    default: str
    allowed: str
    help: str
    parse: Callable[[str], Any]


@dataclass(frozen=True)
class Settings:
    """The parsed values; OPTIONS says where each comes from and what it means."""

    ml_root: Path
    host: str
    port: int
    safe_port_range: tuple[int, int] | None
    workers: int
    engine: str
    device: str
    form: str
    precision: str
    threads: int
    timeout_s: float
    stuck_after_s: float
    max_waiting: int
    max_payload_bytes: int
    max_images: int
    batch: bool
    batch_strategy: str
    max_concurrent_transforms: int
    batch_errors: str
    default_accept: Offer
    log_level: int

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Raises ConfigError that tells all faults at once."""
        values: dict[str, Any] = {}
        faults: list[str] = []
        for option in OPTIONS:
            name = next((name for name in option.variables if environ.get(name)), None)
            given = environ[name] if name else option.default
            try:
                values[option.field] = option.parse(given.strip())
            except ValueError:
                faults.append(f"{name} must be {option.allowed}, got {given!r}")
        faults += _outside_range(values, environ)
        if faults:
            raise ConfigError(faults[0] if len(faults) == 1 else f"{len(faults)} settings: " + " | ".join(faults))
        # A transform job is granted what it was announced with: none of its requests finds the server full.
        values["max_waiting"] = max(values["max_waiting"], values["max_concurrent_transforms"])
        return cls(**values)


def _outside_range(values: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """The range is about the port that SageMaker asks for; Kennel's own default isn't meant by it."""
    span, port = values.get("safe_port_range"), values.get("port")
    if not span or port is None or not environ.get("SAGEMAKER_BIND_TO_PORT") or span[0] <= port <= span[1]:
        return []
    return [f"SAGEMAKER_BIND_TO_PORT must lie within SAGEMAKER_SAFE_PORT_RANGE ({span[0]}-{span[1]}), got {port}"]


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"-?\d{1,9}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not low <= (value := float(text)) <= high:
            raise ValueError
        return value

    return parse


def _port_range(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    first, last = (_integer(1, 65535)(part) for part in text.split("-", 1))
    if first > last:
        raise ValueError
    return first, last


def _payload(text: str) -> int:
    # Batch transform writes 0 for "no limit"; asynchronous inference's 1 GB is the most that ever comes.
    return (_integer(0, 1024)(text) or 1024) * MB


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def _strategy(text: str) -> str:
    # Jobs are described with SingleRecord; containers are told, and answer, SINGLE_RECORD.
    known = {"singlerecord": "SINGLE_RECORD", "multirecord": "MULTI_RECORD"}
    if (name := known.get(text.lower().replace("_", ""))) is None:
        raise ValueError
    return name


def _batch_errors(text: str) -> str:
    if text not in ("status", "answer"):
        raise ValueError
    return text


def _engine(text: str) -> str:
    if text not in ENGINES and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text):
        raise ValueError
    return text


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    return parse


def _accept(text: str) -> Offer:
    offer = negotiate(text)
    if offer is None:
        raise ValueError
    return offer


def _log_level(text: str) -> int:
    # SageMaker's SDK sends Python's numbers (20), people write names.
    if re.fullmatch(r"\d{1,2}", text):
        return int(text)
    if text.lower() not in _LEVELS:
        raise ValueError
    return int(logging.getLevelNamesMapping()[text.upper()])


OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "ml_root", (ROOT_VARIABLE,), str(DEFAULT_ROOT), "a folder",
        "the artifact is read from the folder model in it", Path,
    ),
    Option("host", ("KENNEL_HOST",), "0.0.0.0", "an address", "address to listen on", str),  # noqa: S104
    Option(
        "port", ("SAGEMAKER_BIND_TO_PORT", "KENNEL_PORT"), "8080", "an integer from 0 to 65535",
        "port to listen on; 0 takes any free one, which the log names", _integer(0, 65535),
    ),
    Option(
        "safe_port_range", ("SAGEMAKER_SAFE_PORT_RANGE",), "", "FIRST-LAST, two ports from 1 to 65535",
        "SAGEMAKER_BIND_TO_PORT must lie within it", _port_range,
    ),
    Option(
        "workers", ("SAGEMAKER_MODEL_SERVER_WORKERS",), "0", "an integer from 0 to 64",
        "processes, each with the model in its memory; 0: one for every 8 cores, for one uses them all",
        _integer(0, 64),
    ),
    Option(
        "engine", ("KENNEL_ENGINE",), AUTO, f"one of {', '.join(ENGINES)}, or module:attribute",
        "what runs the network; auto: torch on a GPU, else openvino where the artifact has a form for it", _engine,
    ),
    Option(
        "device", ("KENNEL_DEVICE",), "auto", f"one of {', '.join(DEVICES)}",
        "auto: a GPU if the machine has one that can be used", _one_of(DEVICES),
    ),
    Option(
        "form", ("KENNEL_FORM",), "auto", f"one of {', '.join(ENGINE_FORMS)}",
        "which of the artifact's networks to run; auto: the engine's, for openvino the artifact's default form",
        _one_of(ENGINE_FORMS),
    ),
    Option(
        "precision", ("KENNEL_PRECISION",), "auto", f"one of {', '.join(PRECISIONS)}",
        "what floating-point numbers to compute in; auto: the fastest that costs no accuracy", _one_of(PRECISIONS),
    ),
    Option(
        "threads", ("KENNEL_THREADS",), "0", "an integer from 0 to 1024",
        "cores a worker predicts on, and images it decodes at once; 0: the cores it may use, shared among the workers",
        _integer(0, 1024),
    ),
    Option(
        "timeout_s", ("SAGEMAKER_MODEL_SERVER_TIMEOUT",), "60", "a number from 1 to 3600",
        "seconds a request waits for its prediction at most; then it is answered 503", _seconds(1, 3600),
    ),
    Option(
        "stuck_after_s", ("KENNEL_STUCK_AFTER",), "20", "a number from 1 to 3600",
        "seconds after which a running prediction counts as stuck, and /ping says 503", _seconds(1, 3600),
    ),
    Option(
        "max_waiting", ("KENNEL_MAX_WAITING",), "128", "an integer from 1 to 1024",
        "images a worker holds at once, a request one at least; one more is answered 503 with Retry-After",
        _integer(1, 1024),
    ),
    Option(
        "max_payload_bytes", ("SAGEMAKER_MAX_PAYLOAD_IN_MB",), "6", "an integer from 0 to 1024",
        "largest request body in MiB (1,048,576 bytes); 0 means 1024", _payload,
    ),
    Option(
        "max_images", ("KENNEL_MAX_IMAGES",), "64", "an integer from 1 to 1024",
        "images in one request; more are answered 413", _integer(1, 1024),
    ),
    Option(
        "batch", ("SAGEMAKER_BATCH",), "false", "true or false",
        "whether this is a batch transform job's server; SageMaker sets it", _boolean,
    ),
    Option(
        "batch_strategy", ("SAGEMAKER_BATCH_STRATEGY",), "SINGLE_RECORD", "SINGLE_RECORD or MULTI_RECORD",
        "told at /execution-parameters; a request is one image with either", _strategy,
    ),
    Option(
        "max_concurrent_transforms", ("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",), "0", "an integer from 0 to 1024",
        "requests a transform job has under way at once, for which there is room then; 0: chosen by the cores",
        _integer(0, 1024),
    ),
    Option(
        "batch_errors", ("KENNEL_BATCH_ERRORS",), "status", "status or answer",
        "with SAGEMAKER_BATCH=true, answer: an image's own fault is told in an answer of status 200", _batch_errors,
    ),
    Option(
        "default_accept", ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",), "application/json",
        "one of " + ", ".join(map(str, OFFERS)),
        "the answer's form when the request has no Accept, or */*", _accept,
    ),
    Option(
        "log_level", ("SAGEMAKER_CONTAINER_LOG_LEVEL",), "info",
        f"one of {', '.join(_LEVELS)}, or Python's number for it",
        "debug also logs every request", _log_level,
    ),
)  # fmt: skip

assert [option.field for option in OPTIONS] == [field.name for field in fields(Settings)]


def describe() -> str:
    """The table for `python -m serve --help`."""
    lines = ["Environment variables:"]
    for option in OPTIONS:
        default = f" (default {option.default})" if option.default else ""
        lines += [f"  {', else '.join(option.variables)}{default}", f"      {option.help}; {option.allowed}"]
    return "\n".join(lines)


# One Python process has one interpreter lock: what it does to a request beside decoding and predicting, about half a
# millisecond, bounds it to some 2,000 requests a second, which is what ten cores' worth of int8 predictions come to.
CORES_A_WORKER: Final = 8


@dataclass(frozen=True)
class Concurrency:
    """workers: processes, each with a copy of the model. threads: cores that each may use for predicting, and as many
    images it decodes at once.
    """

    workers: int
    threads: int


def choose_concurrency(cpus: int, workers: int, threads: int) -> Concurrency:
    """cpus: cores this container may use. workers, threads: what the user wants, 0 for what suits the machine.

    Together the workers never have more threads than there are cores, unless there are more workers than that.
    """
    workers = workers or max(1, cpus // CORES_A_WORKER)
    return Concurrency(workers, threads or max(1, cpus // workers))
