"""What a rule is given, one saved step at a time, and what it answers.

Rules share which tensors to judge, how a finding is worded, what the loss and frozen parts mean.
"""

import math
import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from contract.rules.rule import Rule
from contract.rules.verdict import Finding

Array = NDArray[Any]


class Step(Protocol):
    """A saved step that is complete: every worker has written it."""

    @property
    def number(self) -> int:
        """The global step, from 0."""

    @property
    def mode(self) -> str:
        """TRAIN, EVAL, PREDICT or GLOBAL, as saved."""

    @property
    def mode_step(self) -> int:
        """The step within its mode."""

    @property
    def time(self) -> float | None:
        """When it was written: seconds since the epoch, where known."""

    def names(self, *collections: str) -> list[str]:
        """The tensors saved in this step that belong to any of these collections, sorted."""

    def matching(self, regex: str) -> list[str]:
        """The tensors saved in this step whose names match somewhere, sorted."""

    def value(self, name: str) -> Array | None:
        """The whole tensor; None if only reductions of it were saved."""

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The tensor's shape; None if neither it nor the whole tensor was saved."""

    def reduction(self, name: str, kind: str, absolute: bool = False) -> float | None:
        """A reduction of a tensor, or of its absolute values: as saved, else of the whole tensor, else None.

        kind: min, max, mean, std, variance, l1 or l2. NaN stays NaN.
        """


class TensorRule(Rule):
    """Judges step after step. A rule may keep what it needs of the steps before."""

    @abstractmethod
    def judge(self, step: Step) -> list[Finding] | None:
        """What is wrong in this step; None if it holds nothing that this rule judges (no datapoint).

        Called once for each saved step, in ascending order.
        """

    def idle(self, seconds: float) -> list[Finding]:  # noqa: ARG002 - only one rule minds
        """What is wrong when no new step came for so long."""
        return []

    def end(self) -> list[Finding]:
        """What is wrong in what was still being gathered: called once, when no more steps will come."""
        return []

    @abstractmethod
    def needs(self) -> str:
        """What must have been saved for this rule, in words: "gradients (collection gradients)"."""


TRAINING: Final = ("TRAIN", "GLOBAL")
"""Modes in which parameters change; scripts that never set a mode save GLOBAL."""

DONE: Final = 1e-3
"""A loss below this share of the first one is practically 0: then gradients vanish because all is learned."""


def words(text: str) -> list[str]:
    """Names or regular expressions separated by commas; one in brackets or braces, as in a{1,2}, separates nothing."""
    return [each.strip() for each in re.split(r",(?![^{\[(]*[}\])])", text) if each.strip()]


def chosen(step: Step, parameters: Mapping[str, Any], *default: str) -> list[str]:
    """The tensors of this step that tensor_regex or collection_names ask for; else those of the default collections."""
    regexes, collections = words(parameters.get("tensor_regex", "")), words(parameters.get("collection_names", ""))
    if not regexes and not collections:
        return step.names(*default)
    return sorted({*step.names(*collections), *(name for each in regexes for name in step.matching(each))})


def finding(step: Step, text: str, value: float | None = None, tensor: str | None = None) -> Finding:
    """At this step. The text names the tensor."""
    return Finding(text, value, step=step.number, mode=step.mode, mode_step=step.mode_step, tensor=tensor)


def finite(values: Array | None) -> bool:
    """Whether it is there and all its values are numbers: what isn't finite is ExplodingTensor's alone."""
    return values is not None and values.size > 0 and values.dtype.kind in "fiub" and bool(np.isfinite(values).all())


def mean_absolute(step: Step, name: str) -> float | None:
    """The mean of the absolute values; where no such reduction was saved, the least upper bound that the others give.

    mean |x| <= max |x| <= l2 norm.
    """
    for kind, absolute in (("mean", True), ("max", True), ("l2", False)):
        value = step.reduction(name, kind, absolute)
        if value is not None:
            return value
    return None


def is_bias(name: str) -> bool:
    """By the names of PyTorch, MXNet and TensorFlow."""
    return re.search(r"(bias|beta)(:\d+)?(Grad)?$", name) is not None


def losses(step: Step, parameters: Mapping[str, Any] | None = None) -> dict[str, float]:
    """The losses of a step that are finite, by name. A loss of several values counts as its mean."""
    names = chosen(step, parameters or {}, "losses")
    values = {name: step.reduction(name, "mean") for name in names}
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


class LossLevel:
    """Whether the training loss has become practically 0."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last: float | None = None

    def done(self, step: Step) -> bool:
        """Call it for each step."""
        found = losses(step) if step.mode in TRAINING else {}
        if found:
            self._last = sum(found.values())
            self._first = self._last if self._first is None else self._first
        return self._first is not None and self._last is not None and abs(self._last) < DONE * abs(self._first)


class TrainedParameters:
    """Which parameters are trained: those that have had a gradient.

    Hooks save the weights of frozen layers as well, and these neither change nor have to.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()

    def see(self, step: Step) -> None:
        """Call it for each step, before asking."""
        self._names.update(re.sub(r"^gradients?/|Grad$", "", name) for name in step.names("gradients"))

    def only(self, names: Iterable[str]) -> list[str]:
        """The trained ones of these; all of them, where no gradient has their names."""
        names = list(names)
        return [name for name in names if name in self._names] or names


def mean_and_error(values: Iterable[float]) -> tuple[float, float]:
    """The mean, and its standard error s / sqrt(n), 0 for one value."""
    array = np.asarray(list(values), np.float64)
    error = array.std(ddof=1) / math.sqrt(array.size) if array.size > 1 else 0.0
    return float(array.mean()), float(error)
