"""What a rule is given, one saved step at a time, and what it answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

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


class Rule(ABC):
    """Judges step after step. A rule may keep what it needs of the steps before."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """parameters: all that the rule's RuleSpec declares, typed."""
        self.parameters = dict(parameters)

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
