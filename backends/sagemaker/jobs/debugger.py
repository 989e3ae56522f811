"""SageMaker's own Debugger and profiler, for accounts that have them: what a training job asks of them, and what their
rules found. Kennel's own work all the same, with or without.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.errors import AwsError
from backends.sagemaker.names import S3Location
from backends.sagemaker.sdk import sdk
from backends.settings.sections import Settings

RULES_FILE: Final = "sagemaker-rules.json"
# Built-in rules for an image classifier, by SageMaker's names; others need tensors or parameters that it hasn't.
_DEBUG: Final = (
    "VanishingGradient", "ExplodingTensor", "AllZero", "UnchangedTensor", "TensorVariance", "WeightUpdateRatio",
    "LossNotDecreasing", "Overfit", "Overtraining", "PoorWeightInitialization", "SaturatedActivation", "DeadRelu",
    "ClassImbalance", "StalledTrainingRule",
)  # fmt: skip
_PROFILE: Final = (
    "ProfilerReport", "BatchSize", "CPUBottleneck", "GPUMemoryIncrease", "IOBottleneck", "LoadBalancing",
    "LowGPUUtilization", "MaxInitializationTime", "OverallSystemUsage", "StepOutlier",
)  # fmt: skip
_INTERVALS: Final = (100, 200, 500, 1000, 5000, 60_000)
_REDUCED: Final = {"reductions": "min,max,mean,std,variance,abs_mean,l2_norm"}
# What Kennel's own rules read, which a configuration with collections would otherwise switch off: docs/debugger.md.
_COLLECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "losses": {"train.save_interval": "10"},
    "gradients": _REDUCED,
    "weights": _REDUCED,
    "biases": _REDUCED,
    "update_ratios": {},
    "relu_active_share": {},
    "labels": {},
    "predictions": {},
    "input_means": {},
}
_HOOK: Final = {"train.save_interval": "100", "eval.save_interval": "10"}
_REFUSED: Final = re.compile(r"debugg?er|debug.?hook|debug.?rule|rule ?evaluat|profil|tensor.?board", re.IGNORECASE)


@dataclass(frozen=True)
class Observers:
    """Which of them a job asks for, and whether it does without what the account hasn't."""

    debugger: bool = True
    profiler: bool = True
    tensorboard: bool = True

    @classmethod
    def wanted(cls, account: Account) -> "Observers":
        """As the settings have it, in a region that has them."""
        train = account.settings.train
        regions = sdk("fw_utils")
        supported = (
            regions._region_supports_debugger(account.region),
            regions._region_supports_profiler(account.region),
        )
        debugger, profiler = (
            setting == "on" or (setting == "auto" and has)
            for setting, has in zip((train.debugger, train.profiler), supported, strict=True)
        )
        return cls(debugger, profiler, supported[0])

    def without(self, refusal: AwsError, account: Account) -> "Observers | None":
        """What is left to ask for after a refusal; None when it is about something else, or was asked for firmly."""
        message, train = refusal.fault.message, account.settings.train
        if not _REFUSED.search(message):
            return None
        others = self.debugger or self.profiler
        if self.tensorboard and (not others or re.search("tensor.?board", message, re.IGNORECASE)):
            return replace(self, tensorboard=False)
        if re.search("profil", message, re.IGNORECASE) and not re.search("debug", message, re.IGNORECASE):
            return replace(self, profiler=False) if self.profiler and train.profiler == "auto" else None
        required = (self.debugger and train.debugger == "on") or (self.profiler and train.profiler == "on")
        return None if required or not others else replace(self, debugger=False, profiler=False)


