r"""The hyperparameters: one table with default, range and help of each. Standard library only.

Values come as SageMaker passes them: strings, most of them JSON-encoded by the Python SDK (`"0.1"`,
`"\"adamw\""`, `"true"`), names with hyphens or underscores.
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from contract.errors import ConfigError
from contract.options import allowed, choice, from_json, number, text
from contract.texts import quoted

# Keys that SageMaker's tuner and SDK add of their own.
_IGNORED_PREFIXES = ("sagemaker_", "_tuning_")


@dataclass(frozen=True)
class Hyperparameters:
    """Everything that can be set about a training run."""

    architecture: str = choice("resnet18", ("resnet18", "resnet34", "resnet50"), "torchvision network")
    pretrained: str = text(
        "imagenet", "imagenet, none or a path",
        "backbone weights to start from: torchvision's for ImageNet, a weights file, or none",
    )  # fmt: skip
    freeze: str = choice(
        "none", ("backbone", "gradual", "none"),
        "backbone: train the head alone on fixed features; gradual: head first, then stage by stage from the top, "
        "all from the middle on",
    )  # fmt: skip
    feature_views: int = number(
        4, 0, 1000, "with freeze=backbone: augmented views of each image whose features are computed once; "
        "0 computes new ones in every epoch",
    )  # fmt: skip
    feature_precision: str = choice(
        "float32", ("float32", "bfloat16"),
        "in which such features are computed; bfloat16 is faster where the machine has it",
    )  # fmt: skip
    head: str = choice("linear", ("linear", "mlp"), "linear, or mlp: 512 ReLU units before the output")
    lr: float = number(0.001, 0.0, 10.0, "peak learning rate, of the head", above=True)
    backbone_lr_ratio: float = number(
        0.1, 0.0, 1.0, "a pretrained backbone's learning rate as a share of the head's", above=True
    )
    lr_schedule: str = choice("cosine", ("constant", "cosine"), "after the warm-up: falling to 0 or constant")
    warmup_ratio: float = number(0.1, 0.0, 0.9, "share of all steps in which the learning rate rises from near 0")
    batch_size: int = number(32, 1, 4096, "images a step")
    epochs: int = number(10, 1, 10_000, "passes over the training data")
    image_size: int = number(224, 32, 1024, "side of the network's square input in pixels")
    test_image_size: int = number(
        0, 0, 1024, "the same for validation, test and serving, at least 32; 0: as image_size"
    )
    crop_scale: float = number(
        0.5, 0.0, 1.0, "least share of the image's area that a random crop keeps; 1: no random crop", above=True
    )
    flip: float = number(0.5, 0.0, 0.5, "probability that a training image is mirrored")
    auto_augment: str = choice(
        "none", ("none", "rand", "trivial"), "further augmentation: RandAugment (2 of magnitude 9) or TrivialAugment"
    )
    mixup: float = number(0.0, 0.0, 10.0, "alpha of MixUp; 0: none")
    cutmix: float = number(0.0, 0.0, 10.0, "alpha of CutMix; 0: none. With both, each batch gets one of them")
    optimizer: str = choice("adamw", ("adamw", "adam", "sgd"), "sgd has Nesterov momentum 0.9")
    grad_clip: float = number(0.0, 0.0, 1000.0, "largest norm of all gradients together; 0 leaves them as they are")
    label_smoothing: float = number(0.0, 0.0, 0.9, "share of each target that is spread over all classes")
    class_balance: str = choice(
        "none", ("none", "sampling", "weights"),
        "for uneven classes: draw all classes equally often, or weight the loss by 1 / class size",
    )  # fmt: skip
    ema_decay: float = number(
        0.0, 0.0, 0.99999, "of the moving average of the weights, which is then validated and kept; 0: none"
    )
    patience: int = number(0, 0, 10_000, "epochs without a better one after which training ends; 0: never")
    weight_decay: float = number(0.01, 0.0, 1.0, "on weights alone, not on biases and BatchNorm")
    seed: int = number(0, 0, 2**31 - 1, "of initialisation, order, augmentation and the validation split")
    workers: int = number(-1, -1, 64, "processes that load images; -1 chooses by device and cores")
    cache: str = choice(
        "none", ("none", "memory"), "memory: decode the images of training and validation once, if they fit"
    )
    device: str = choice("auto", ("auto", "cpu", "cuda"), "auto: a GPU if the machine has one")
    tensorboard: str = choice("on", ("on", "off"), "on: event files with curves and pictures for TensorBoard")
    debug: str = choice("on", ("on", "off"), "on: save tensors while training, and let rules judge them")
    debug_interval: int = number(
        0, 0, 1_000_000, "training steps from one saved step to the next, of the loss a tenth of it; 0: a fiftieth of "
        "all steps, from 20 (on a GPU 200) to 500",
    )  # fmt: skip
    profile: str = choice("on", ("on", "off"), "on: sample the machine, time the parts of each step, judge both")
    profile_interval: int = number(500, 100, 60_000, "milliseconds from one sample of the machine to the next")
    profile_steps: str = text(
        "auto", "auto, none or FIRST:COUNT", "training steps, from 0, whose operators are recorded with torch.profiler"
    )
    rules: str = text(
        "default", "default, none, rules with parameters, SageMaker's JSON or a path of it",
        "what debugger and profiler judge, as in Overfit:ratio_threshold=0.3,VanishingGradient", json=True,
    )  # fmt: skip
    rule_action: str = text(
        "report", "report, stop, finish or run:COMMAND",
        "when a rule finds an error: only report it; end the job as failed; end it as completed; run a command",
    )  # fmt: skip
    callbacks: str = text(
        "none", "none or module:attribute, separated by commas",
        "callbacks of one's own: subclasses of monitor.callbacks.Callback, made without arguments",
    )  # fmt: skip
    tune_trials: int = number(0, 0, 10_000, "trials of a search that comes before the training; 0: no search")
    tune_space: str = text(
        "default", "default, wide, ranges as in lr=0.001:0.1:log, or JSON",
        "what the search varies, and within which limits", json=True,
    )  # fmt: skip
    tune_objective: str = text(
        "validation_accuracy", "metrics, each with :maximize or :minimize if need be", "what the search is to improve"
    )
    tune_sampler: str = choice("tpe", ("tpe", "random"), "how the search chooses a trial's hyperparameters")
    tune_pruner: str = choice("median", ("median", "hyperband", "none"), "how the search ends poor trials early")
    tune_parallel: int = number(0, 0, 256, "trials at a time on a host; 0: one for each GPU, on the CPU one")
    tune_minutes: int = number(0, 0, 100_000, "minutes after which the search starts no further trial; 0: no limit")
    validation_fraction: float = number(
        0.2, 0.0, 0.9, "share of each class set apart when there is no validation data", above=True
    )
    export: str = choice(
        "int8", ("int8", "openvino", "none"), "forms for serving: OpenVINO's and int8, the first, none"
    )

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> "Hyperparameters":
        """Typed values from a hyperparameters.json. Raises ConfigError that names all faults at once."""
        hyperparameters, faults = cls.read(raw)
        if faults:
            raise ConfigError(describe_faults("hyperparameter", faults))
        return hyperparameters

    @classmethod
    def read(cls, raw: Mapping[str, object]) -> tuple["Hyperparameters", list[str]]:
        """The same with all faults; a hyperparameter whose value is not allowed has its default then."""
        table = {option.name: option for option in fields(cls)}
        values: dict[str, Any] = {}
        faults: list[str] = []
        spelling: dict[str, str] = {}
        for key, given in raw.items():
            if key.startswith(_IGNORED_PREFIXES):
                continue
            name = key.replace("-", "_")
            if name not in table:
                faults.append(_unknown(key, table))
                continue
            try:
                value = from_json(table[name], given)
            except ValueError as error:
                faults.append(f"{key}: {error}")
                continue
            if value is None:
                continue
            if name in values and values[name] != value:
                faults.append(f"{name}: given with different values, as {spelling[name]} and as {key}; give it once")
            values[name], spelling[name] = value, key
        hyperparameters = cls(**values)
        return hyperparameters, faults + _clashes(hyperparameters)

    def to_json(self) -> dict[str, str]:
        """As the SDK would write them into hyperparameters.json: every value a JSON-encoded string."""
        return {option.name: json.dumps(getattr(self, option.name)) for option in fields(self)}


def describe_faults(what: str, faults: list[str]) -> str:
    """One line that names them all: SageMaker's FailureReason, which is cut, starts with the cause then."""
    return faults[0] if len(faults) == 1 else f"{len(faults)} {what} faults: " + " | ".join(faults)


