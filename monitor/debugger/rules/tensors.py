"""Rules that judge any tensor by its values alone, and the one for gradients."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from contract.rules.verdict import Finding
from monitor.debugger.rules.base import (
    TRAINING,
    Array,
    LossLevel,
    Step,
    TensorRule,
    TrainedParameters,
    chosen,
    finding,
    finite,
    is_bias,
    mean_absolute,
)

_PARAMETERS: Final = ("weights", "biases")
_SAVED: Final = (("min", False), ("max", False), ("mean", False), ("std", False), ("l1", False), ("l2", False),
                 ("mean", True))  # fmt: skip
Reductions = tuple[float | None, ...]


class ExplodingTensor(TensorRule):
    """A tensor holds NaN or an infinite value; only_nan: NaN.

    Each tensor is reported once, when it first does. Of a tensor saved as reductions, min and max decide, else any mean
    or norm; never std and variance, which torch makes NaN for a tensor of one value.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._told: set[str] = set()

    def judge(self, step: Step) -> list[Finding] | None:
        given = bool(self.parameters["tensor_regex"] or self.parameters["collection_names"])
        names = chosen(step, self.parameters) if given else step.matching("")
        found = [(name, what) for name in names if name not in self._told and (what := self._look(step, name))]
        self._told.update(name for name, _ in found)
        return [finding(step, f"{name} holds {what}", None, name) for name, what in found] if names else None

    def needs(self) -> str:
        return "tensors, or their reductions min and max"

    def _look(self, step: Step, name: str) -> str | None:
        whole = step.value(name)
        if whole is not None:
            if whole.dtype.kind != "f" or np.isfinite(whole).all():
                return None
            values = [math.nan] if np.isnan(whole).any() else [math.inf]
        else:
            values = [
                value for value in (step.reduction(name, "min"), step.reduction(name, "max")) if value is not None
            ]
            others = (("mean", False), ("mean", True), ("max", True), ("l1", False), ("l2", False))
            values = values or [value for pair in others if (value := step.reduction(name, *pair)) is not None]
        if any(math.isnan(value) for value in values):
            return "NaN"
        infinite = any(math.isinf(value) for value in values)
        return "an infinite value" if infinite and not self.parameters["only_nan"] else None


