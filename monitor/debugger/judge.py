"""Judges saved tensors by rules, live or afterwards, and gathers the debugger's document."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from contract.errors import UserError
from contract.rules.request import RuleRequest
from contract.rules.verdict import (
    ERROR,
    IN_PROGRESS,
    ISSUES,
    NO_ISSUES,
    STOPPED,
    Finding,
    Outcome,
    Verdict,
    first_of_each,
    settings_in,
)
from contract.version import VERSION
from monitor.debugger.advice import advise
from monitor.debugger.reader import Tensors
from monitor.debugger.rules.base import Rule, Step
from monitor.debugger.rules.registry import TENSOR_RULE_CLASSES
from monitor.debugger.trends import Trends

FORMAT: Final = 1
_SEVERITIES: Final = ("error", "warning", "info")
_STATUSES: Final = (ISSUES, ERROR, STOPPED, NO_ISSUES, IN_PROGRESS)


@dataclass(frozen=True)
class Background:
    """What is known of the training besides its tensors; nothing, for other people's."""

    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    epochs: Sequence[Mapping[str, Any]] = ()
    steps_per_epoch: int | None = None
    notes: Sequence[str] = ()


class Case:
    """One rule at work. on_status hears of each change of its status."""

    def __init__(self, request: RuleRequest, name: str, on_status: Callable[[str], None]) -> None:
        self.request = request
        self.verdict = Verdict(replace(request.spec, name=name), request.parameters)
        self._tell = on_status
        self._announced = False
        self._failed = False
        self._rule: Rule | None = None
        try:
            self._rule = TENSOR_RULE_CLASSES[request.spec.name](request.parameters)
        except Exception as error:  # noqa: BLE001 - one rule must not end the others
            self._fail(error)
        if request.named:
            self._announce()

    @property
    def shown(self) -> bool:
        """Whether it has a place in tables: a rule of the default set only when it found something to judge."""
        verdict = self.verdict
        return self.request.named or self._failed or verdict.datapoints > 0 or verdict.triggered > 0

    def judge(self, step: Step) -> bool:
        """Whether it fired now for the first time."""
        if self._rule is None:
            return False
        try:
            findings = self._rule.judge(step)
        except Exception as error:  # noqa: BLE001 - one rule must not end the others
            self._fail(error)
            return False
        if findings is None:
            return False
        self.verdict.datapoints += 1
        self._announce()
        return self._take(findings)

    def idle(self, seconds: float) -> bool:
        """The same, when no step came for so long."""
        return self._rule is not None and self._take(self._rule.idle(seconds))

    def last(self) -> bool:
        """Whether it fires for the first time because no more steps will come."""
        if self._rule is None:
            return False
        try:
            return self._take(self._rule.end())
        except Exception as error:  # noqa: BLE001 - one rule must not end the others
            self._fail(error)
            return False

    def end(self, outcome: Outcome) -> None:
        """Nothing more comes: settle its status."""
        verdict = self.verdict
        if verdict.status == IN_PROGRESS and verdict.datapoints and outcome.cut_short:
            verdict.status = STOPPED
        verdict.end()
        if verdict.status == ERROR and verdict.note is None and self._rule is not None:
            verdict.note = f"nothing to judge: it needs {self._rule.needs()}"

    def tell_end(self) -> None:
        """The last status line."""
        if self.shown:
            why = f" ({self.verdict.note})" if self.verdict.status == ERROR and self.verdict.note else ""
            self._tell(f"{self.verdict.spec.name}: {self.verdict.status}{why}")

    def fail(self, why: str) -> None:
        """Its tensors can't be read any more."""
        if self.verdict.status == IN_PROGRESS:
            self.verdict.status, self.verdict.note = ERROR, why
        self._rule = None
        self._failed = True

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            self._tell(f"{self.verdict.spec.name}: {IN_PROGRESS}")

    def _take(self, findings: list[Finding]) -> bool:
        first = not self.verdict.triggered and bool(findings)
        self.verdict.add(findings)
        if first:
            self._announce()
            self._tell(f"{self.verdict.spec.name}: {ISSUES} ({described(findings[0])})")
        return first

    def _fail(self, error: Exception) -> None:
        why = " ".join(str(error).split()) or type(error).__name__
        self.fail(why if isinstance(error, UserError) else f"it failed: {type(error).__name__}: {why}")
        if self.verdict.note is None:
            self.verdict.note = f"ended early, it failed: {type(error).__name__}: {why}"