def table_rows() -> list[tuple[str, str, str, str]]:
    """(name, default, allowed values, help) of every hyperparameter, in order."""
    return [(f.name, str(f.default), allowed(f), f.metadata["help"]) for f in fields(Hyperparameters)]


def _unknown(key: str, table: Mapping[str, object]) -> str:
    known = list(table)
    close = difflib.get_close_matches(key.replace("-", "_"), [*known, *_ALIASES], n=1, cutoff=0.6)
    hint = f"did you mean {_ALIASES.get(close[0], close[0])}?" if close else f"the names are {', '.join(known)}"
    return f"{key}: no such hyperparameter; {hint}"


def _clashes(chosen: Hyperparameters) -> list[str]:
    """Values that are each allowed, but not together."""
    faults = []
    if chosen.batch_size == 1 and chosen.image_size <= 32 and chosen.freeze != "backbone":
        faults.append(
            f"batch_size: 1 is too few for image_size 32 with freeze {chosen.freeze} (the last feature map is one "
            "pixel, and BatchNorm needs two values); use at least 2"
        )
    if 0 < chosen.test_image_size < 32:
        faults.append(f"test_image_size: must be 0 or from 32 to 1024, got {chosen.test_image_size}")
    if not _WINDOW.fullmatch(chosen.profile_steps):
        faults.append(f"profile_steps: must be auto, none or FIRST:COUNT, as in 10:3, got {chosen.profile_steps}")
    if not re.fullmatch(r"report|stop|finish|run:.+", chosen.rule_action):
        faults.append(f"rule_action: must be report, stop, finish or run:COMMAND, got {quoted(chosen.rule_action)}")
    mixed = [name for name in ("mixup", "cutmix") if getattr(chosen, name)]
    if mixed and chosen.freeze == "backbone" and chosen.feature_views:
        faults.append(
            f"{mixed[0]}: mixes pixels, and with freeze backbone features are computed once from unmixed images; "
            f"set {mixed[0]}=0, or feature_views=0 to compute them in every epoch"
        )
    return faults


_WINDOW = re.compile(r"auto|none|\d{1,6}:[1-9]\d{0,2}")

# What other scripts call them: for the hint alone.
_ALIASES = {
    "learning_rate": "lr", "num_epochs": "epochs", "n_epochs": "epochs", "model": "architecture",
    "num_workers": "workers", "wd": "weight_decay", "optim": "optimizer", "input_size": "image_size",
    "smoothing": "label_smoothing", "clip_grad": "grad_clip", "clip_grad_norm": "grad_clip",
    "early_stopping": "patience", "warmup": "warmup_ratio", "scheduler": "lr_schedule", "hflip": "flip",
    "val_resize_size": "test_image_size", "test_input_size": "test_image_size", "model_ema_decay": "ema_decay",
    "mixup_alpha": "mixup", "cutmix_alpha": "cutmix",
}  # fmt: skip


def without_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that no hyperparameter has as its default, by name; unknown names stay."""
    defaults = {field.name: field.default for field in fields(Hyperparameters)}
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}
