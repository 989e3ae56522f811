"""The rules' classes by name, and one rule at work, for tensors and the profiler alike."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Generic, TypeVar, cast

from contract.errors import UserError
from contract.plugins import load_attribute
from contract.rules.request import RuleRequest
from contract.rules.rule import Rule
from contract.rules.verdict import ERROR, IN_PROGRESS, ISSUES, NO_ISSUES, STOPPED, Finding, Verdict

_MODULES: Final = {
    "monitor.debugger.rules.losses": ("LossNotDecreasing", "Overfit", "Overtraining"),
    "monitor.debugger.rules.tensors": (
        "VanishingGradient", "ExplodingTensor", "AllZero", "UnchangedTensor", "TensorVariance",
    ),
    "monitor.debugger.rules.weights": ("PoorWeightInitialization", "WeightUpdateRatio"),
    "monitor.debugger.rules.activations": ("DeadRelu", "SaturatedActivation"),
    "monitor.debugger.rules.predictions": ("ClassImbalance", "CheckInputImages", "Confusion"),
    "monitor.debugger.rules.phases": ("StalledTrainingRule",),
    "monitor.profiler.rules.bottlenecks": ("CPUBottleneck", "IOBottleneck", "GPUMemoryIncrease", "LoadBalancing"),
    "monitor.profiler.rules.utilisation": ("BatchSize", "LowGPUUtilization", "OverallSystemUsage"),
    "monitor.profiler.rules.steps": ("MaxInitializationTime", "StepOutlier", "Dataloader", "OverallFrameworkMetrics"),
}  # fmt: skip

RULE_MODULES: Final = {name: module for module, names in _MODULES.items() for name in names}
"""Rule name -> the module that holds the class of that name."""

STATUSES: Final = (ISSUES, ERROR, STOPPED, NO_ISSUES, IN_PROGRESS)
SEVERITIES: Final = ("error", "warning", "info")

_Rule = TypeVar("_Rule", bound=Rule)


def rule_class(name: str) -> type[Rule]:
    """The class of a rule, by its name, or as `module:attribute`. Raises ConfigError or KeyError if there is none."""
    if ":" in name:
        return cast("type[Rule]", load_attribute("rule", name))
    return cast("type[Rule]", getattr(importlib.import_module(RULE_MODULES[name]), name))


class RuleRun(ABC, Generic[_Rule]):
    """One rule at work: its verdict so far, and its status lines, with which `on_status` is called.

    A rule that fails has the status ERROR and ends no other.
    """

    def __init__(self, request: RuleRequest, on_status: Callable[[str], None], name: str = "") -> None:
        self.request = request
        self.verdict = Verdict(replace(request.spec, name=name or request.spec.name), request.parameters)
        self._on_status = on_status
        self._announced = False
        self._failed = False
        self.rule: _Rule | None = None
        try:
            self.rule = cast("_Rule", rule_class(request.rule)(request.parameters))
        except Exception as error:  # noqa: BLE001 - one rule must not end the others
            self._fail(error)
        if request.named:
            self._announce()

    @property
    def shown(self) -> bool:
        """Whether it has a place in tables: a rule of the default set only when it found something to judge."""
        verdict = self.verdict
        return self.request.named or self._failed or verdict.datapoints > 0 or verdict.triggered > 0

    def print_final_status(self) -> None:
        """The last status line."""
        if self.shown:
            why = f" ({self.verdict.note})" if self.verdict.status == ERROR and self.verdict.note else ""
            self._on_status(f"{self.verdict.spec.name}: {self.verdict.status}{why}")

    def fail(self, why: str) -> None:
        """What it reads can't be read any more."""
        if self.verdict.status == IN_PROGRESS:
            self.verdict.status, self.verdict.note = ERROR, why
        self.rule = None
        self._failed = True

    @abstractmethod
    def describe(self, finding: Finding) -> str:
        """A finding in its status line."""

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            self._on_status(f"{self.verdict.spec.name}: {IN_PROGRESS}")

    def _print_issue(self) -> None:
        """The status line of a rule that fired for the first time."""
        self._announce()
        self._on_status(f"{self.verdict.spec.name}: {ISSUES} ({self.describe(self.verdict.findings[0])})")

    def _fail(self, error: Exception) -> None:
        why = " ".join(str(error).split()) or type(error).__name__
        self.fail(why if isinstance(error, UserError) else f"it failed: {type(error).__name__}: {why}")
        if self.verdict.note is None:
            self.verdict.note = f"ended early, it failed: {type(error).__name__}: {why}"
