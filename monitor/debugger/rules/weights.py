"""Rules that judge weights: how they begin, and how they move."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from contract.rules.verdict import Finding
from monitor.debugger.rules.base import (
    TRAINING,
    Array,
    Step,
    TensorRule,
    TrainedParameters,
    finding,
    finite,
    is_bias,
    losses,
)

_SPREAD: Final = 3.2897
"""Standard deviations between the 5th and the 95th percentile of a normal distribution: 2 * 1.64485."""


class PoorWeightInitialization(TensorRule):
    """The network starts badly: one of three, in the first `steps` saved training steps. Kennel's own reading:

    - in the first of them that holds weights, the variance of a weight tensor of two or more dimensions lies outside
      the band of usual initialisations for its shape, 1 / (3 max(fan_in, fan_out)) to 2 / min(fan_in, fan_out), by a
      factor above threshold. The band holds torch's default U(+-1/sqrt(fan_in)) of variance 1 / (3 fan_in), LeCun's 1
      / fan_in, Glorot's 2 / (fan_in + fan_out) and He's 2 / fan (He et al. 2015, Glorot and Bengio 2010). The
      variances are so compared relative to what their shapes call for, for the plain ratio across the layers of a
      well-initialised ResNet-18 is 36. A tensor of one value other than 0 has an infinite factor: its units stay
      alike. Embeddings, depthwise kernels and tensors of zeros are left out.
    - the 5th and 95th percentile of even the widest gradient of a weight are nearer to each other than
      distribution_range (of reductions: 3.29 std, as in a normal distribution), and the loss has not fallen below its
      best by 1 % for patience steps. Each alone is common: gradients of deep networks are small, and a flat loss is
      LossNotDecreasing's.
    - activation_inputs_regex is given, and the variances of the tensors that match differ by a factor above threshold.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._count = 0
        self._weighed = False
        self._best = math.inf
        self._flat = 0

    def judge(self, step: Step) -> list[Finding] | None:
        regex = self.parameters["activation_inputs_regex"]
        activations = step.matching(regex) if regex else []
        if step.mode not in TRAINING or not (step.names("weights", "gradients") or activations):
            return None
        self._count += 1
        if self._count > self.parameters["steps"]:
            return None
        return self._weights(step) + self._gradients(step) + self._activations(step, activations)

    def needs(self) -> str:
        return "whole weights (or their shape and reduction variance or std), or gradients and losses"

    def _weights(self, step: Step) -> list[Finding]:
        findings: list[Finding] = []
        names = step.names("weights") if not self._weighed else []
        self._weighed = self._weighed or bool(names)
        for name in names:
            factor = _outside(step, name)
            if factor is not None and factor > self.parameters["threshold"]:
                text = f"{name}: its variance lies outside the usual band for its shape by a factor of {factor:.3g}"
                findings.append(finding(step, text, factor, name))
        return findings

    def _gradients(self, step: Step) -> list[Finding]:
        found = losses(step)
        if found:
            loss = sum(found.values())
            fallen = loss < self._best - 0.01 * abs(self._best) if math.isfinite(self._best) else True
            self._flat = 0 if fallen else self._flat + 1
            self._best = min(self._best, loss)
        names = [name for name in step.names("gradients") if not is_bias(name)]
        spreads = {name: spread for name in names if (spread := _spread(step, name)) is not None}
        limit = self.parameters["distribution_range"]
        if not spreads or self._flat < self.parameters["patience"] or max(spreads.values()) >= limit:
            return []
        widest = max(spreads, key=lambda name: spreads[name])
        text = (
            f"{widest}: 5th and 95th percentile of the widest gradient are {spreads[widest]:.3g} apart, less than "
            f"{limit:g}, and the loss stays flat at {self._best:.4g}"
        )
        return [finding(step, text, spreads[widest], widest)]

    def _activations(self, step: Step, names: list[str]) -> list[Finding]:
        known = {name: step.reduction(name, "variance") for name in names}
        variances = {name: value for name, value in known.items() if value is not None and math.isfinite(value)}
        if len(variances) < 2:
            return []
        low, high = (name(variances, key=lambda each: variances[each]) for name in (min, max))
        ratio = variances[high] / variances[low] if variances[low] else math.inf
        if not variances[high] or ratio <= self.parameters["threshold"]:
            return []
        text = f"{high}: its variance is {ratio:.3g} times that of {low}"
        return [finding(step, text, ratio, high)]


