"""Training and validation losses, put together phase by phase, and the rule that watches the clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.rules.verdict import Finding
from monitor.debugger.rules.base import TRAINING, Step, TensorRule, finding


@dataclass
class Phase:
    """The losses of consecutive EVAL steps, and of the training steps between them and the phase before; by name."""

    training: dict[str, list[float]] = field(default_factory=dict)
    validation: dict[str, list[float]] = field(default_factory=dict)
    number: int = 0
    mode_step: int = 0

    def finding(self, text: str, value: float, tensor: str) -> Finding:
        """At the phase's last step."""
        return Finding(text, value, step=self.number, mode="EVAL", mode_step=self.mode_step, tensor=tensor)

    def pairs(self) -> list[tuple[str, list[float], list[float]]]:
        """(name, training, validation): the losses of one name, or the only ones there are."""
        common = sorted(self.training.keys() & self.validation.keys())
        if common or len(self.training) != 1 or len(self.validation) != 1:
            return [(name, self.training[name], self.validation[name]) for name in common]
        ((name, validation),) = self.validation.items()
        (training,) = self.training.values()
        return [(name, training, validation)]


class Phases:
    """Gathers losses; a phase is over when training goes on."""

    def __init__(self) -> None:
        self._now = Phase()

    def add(self, step: Step, found: dict[str, float]) -> Phase | None:
        """The phase that this step ends."""
        closed = None
        if step.mode == "EVAL":
            self._now.number, self._now.mode_step = step.number, step.mode_step
            self._gather(self._now.validation, found)
        elif step.mode in TRAINING:
            closed = self.close()
            self._gather(self._now.training, found)
        return closed

    def close(self) -> Phase | None:
        """The phase so far, if there was any validation in it."""
        if not self._now.validation:
            return None
        closed, self._now = self._now, Phase()
        return closed

    @staticmethod
    def _gather(into: dict[str, list[float]], found: dict[str, float]) -> None:
        for name, value in found.items():
            into.setdefault(name, []).append(value)


class StalledTrainingRule(TensorRule):
    """No new step came for more than threshold seconds.

    While training runs by the clock, once a stall; afterwards by the times at which the steps were written. A hook that
    saves every 500th step is quiet for long: choose threshold accordingly.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._reported = False
        self._last: float | None = None

    def judge(self, step: Step) -> list[Finding] | None:
        before, self._last, reported, self._reported = self._last, step.time, self._reported, False
        if reported or before is None or self._last is None or self._last - before <= self.parameters["threshold"]:
            return []
        return [finding(step, self._text(self._last - before), self._last - before)]

    def idle(self, seconds: float) -> list[Finding]:
        if self._reported or seconds <= self.parameters["threshold"]:
            return []
        self._reported = True
        return [Finding(self._text(seconds), seconds)]

    def needs(self) -> str:
        return "any tensors"

    def _text(self, seconds: float) -> str:
        return f"no new step came for {seconds:.0f} s; {self.parameters['threshold']:g} s are allowed"
