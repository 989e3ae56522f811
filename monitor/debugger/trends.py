"""What the debugger's page plots: losses and the layers' norms, ratios and dead shares over the saved steps."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from monitor.debugger.rules.base import Step

MOST_STEPS: Final = 400
_DEAD: Final = 0.01  # a unit that is above 0 for less of its values is dead, as in DeadRelu's default
_TRAINING: Final = ("TRAIN", "GLOBAL")


@dataclass
class _Thinned:
    """At most MOST_STEPS entries, evenly spaced: when there are more, every second goes, and of new ones too."""

    entries: list[Any] = field(default_factory=list)
    _stride: int = 1
    _seen: int = 0

    def add(self, entry: Any) -> None:
        if self._seen % self._stride == 0:
            self.entries.append(entry)
        self._seen += 1
        if len(self.entries) > MOST_STEPS:
            self._stride *= 2
            self.entries = self.entries[::2]


@dataclass
class _Layers:
    """One value a layer in every step where any was saved."""

    rows: _Thinned = field(default_factory=_Thinned)

    def add(self, step: int, values: dict[str, float | str | None]) -> None:
        if values:
            self.rows.add((step, values))

    def to_dict(self) -> dict[str, Any]:
        rows = self.rows.entries
        layers = sorted({layer for _, values in rows for layer in values}, key=network_order)
        return {
            "steps": [step for step, _ in rows],
            "layers": layers,
            "values": [[values.get(layer) for _, values in rows] for layer in layers],
        }


class Trends:
    """Collected step by step, in bounded memory."""

    def __init__(self) -> None:
        self._losses = {"TRAIN": _Thinned(), "EVAL": _Thinned()}
        self._layers = {name: _Layers() for name in ("gradient_norm", "weight_norm", "update_ratio", "dead_relu_share")}

    def add(self, step: Step) -> None:
        """Take from a saved step what is plotted."""
        for name in step.names("losses")[:1]:
            loss = _plain(step.reduction(name, "mean"))
            if loss is not None:
                mode = "EVAL" if step.mode == "EVAL" else "TRAIN"
                self._losses[mode].add([step.mode_step, step.number, loss])
        if step.mode not in _TRAINING:
            return
        self._collect("gradient_norm", step, ["gradients"], lambda name: step.reduction(name, "l2"))
        self._collect("weight_norm", step, ["weights"], lambda name: step.reduction(name, "l2"))
        self._collect("update_ratio", step, ["update_ratios"], lambda name: step.reduction(name, "mean"))
        self._collect("dead_relu_share", step, ["relu_active_share"], lambda name: _dead_share(step, name))

    def _collect(self, trend: str, step: Step, collections: list[str], read: Callable[[str], float | None]) -> None:
        values = {layer_name(name): _plain(read(name)) for name in step.names(*collections)}
        self._layers[trend].add(step.mode_step, values)

    def to_dict(self) -> dict[str, Any]:
        """The document's "trends"."""
        losses = {mode: series.entries for mode, series in self._losses.items()}
        return {"losses": losses, **{name: layers.to_dict() for name, layers in self._layers.items()}}


def _dead_share(step: Step, name: str) -> float | None:
    shares = step.value(name)
    return None if shares is None or shares.size == 0 else float(np.mean(shares.astype(np.float64) < _DEAD))


def _plain(value: float | None) -> float | str | None:
    """For JSON, which has no NaN and no infinity: they go by name, nan, inf and -inf."""
    return value if value is None or math.isfinite(value) else str(float(value))


def layer_name(tensor: str) -> str:
    """The parameter's (or module's) own name: `gradient/Classifier_head.fc.weight` is `head.fc.weight`."""
    kind, slash, rest = tensor.partition("/")
    if slash and kind in ("update_ratio", "relu_active_share"):
        return rest
    # smdebug puts the class of the root module and an underscore before a parameter's name.
    return re.sub(r"^[A-Z][A-Za-z0-9]*_(?=.)", "", rest if slash and kind == "gradient" else tensor)


def network_order(layer: str) -> tuple[int, list[Any]]:
    """A sort key: from input to output by the usual names, numbers as numbers. The files don't record the order."""
    words = re.split(r"[._/]", layer)
    first = words[1] if len(words) > 1 and words[0] in ("backbone", "module", "model", "features") else words[0]
    if re.fullmatch(r"conv1|bn1|stem|embed\w*|relu", first):
        rank = 0
    elif re.fullmatch(r"fc|head|classifier|output|out|logits", first) or words[0] in ("head", "classifier", "fc"):
        rank = 2
    else:
        rank = 1
    # conv1 before bn1: within the stem, and within a block, normalisation follows its convolution.
    parts = [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|[^\d._]+", layer)]
    return rank, [(_after_convolution(text), number, text) for number, text in parts]


def _after_convolution(word: str) -> int:
    return {"conv": 0, "bn": 1, "relu": 2, "downsample": 3, "weight": 0, "bias": 1}.get(word, 0)