def _outside(step: Step, name: str) -> float | None:
    """By what factor the variance lies outside the band; 1 within. None: it isn't judged."""
    shape, variance = step.shape(name), step.reduction(name, "variance")
    if shape is None or len(shape) < 2 or variance is None or not math.isfinite(variance) or "embed" in name.lower():
        return None
    channels_last = "kernel" in name  # TensorFlow: (..., in, out); PyTorch and MXNet: (out, in, ...)
    into, out = (shape[-2], shape[-1]) if channels_last else (shape[1], shape[0])
    if into == 1 and len(shape) > 2:
        return None  # a depthwise kernel: its fan doesn't follow from its shape
    field = math.prod(shape) / (into * out)
    low, high = 1 / (3 * max(into, out) * field), 2 / (min(into, out) * field)
    largest = step.reduction(name, "max", absolute=True)
    if variance <= 1e-12 * (largest or 0.0) ** 2:
        return None if not largest else math.inf
    return max(1.0, low / variance, variance / high)


def _spread(step: Step, name: str) -> float | None:
    whole = step.value(name)
    if whole is not None and whole.size:
        low, high = np.percentile(whole.astype(np.float64), [5, 95]) if finite(whole) else (0.0, math.inf)
        return float(high - low)
    std = step.reduction(name, "std")
    if std is None:
        return None
    # What isn't finite is ExplodingTensor's.
    return _SPREAD * std if math.isfinite(std) else math.inf


class WeightUpdateRatio(TensorRule):
    """mean |update| / (mean |weight| + epsilon) of a weight is above large_threshold or below small_threshold.

    The update is what one optimizer step added, where the hook measured it (collection update_ratios); else the
    difference of whole weights saved at least num_steps training steps apart. Kennel's own reading: biases aren't
    judged, for those that start at 0 have no meaningful ratio; nor are weights that were 0 before, nor frozen ones. A
    ratio is too large from its second judgement on, too small from the second in a row on, so that neither a start at
    0 nor the last step of a schedule that ends at a rate of 0 counts.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._trained = TrainedParameters()
        self._before: dict[str, deque[tuple[int, Array]]] = {}
        self._seen: set[str] = set()
        self._small: dict[str, int] = {}

    def judge(self, step: Step) -> list[Finding] | None:
        if step.mode not in TRAINING:
            return None
        self._trained.see(step)
        measured = {name: step.value(name) for name in step.names("update_ratios")}
        ratios = {name: float(value.reshape(-1)[0]) for name, value in measured.items() if finite(value)}  # type: ignore[union-attr]
        if not measured:
            ratios = self._computed(step)
        ratios = {name: ratio for name, ratio in ratios.items() if math.isfinite(ratio) and not is_bias(name)}
        findings = [each for name, ratio in ratios.items() if (each := self._look(step, name, ratio))]
        return findings if ratios else None

    def needs(self) -> str:
        return "update ratios (collection update_ratios), or whole weights (collection weights) of several steps"

    def _computed(self, step: Step) -> dict[str, float]:
        ratios = {}
        for name in self._trained.only(step.names("weights")):
            now = step.value(name)
            if now is None or not finite(now):
                continue
            history = self._before.setdefault(name, deque())
            while len(history) > 1 and history[1][0] <= step.mode_step - self.parameters["num_steps"]:
                history.popleft()
            if history and history[0][0] <= step.mode_step - self.parameters["num_steps"]:
                before = history[0][1].astype(np.float64)
                size = float(np.abs(before).mean())
                if size > 0 and before.shape == now.shape:
                    ratios[name] = float(np.abs(now - before).mean()) / (size + self.parameters["epsilon"])
            history.append((step.mode_step, now))
        return ratios

    def _look(self, step: Step, name: str, ratio: float) -> Finding | None:
        first = name not in self._seen
        self._seen.add(name)
        small, large = self.parameters["small_threshold"], self.parameters["large_threshold"]
        self._small[name] = self._small.get(name, 0) + 1 if ratio < small else 0
        weight = name.removeprefix("update_ratio/")
        if self._small[name] > 1:
            return finding(step, f"{weight}: update / weight is {ratio:.3g}, below {small:g}", ratio, name)
        if ratio > large and not first:
            return finding(step, f"{weight}: update / weight is {ratio:.3g}, above {large:g}", ratio, name)
        return None
