r"""The hyperparameters: one table with help, range and parser for each. Standard library only.

Values come as SageMaker hands them over: strings, most of them JSON-encoded by the Python SDK (`"0.1"`,
`"\"adamw\""`, `"true"`), names with hyphens or underscores.
"""

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from model.errors import ConfigError as ConfigError  # noqa: PLC0414 - re-exported: clients see this module alone

# Keys that SageMaker's tuner and SDK add of their own.
_IGNORED_PREFIXES = ("sagemaker_", "_tuning_")


def _choice(default: str, options: tuple[str, ...], help: str) -> Any:
    return field(default=default, metadata={"kind": "choice", "options": options, "help": help})


def _text(default: str, form: str, help: str) -> Any:
    return field(default=default, metadata={"kind": "text", "form": form, "help": help})


def _number(default: float, low: float, high: float, help: str, above: bool = False) -> Any:
    """`above`: the value must be above `low`, not just equal to it. The kind follows the default's type."""
    kind = "integer" if isinstance(default, int) else "float"
    return field(default=default, metadata={"kind": kind, "low": low, "high": high, "above": above, "help": help})


@dataclass(frozen=True)
class Hyperparameters:
    """Everything that can be set about a training run."""

    architecture: str = _choice("resnet18", ("resnet18", "resnet34", "resnet50"), "torchvision network")
    pretrained: str = _text(
        "imagenet",
        "imagenet, none or a path",
        "backbone weights to start from: torchvision's for ImageNet, a weights file, or none",
    )
    freeze: str = _choice("none", ("backbone", "none"), "backbone: train the head alone on fixed features")
    head: str = _choice("linear", ("linear", "mlp"), "linear, or mlp: 512 ReLU units before the output")
    lr: float = _number(
        0.001, 0.0, 10.0, "peak learning rate; after a warm-up it falls to 0 along a cosine", above=True
    )
    batch_size: int = _number(32, 1, 4096, "images a step")
    epochs: int = _number(10, 1, 10_000, "passes over the training data")
    image_size: int = _number(224, 32, 1024, "side of the network's square input in pixels")
    optimizer: str = _choice("adamw", ("adamw", "adam", "sgd"), "sgd has Nesterov momentum 0.9")
    weight_decay: float = _number(0.01, 0.0, 1.0, "on weights alone, not on biases and BatchNorm")
    seed: int = _number(0, 0, 2**31 - 1, "of initialisation, order, augmentation and the validation split")
    workers: int = _number(-1, -1, 64, "processes that load images; -1 chooses by device and cores")
    device: str = _choice("auto", ("auto", "cpu", "cuda"), "auto: a GPU if the machine has one")
    validation_fraction: float = _number(
        0.2, 0.0, 0.9, "share of each class set apart when there is no validation data", above=True
    )
    export: str = _choice(
        "int8", ("int8", "openvino", "none"), "forms for serving: OpenVINO's and int8, the first, none"
    )

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> "Hyperparameters":
        """Typed values from a hyperparameters.json. Raises ConfigError that tells all faults at once."""
        table = {each.name: each for each in fields(cls)}
        values: dict[str, Any] = {}
        faults: list[str] = []
        given_as: dict[str, str] = {}
        for key, given in raw.items():
            if key.startswith(_IGNORED_PREFIXES):
                continue
            name = key.replace("-", "_")
            if name not in table:
                faults.append(_unknown(key, table))
                continue
            value = _decoded(given)
            if value is None:
                continue
            try:
                parsed = _parse(table[name], value)
            except ValueError as error:
                faults.append(f"{key}: {error}, got {_shown(given)}")
                continue
            if name in values and values[name] != parsed:
                faults.append(f"{name}: given with different values, as {given_as[name]} and as {key}; give it once")
            values[name], given_as[name] = parsed, key
        chosen = cls(**values)
        if clash := _clash(chosen):
            faults.append(clash)
        if faults:
            raise ConfigError(describe_faults("hyperparameter", faults))
        return chosen

    def to_json(self) -> dict[str, str]:
        """As the SDK would write them into hyperparameters.json: every value a JSON-encoded string."""
        return {each.name: json.dumps(getattr(self, each.name)) for each in fields(self)}


def describe_faults(what: str, faults: list[str]) -> str:
    """One line that names them all: SageMaker's FailureReason, which is cut, starts with the cause then."""
    return faults[0] if len(faults) == 1 else f"{len(faults)} {what} faults: " + " | ".join(faults)


def allowed(each: "Field[Any]") -> str:
    """The values a hyperparameter may have, in words."""
    about = each.metadata
    match about["kind"]:
        case "choice":
            return "one of " + ", ".join(about["options"])
        case "text":
            return str(about["form"])
        case kind:
            article = "an integer" if kind == "integer" else "a number"
            lower = f"above {about['low']:g} and at most" if about["above"] else f"from {about['low']:g} to"
            return f"{article} {lower} {about['high']:.10g}"


def table_rows() -> list[tuple[str, str, str, str]]:
    """(name, default, allowed values, help) of every hyperparameter, in order."""
    return [(f.name, str(f.default), allowed(f), f.metadata["help"]) for f in fields(Hyperparameters)]


def _unknown(key: str, table: Mapping[str, object]) -> str:
    known = list(table)
    close = difflib.get_close_matches(key.replace("-", "_"), [*known, *_ALIASES], n=1, cutoff=0.6)
    hint = f"did you mean {_ALIASES.get(close[0], close[0])}?" if close else f"the names are {', '.join(known)}"
    return f"{key}: no such hyperparameter; {hint}"


def _clash(chosen: Hyperparameters) -> str | None:
    if chosen.batch_size == 1 and chosen.image_size <= 32 and chosen.freeze == "none":
        return (
            "batch_size: 1 is too few for image_size 32 with freeze none (the last feature map is one pixel, "
            "and BatchNorm needs two values); use at least 2"
        )
    return None


# What other scripts call them: for the hint alone.
_ALIASES = {
    "learning_rate": "lr", "num_epochs": "epochs", "n_epochs": "epochs", "model": "architecture",
    "num_workers": "workers", "wd": "weight_decay", "optim": "optimizer", "input_size": "image_size",
}  # fmt: skip


def _decoded(given: object) -> object:
    """Undo JSON encoding, twice at most: the tuner encodes what the SDK has encoded already."""
    value = given
    for _ in range(2):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    return value


def _parse(each: "Field[Any]", value: object) -> Any:
    about = each.metadata
    expected = ValueError(f"must be {allowed(each)}")
    if about["kind"] in ("choice", "text"):
        if not isinstance(value, str) or not value or (about["kind"] == "choice" and value not in about["options"]):
            raise expected
        return value
    if isinstance(value, str):
        value = value.strip()
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise expected
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise expected from None
    too_low = number <= about["low"] if about["above"] else number < about["low"]
    if not math.isfinite(number) or too_low or number > about["high"]:
        raise expected
    if about["kind"] == "integer":
        if number != int(number):
            raise expected
        return int(number)
    return number


def _shown(given: object) -> str:
    text = " ".join((given if isinstance(given, str) else json.dumps(given)).split())
    return text if len(text) <= 80 else text[:77] + "..."
