"""What a rule found: the shape that debugger.json, profiler.json and both pages share.

Settings in an advice's own words: `name=value`.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from contract.rules.spec import RuleSpec

# SageMaker's words for a rule's state.
IN_PROGRESS: Final = "InProgress"
NO_ISSUES: Final = "NoIssuesFound"
ISSUES: Final = "IssuesFound"
ERROR: Final = "Error"
STOPPING: Final = "Stopping"
STOPPED: Final = "Stopped"

MOST_FINDINGS: Final = 200  # that are kept of each rule; all are counted


@dataclass(frozen=True)
class Outcome:
    """How the training ended. completed: None when nobody knows. cut_short: by a signal or a kill."""

    completed: bool | None = None
    reason: str | None = None
    cut_short: bool = False


@dataclass(frozen=True)
class Finding:
    """One place where a rule fired. text: a whole sentence with the values.

    For tensors: step (global, from 0), mode ("TRAIN", "EVAL", ...), mode_step, and the tensor. For the profiler:
    start_s and end_s, seconds since the job began, and step where there is one.
    """

    text: str
    value: float | None = None
    step: int | None = None
    mode: str | None = None
    mode_step: int | None = None
    tensor: str | None = None
    start_s: float | None = None
    end_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Without what isn't there; a value that is no finite number, which JSON lacks, as its name."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        if self.value is not None and not math.isfinite(self.value):
            found["value"] = str(self.value)
        return found


@dataclass
class Verdict:
    """What one rule has to say. datapoints: how often it judged; note: why it couldn't, or what limits it.

    advice: what to do about it, in this project's own hyperparameters; settings: the same, ready to be set. None unless
    it fired.
    """

    spec: RuleSpec
    parameters: Mapping[str, Any]
    status: str = IN_PROGRESS
    datapoints: int = 0
    triggered: int = 0
    findings: list[Finding] = field(default_factory=list)
    note: str | None = None
    advice: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    action: str | None = None  # what was done because it fired

    def add(self, findings: list[Finding]) -> None:
        """Count findings, and keep the first MOST_FINDINGS."""
        self.triggered += len(findings)
        self.findings += findings[: MOST_FINDINGS - len(self.findings)]
        if findings:
            self.status = ISSUES

    def end(self) -> None:
        """Nothing more comes: a rule that judged nothing has not found that all is well."""
        if self.status == IN_PROGRESS:
            self.status = NO_ISSUES if self.datapoints else ERROR

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `report` has the keys of a SageMaker rule's own report."""
        rows = [each.to_dict() for each in self.findings]
        return {
            "name": self.spec.name,
            "status": self.status,
            "severity": self.spec.severity,
            "fires": self.spec.fires,
            "parameters": dict(self.parameters),
            "report": {
                "RuleTriggered": self.triggered,
                "Violations": self.triggered,
                "Details": {str(number): row["text"] for number, row in enumerate(rows[:10])},
                "Datapoints": self.datapoints,
                "RuleParameters": " ".join(f"{name}:{value}" for name, value in self.parameters.items()),
            },
            "findings": rows,
            "note": self.note,
            "recommendation": self.spec.advice,
            "advice": self.advice,
            "settings": dict(self.settings),
            "action": self.action,
        }


_SETTING: Final = re.compile(r"\b([a-z][a-z_0-9]*)=([\w./:-]*\w)")
_SENTENCE: Final = re.compile(r"(?<=[.;])\s+")


def settings_in(advice: str, chosen: Mapping[str, Any]) -> dict[str, str]:
    """The first setting of each sentence that differs from `chosen`; what follows it are alternatives.

    chosen: the present hyperparameters by name; only these names count. Of two values for one name the first counts.
    """
    found: dict[str, str] = {}
    for sentence in _SENTENCE.split(advice):
        for name, value in _SETTING.findall(sentence):
            if name in chosen and not _same(chosen[name], value):
                found.setdefault(name, value)
                break
    return found


def first_of_each(settings: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """All of them together; of two values for one name the first counts."""
    found: dict[str, str] = {}
    for each in settings:
        found = {**each, **found}
    return found


def _same(present: object, value: str) -> bool:
    if isinstance(present, str):
        return present == value
    try:
        return float(str(present)) == float(value)
    except ValueError:
        return False
