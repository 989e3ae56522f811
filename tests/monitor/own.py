"""Rules and callbacks of one's own, as a user writes them, and what is none."""

from typing import ClassVar

from contract.rules.spec import Parameter, RuleSpec
from contract.rules.verdict import Finding
from monitor.debugger.rules.base import Step, TensorRule
from monitor.profiler.recording import Recording
from monitor.profiler.rules.base import Judgement, ProfilerRule

NUMBER = 3


class LossAbove(TensorRule):
    """Fires at every loss above limit."""

    spec: ClassVar[RuleSpec | None] = RuleSpec(
        "LossAbove", "the loss is above limit", "Lower lr.", "error", {"limit": Parameter(1.0, "largest loss", low=0)}
    )

    def judge(self, step: Step) -> list[Finding] | None:
        values = [step.reduction(name, "mean") or 0.0 for name in step.names("losses")]
        if not values:
            return None
        return [
            Finding(f"the loss is {value:g}", value, step.number, step.mode, step.mode_step)
            for value in values
            if value > self.parameters["limit"]
        ]

    def needs(self) -> str:
        return "losses"


class SamplesAtLeast(ProfilerRule):
    """Fires when the machine was sampled at least `count` times."""

    spec = RuleSpec(
        "SamplesAtLeast", "there are count samples", "Nothing.", "info", {"count": Parameter(5, "samples", low=1)}
    )

    def judge(self, run: Recording, ended: bool) -> Judgement:
        count = sum(len(node) for node in run.nodes.values())
        return Judgement(count, [Finding(f"{count} samples")] if count >= self.parameters["count"] else [])


class Undeclared(LossAbove):
    spec = None


class Namesake(LossAbove):
    spec = RuleSpec("Overfit", "never", "", "info")