class AllZero(TensorRule):
    """At least threshold percent of a tensor's values are 0.

    Weights, biases and gradients are not judged the first time they are seen, for many start at 0 by design (biases,
    the last layer of a residual branch, whatever lies before a head of zeros); frozen parameters never; gradients not
    while the training loss is below a thousandth of the first one. Reductions show only that all values are 0.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._level, self._trained = LossLevel(), TrainedParameters()
        self._seen: set[str] = set()

    def judge(self, step: Step) -> list[Finding] | None:
        done = self._level.done(step)
        self._trained.see(step)
        parameters, gradients = step.names(*_PARAMETERS), step.names("gradients")
        first = {name for name in (*parameters, *gradients) if name not in self._seen}
        self._seen |= first
        left_out = set(parameters) - set(self._trained.only(parameters)) | set(gradients if done else ())
        names = [name for name in chosen(step, self.parameters, "gradients", *_PARAMETERS) if name not in left_out]
        shares = {name: share for name in names if (share := self._zeros(step, name)) is not None}
        if not shares:
            return None
        return [
            finding(step, f"{share:.4g} % of {name} are 0", share, name)
            for name, share in shares.items()
            if share >= self.parameters["threshold"] and name not in first
        ]

    def needs(self) -> str:
        return "gradients, weights or biases (collections of these names), or their reductions min and max"

    @staticmethod
    def _zeros(step: Step, name: str) -> float | None:
        """Percent of the values."""
        whole = step.value(name)
        if whole is not None:
            return 100 * float(np.mean(whole == 0)) if finite(whole) else None
        for kind, absolute in (("max", True), ("mean", True), ("l2", False), ("l1", False)):
            size = step.reduction(name, kind, absolute)
            if size is not None and math.isfinite(size):
                return 100.0 if size == 0 else 0.0
        return None


class UnchangedTensor(TensorRule):
    """A tensor is numpy.allclose to itself over the last num_steps saved training steps.

    Of a tensor saved as reductions all saved ones have to be equal, not just close: a mean of many values hides small
    changes (and std may be NaN, as torch makes it for a single value). Not judged are frozen parameters;
    gradients of biases, unless asked for (in front of a batch normalisation they are 0 but for rounding); tensors of
    zeros (AllZero's); gradients within atol of 0, which are close to each other whatever they do
    (VanishingGradient's); and anything while the training loss is below a thousandth of the first one. Steps of
    validation don't count: nothing changes in them.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._level, self._trained = LossLevel(), TrainedParameters()
        self._history: dict[str, deque[Array | Reductions]] = {}

    def judge(self, step: Step) -> list[Finding] | None:
        if step.mode not in TRAINING:
            return None
        done = self._level.done(step)
        self._trained.see(step)
        names = chosen(step, self.parameters, "gradients", "weights", "losses")
        if not self.parameters["tensor_regex"] and not self.parameters["collection_names"]:
            names = [name for name in names if not is_bias(name)]
        weights = set(step.names(*_PARAMETERS))
        left_out = weights - set(self._trained.only(weights))
        judged = [name for name in names if name not in left_out and self._remember(step, name)]
        gradients = set(step.names("gradients"))
        unchanged = [name for name in judged if not done and self._unchanged(name, name in gradients)]
        count = self.parameters["num_steps"]
        text = f"hasn't changed in the last {count} saved steps"
        return [finding(step, f"{name} {text}", None, name) for name in unchanged] if judged else None

    def needs(self) -> str:
        return "gradients, weights or losses (collections of these names) of num_steps steps"

    def _remember(self, step: Step, name: str) -> bool:
        """Whether there are enough steps to compare."""
        now: Array | Reductions | None = step.value(name)
        if now is None:
            now = tuple(step.reduction(name, kind, absolute) for kind, absolute in _SAVED)
        history = self._history.setdefault(name, deque(maxlen=self.parameters["num_steps"]))
        history.append(now)
        return len(history) == history.maxlen

    def _unchanged(self, name: str, gradient: bool) -> bool:
        *before, now = self._history[name]
        if isinstance(now, tuple):
            return self._equal(before, now)
        still = self.parameters["atol"] if gradient else 0.0
        if now.dtype.kind not in "fiub" or np.abs(now).max(initial=0) <= still:
            return False
        options = {key: self.parameters[key] for key in ("rtol", "atol", "equal_nan")}
        wholes = [each for each in before if not isinstance(each, tuple) and each.shape == now.shape]
        return len(wholes) == len(before) and all(np.allclose(each, now, **options) for each in wholes)

    def _equal(self, before: list[Array | Reductions], now: Reductions) -> bool:
        numbers = [value for pair, value in zip(_SAVED, now, strict=True) if value is not None and pair[0] != "std"]
        if not any(numbers) or (any(map(math.isnan, numbers)) and not self.parameters["equal_nan"]):
            return False
        return all(isinstance(each, tuple) and np.array_equal(_array(each), _array(now), True) for each in before)


def _array(values: Reductions) -> Array:
    return np.array([math.nan if value is None else value for value in values])


class TensorVariance(TensorRule):
    """The variance of a tensor's values is below min_threshold or above max_threshold; either may be left out."""

    def judge(self, step: Step) -> list[Finding] | None:
        names = chosen(step, self.parameters, "gradients", "weights")
        low, high = self.parameters["min_threshold"], self.parameters["max_threshold"]
        known = {name: value for name in names if (value := step.reduction(name, "variance")) is not None}
        findings = []
        for name, value in known.items():
            if not math.isfinite(value):
                continue  # ExplodingTensor's, or a tensor of one value
            if low is not None and value < low:
                findings.append(finding(step, f"{name}: variance {value:.3g} is below {low:g}", value, name))
            elif high is not None and value > high:
                findings.append(finding(step, f"{name}: variance {value:.3g} is above {high:g}", value, name))
        return findings if known else None

    def needs(self) -> str:
        return "gradients or weights (collections of these names), or their reduction variance or std"


class VanishingGradient(TensorRule):
    """mean |gradient| < threshold.

    Judged are the gradients of weights. Not of biases unless tensor_regex asks for them, for one in front of a batch
    normalisation has no gradient in the healthiest network; and none while the training loss is below a thousandth of
    the first one saved, for then there is nothing left to learn. Where no mean of absolute values was saved, their
    maximum or the l2 norm stands in, both of which are larger.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._level = LossLevel()

    def judge(self, step: Step) -> list[Finding] | None:
        done = self._level.done(step)
        names = chosen(step, self.parameters, "gradients")
        if not self.parameters["tensor_regex"]:
            names = [name for name in names if not is_bias(name)]
        values = {name: value for name in names if (value := mean_absolute(step, name)) is not None}
        if not values:
            return None
        threshold = self.parameters["threshold"]
        return [
            finding(step, f"{name}: mean absolute gradient {value:.3g} is below {threshold:g}", value, name)
            for name, value in values.items()
            if value < threshold and not done
        ]

    def needs(self) -> str:
        return "gradients (collection gradients)"