def arguments(account: Account, run: Run, observers: Observers) -> dict[str, Any]:
    """Arguments of the SDK's Estimator, of settings without `faults`."""
    train = account.settings.train
    debug, profile, _ = _rule_names(account.settings)
    location = account.run_location(run)
    classes = sdk("debugger")
    rules = _rules(classes, debug if observers.debugger else (), profile if observers.profiler else ())
    options: dict[str, Any] = {
        "debugger_hook_config": _hook(classes, location, debug) if observers.debugger else False,
        "rules": rules or None,
    }
    if observers.profiler:
        options["profiler_config"] = classes.ProfilerConfig(
            s3_output_path=(location / "profiler").url, system_monitor_interval_millis=train.profiler_interval_ms
        )
    else:
        options["disable_profiler"] = True
    if observers.tensorboard:
        options["tensorboard_output_config"] = classes.TensorBoardOutputConfig((location / "tensorboard").url)
    return options


def _rule_names(settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """(of the Debugger, of the profiler with its report, the names that are no rule's)."""
    known = {name.lower(): name for name in (*_DEBUG, *_PROFILE)}
    names = {each: known.get(each.replace("_", "").lower()) for each in settings.train.debugger_rules}
    selected = {name: None for name in ("ProfilerReport", *names.values()) if name}
    return (
        tuple(name for name in selected if name in _DEBUG),
        tuple(name for name in selected if name in _PROFILE),
        [each for each, name in names.items() if name is None],
    )


def faults(settings: Settings) -> list[str]:
    """What of the settings no job can ask for, a sentence each."""
    problems = []
    for each in _rule_names(settings)[2]:
        near = difflib.get_close_matches(each, (*_DEBUG, *_PROFILE), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join((*_DEBUG, *_PROFILE))}"
        problems.append(f"train.debugger_rules: SageMaker has no rule {each} for this; {hint}")
    interval = settings.train.profiler_interval_ms
    if interval not in _INTERVALS:
        problems.append(f"train.profiler_interval_ms: must be one of {', '.join(map(str, _INTERVALS))}, got {interval}")
    return problems


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _rules(classes: Any, debug: tuple[str, ...], profile: tuple[str, ...]) -> list[Any]:
    rules = []
    for name in debug:
        rule = classes.Rule.sagemaker(getattr(classes.rule_configs, _snake(name))())
        # The hook's own list has them, once each: rules that share one would send it twice.
        rule.collection_configs = []
        rules.append(rule)
    return rules + [classes.ProfilerRule.sagemaker(getattr(classes.rule_configs, name)()) for name in profile]


def _hook(classes: Any, location: S3Location, rules: tuple[str, ...]) -> Any:
    """Without rules of SageMaker's it names no collection: training then saves Kennel's own choice."""
    if not rules:
        return classes.DebuggerHookConfig(s3_output_path=(location / "tensors").url)
    collections: dict[str, Mapping[str, str]] = dict(_COLLECTIONS)
    for name in rules:
        for each in getattr(classes.rule_configs, _snake(name))().get("CollectionConfigurations", []):
            asked = each["CollectionParameters"]
            # Whole tensors, as the rule wants them, as often as the rest.
            kept = {key: value for key, value in asked.items() if key == "include_regex"}
            collections[each["CollectionName"]] = kept if each["CollectionName"] != "losses" else _COLLECTIONS["losses"]
    return classes.DebuggerHookConfig(
        s3_output_path=(location / "tensors").url,
        hook_parameters=dict(_HOOK),
        collection_configs=[
            classes.CollectionConfig(name, dict(parameters) or None) for name, parameters in collections.items()
        ],
    )


def statuses(description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What SageMaker's rules say in a DescribeTrainingJob answer, as rows of the table of rules."""
    rows = [
        *description.get("DebugRuleEvaluationStatuses", []),
        *description.get("ProfilerRuleEvaluationStatuses", []),
    ]
    return [
        {
            "name": f"SageMaker's {each['RuleConfigurationName']}",
            "status": each["RuleEvaluationStatus"],
            "severity": "warning",
            "findings": [],
            "fires": each.get("StatusDetails") or "no details",
            "note": each.get("StatusDetails", ""),
        }
        for each in rows
    ]
