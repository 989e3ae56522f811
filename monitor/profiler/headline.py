"""What to do, in sentences with the job's own figures and this project's hyperparameters, what matters most first."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from contract.rules.verdict import Verdict
from monitor.profiler.advice import TOPICS, Facts

_LEAST: Final = 0.02  # share of the job's time from which on something is worth a sentence
# The topics that answer a rule, the first that has something to say.
_FOR_RULE: Final[Mapping[str, tuple[str, ...]]] = {
    "BatchSize": ("data", "batch", "idle"),
    "CPUBottleneck": ("data",),
    "IOBottleneck": ("data",),
    "LowGPUUtilization": ("data", "batch"),
    "MaxInitializationTime": ("initialization",),
    "StepOutlier": ("data", "hook"),
    "Dataloader": ("data",),
    "OverallFrameworkMetrics": ("data", "hook", "batch", "compute"),
}


def headline(facts: Facts, verdicts: Sequence[Verdict] = ()) -> list[str]:
    """What to do, what is most at stake first, then what rules found beside it; one sentence that nothing is, if so."""
    found = [advice for topic in TOPICS.values() if (advice := topic(facts))]
    least = _LEAST * facts.stages.job
    found = [each for each in found if each.trade or (each.seconds > 0 and each.seconds >= least)]
    found.sort(key=lambda each: (each.trade, -each.seconds))
    texts = [each.text for each in found]
    for verdict in verdicts:
        if verdict.triggered and verdict.spec.severity != "info" and verdict.advice and verdict.advice not in texts:
            texts.append(f"{verdict.spec.name}: {verdict.advice}")
    return texts or [_nothing(facts)]


def _nothing(facts: Facts) -> str:
    parts = []
    if not math.isnan(facts.share("forward", "backward")):
        parts.append(f"forward and backward take {facts.share('forward', 'backward'):.0f} % of a step")
    if not math.isnan(facts.cpu):
        parts.append(f"the CPU is used {facts.cpu:.0f} %")
    if not math.isnan(facts.gpu_p95):
        parts.append(f"the GPU up to {facts.gpu_p95:.0f} %")
    return f"Nothing stands out: {', '.join(parts)}." if parts else "Too little was recorded to say anything."


def advise(verdict: Verdict, facts: Facts) -> str | None:
    """What to do about a rule that fired, at the least its general advice; what OverallFrameworkMetrics suggests."""
    name = verdict.spec.name
    if not verdict.triggered and name != "OverallFrameworkMetrics":
        return None
    if name == "Dataloader" and facts.workers and facts.cores and facts.workers > facts.cores:
        best = 0 if facts.device == "cpu" else min(8, facts.cores)
        return f"Set workers={best} (now {facts.workers}): more processes than cores only wait for each other."
    for topic in _FOR_RULE.get(name, ()):
        advice = TOPICS[topic](facts)
        if advice:
            return advice.text
    return verdict.spec.advice or None if verdict.triggered else None