class Judge:
    """Judges a folder of tensors, each saved step once, as often as `poll` is called.

    path: a folder or an s3:// URL. on_status: called with each status line. Without `live` a folder that holds no
    tensors raises UserError at once; with it, they are waited for from `start` on.
    """

    def __init__(
        self,
        path: str | Path,
        requests: Sequence[RuleRequest],
        on_status: Callable[[str], None],
        live: bool = False,
    ) -> None:
        self._path = str(path)
        self._tensors: Tensors | None = None if live else Tensors(self._path)
        counts = Counter(each.spec.name for each in requests)
        self._cases = [
            Case(each, each.label if counts[each.spec.name] > 1 and each.label else each.spec.name, on_status)
            for each in requests
        ]
        self._steps: Counter[str] = Counter()
        self._last_step: int | None = None
        self._trends = Trends()
        self._notes: list[str] = []
        self._moved = time.monotonic()
        self._reading = not live

    def start(self) -> None:
        """Training begins now: what lay in the folder before was an earlier job's."""
        self._reading = True

    @property
    def fired(self) -> bool:
        """Whether any rule has."""
        return any(case.verdict.triggered for case in self._cases)

    def poll(self) -> list[Case]:
        """Judge what has been saved since the last call; returns the rules that fired for the first time."""
        return self._judge(final=False)

    def _judge(self, final: bool) -> list[Case]:
        fired = []
        for step in self._new_steps(final):
            self._steps[step.mode] += 1
            self._last_step = step.number
            self._moved = time.monotonic()
            self._trends.add(step)
            fired += [case for case in self._cases if case.judge(step)]
        return fired

    def moved(self) -> None:
        """The training is known to make progress, whether or not that was saved."""
        self._moved = time.monotonic()

    def stalled(self) -> list[Case]:
        """The rules that fire for the first time because the training has made no progress for so long."""
        seconds = time.monotonic() - self._moved
        return [case for case in self._cases if case.idle(seconds)]

    def _new_steps(self, final: bool) -> list[Step]:
        if not self._reading:
            return []
        try:
            if self._tensors is None:
                if not (Path(self._path) / "collections").is_dir():
                    return []
                self._tensors = _opened(self._path)
            return list(self._tensors.poll(final)) if self._tensors else []
        except Exception as error:  # noqa: BLE001 - whatever is in the files, training and reports go on
            why = f"the tensors can't be read: {' '.join(str(error).split()) or type(error).__name__}"
            if why not in self._notes:
                self._notes.append(why)
            for case in self._cases:
                case.fail(why)
            return []

    def last(self) -> list[Case]:
        """The same when nothing more will be saved: a step that not all workers wrote counts as well."""
        return self._judge(final=True) + [case for case in self._cases if case.last()]

    def finish(self, outcome: Outcome, background: Background | None = None) -> dict[str, Any]:
        """Settle all statuses and return the document (docs/debugger.md). Call `last` before."""
        known = background or Background()
        for case in self._cases:
            case.end(outcome)
            case.verdict.advice = advise(case.verdict, known.hyperparameters)
            case.verdict.settings = settings_in(case.verdict.advice or "", known.hyperparameters)
        shown = [case for case in self._cases if case.shown]
        for case in shown:
            case.tell_end()
        rules = [case.verdict for case in sorted(shown, key=_rank)]
        return {
            "format": FORMAT,
            "kennel": VERSION,
            "tensors": self._path,
            "outcome": {"completed": outcome.completed, "reason": outcome.reason},
            "steps": {mode: self._steps[mode] for mode in sorted({"TRAIN", "EVAL", *self._steps})},
            "last_step": self._last_step,
            "rules": [each.to_dict() for each in rules],
            "settings": first_of_each(each.settings for each in rules),
            "trends": self._trends.to_dict(),
            "epochs": list(known.epochs),
            "steps_per_epoch": known.steps_per_epoch,
            "hyperparameters": dict(known.hyperparameters),
            "notes": [*known.notes, *self._notes, *(self._tensors.notes if self._tensors else ()), *self._left_out()],
        }

    def _left_out(self) -> list[str]:
        hidden = [case for case in self._cases if not case.shown]
        if not hidden or not self._steps:
            return ["no step was saved, so the rules of the default set had nothing to judge"] if hidden else []
        names = ", ".join(case.verdict.spec.name for case in hidden)
        return [f"nothing was saved that these rules of the default set judge: {names}"]


def _opened(path: str) -> Tensors | None:
    """None while the hook is still at writing what belongs to a folder of tensors."""
    try:
        return Tensors(path)
    except UserError:
        return None


def _rank(case: Case) -> tuple[int, int]:
    verdict = case.verdict
    return _STATUSES.index(verdict.status), _SEVERITIES.index(verdict.spec.severity)


def described(finding: Finding) -> str:
    """`step 40: the text`: the step of its mode, which for training is the number of batches before it."""
    if finding.mode_step is not None and finding.mode not in (None, "TRAIN", "GLOBAL"):
        return f"{finding.mode} step {finding.mode_step}: {finding.text}"
    step = finding.step if finding.mode_step is None else finding.mode_step
    return finding.text if step is None else f"step {step}: {finding.text}"
