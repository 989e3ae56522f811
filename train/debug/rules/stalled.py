"""The rule that watches the clock."""

from collections.abc import Mapping
from typing import Any

from contract.rules.verdict import Finding
from train.debug.rules.base import Rule, Step
from train.debug.rules.common import finding


class StalledTrainingRule(Rule):
    """No new step came for more than threshold seconds.

    While training runs by the clock, once a stall; afterwards by the times at which the steps were written. A hook that
    saves every 500th step is quiet for long: choose threshold accordingly.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._told = False
        self._last: float | None = None

    def judge(self, step: Step) -> list[Finding] | None:
        before, self._last, told, self._told = self._last, step.time, self._told, False
        if told or before is None or self._last is None or self._last - before <= self.parameters["threshold"]:
            return []
        return [finding(step, self._text(self._last - before), self._last - before)]

    def idle(self, seconds: float) -> list[Finding]:
        if self._told or seconds <= self.parameters["threshold"]:
            return []
        self._told = True
        return [Finding(self._text(seconds), seconds)]

    def needs(self) -> str:
        return "any tensors"

    def _text(self, seconds: float) -> str:
        return f"no new step came for {seconds:.0f} s; {self.parameters['threshold']:g} s are allowed"
