"""The rule that judges gradients alone."""

from collections.abc import Mapping
from typing import Any

from contract.rules.verdict import Finding
from train.debug.rules.base import Rule, Step
from train.debug.rules.common import LossLevel, chosen, finding, is_bias, mean_absolute


class VanishingGradient(Rule):
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
