"""Rules that judge the units of activation functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from contract.rules.verdict import Finding
from monitor.debugger.rules.base import Array, Step, TensorRule, finding, finite, words

_ENOUGH: Final = 100
"""Values of a unit: with fewer, 1 percent of them can't be findings from none."""


@dataclass
class _Units:
    """How many values of each unit were active, over the steps since it was last judged."""

    active: Array
    values: int = 0


def _active_by_unit(active: Array) -> tuple[Array, int]:
    """(N, C, ...) or (N, C) of truth -> how many of each unit's, (C,), and of how many."""
    other = (0, *range(2, active.ndim))
    return active.sum(axis=other), active.size // active.shape[1]


class _ByUnit(TensorRule):
    """Gathers each layer's units until there are 100 values of each, by mode, and judges them together."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._units: dict[tuple[str, str], _Units] = {}

    def _gather(self, step: Step, name: str, active: Array) -> Array | None:
        """The percentage of active values by unit, (C,), when there are enough; the next ones are counted anew."""
        counts, values = _active_by_unit(active)
        key = (step.mode, name)
        known = self._units.get(key)
        if known is None or known.active.shape != counts.shape:
            known = self._units[key] = _Units(np.zeros_like(counts))
        known.active = known.active + counts
        known.values += values
        if known.values < _ENOUGH:
            return None
        del self._units[key]
        return np.asarray(100 * known.active / known.values)

    def _layer(self, step: Step, name: str, percent: Array, state: str) -> list[Finding]:
        """percent: of active values, by unit."""
        least, most = self.parameters["threshold_inactivity"], self.parameters["threshold_layer"]
        inactive = 100 * float(np.mean(percent < least))
        if inactive <= most:
            return []
        text = f"{name}: {inactive:.3g} % of its {percent.size} units are {state} (less than {least:g} % of the values)"
        return [finding(step, text, inactive, name)]


class DeadRelu(_ByUnit):
    """More than threshold_layer percent of a layer's units are active in less than threshold_inactivity percent.

    Active: above 0, at the ReLU's output or input. A unit is an index of axis 1 of (N, C) or (N, C, ...). Judged are
    the shares that the hook measured (collection relu_active_share), else tensor_regex, or by default the collection
    relu_activations and names as relu_output_0; the output where both were saved. Kennel's own reading: a unit is
    judged over at least 100 values, gathered over as many saved steps as that takes.
    """

    def judge(self, step: Step) -> list[Finding] | None:
        regexes = words(self.parameters["tensor_regex"])
        names = step.names("relu_active_share") if not regexes else []
        findings: list[Finding] = []
        known = {name: step.value(name) for name in names or self._activations(step, regexes)}
        usable = {name: value for name, value in known.items() if value is not None and finite(value)}
        usable = {name: value for name, value in usable.items() if name in names or value.ndim >= 2}
        for name, value in usable.items():
            percent = 100 * value.reshape(-1) if name in names else self._gather(step, name, value > 0)
            if percent is not None:
                findings += self._layer(step, name, percent, "inactive")
        return findings if usable else None

    def needs(self) -> str:
        return (
            "shares of active units (collection relu_active_share), or a ReLU's outputs (collection relu_activations)"
        )

    @staticmethod
    def _activations(step: Step, regexes: list[str]) -> list[str]:
        if regexes:
            return sorted({name for each in regexes for name in step.matching(each)})
        names = {*step.names("relu_activations"), *step.matching(r"(?i)relu\w*_(input|output)")}
        return sorted(name for name in names if name.replace("_input", "_output") == name
                      or name.replace("_input", "_output") not in names)  # fmt: skip


class SaturatedActivation(_ByUnit):
    """More than threshold_layer percent of a layer's units are saturated: fewer than threshold_inactivity percent of
    their values lie between the function's limits.

    The limits are of the input: a tanh saturates outside threshold_tanh_min to threshold_tanh_max, a sigmoid outside
    threshold_sigmoid_min to threshold_sigmoid_max. Judged are tensors whose names hold tanh or sigmoid and input, or
    those of tensor_regex whose names hold tanh or sigmoid. A unit is an index of axis 1 of (N, C) or (N, C, ...),
    judged over at least 100 values, gathered over as many saved steps as that takes (Kennel's own reading).
    """

    def judge(self, step: Step) -> list[Finding] | None:
        regexes = words(self.parameters["tensor_regex"]) or [r"(?i)(tanh|sigmoid)\w*_input"]
        findings: list[Finding] = []
        judged = False
        for name in sorted({name for each in regexes for name in step.matching(each)}):
            function = re.search("tanh|sigmoid", name.lower())
            value = step.value(name)
            if function is None or value is None or value.ndim < 2 or not finite(value):
                continue
            judged = True
            low, high = (self.parameters[f"threshold_{function[0]}_{end}"] for end in ("min", "max"))
            percent = self._gather(step, name, (value >= low) & (value <= high))
            if percent is not None:
                findings += self._layer(step, name, percent, "saturated but for too few values")
        return findings if judged else None

    def needs(self) -> str:
        return "whole inputs of tanh or sigmoid (tensors named as tanh_input_0; tensor_regex for others)"
