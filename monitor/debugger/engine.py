"""Judges saved tensors by rules, live or afterwards, and gathers the debugger's document."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from contract.errors import UserError
from contract.rules.request import RuleRequest
from contract.rules.verdict import ERROR, IN_PROGRESS, STOPPED, Finding, Outcome, first_of_each, settings_in
from contract.version import VERSION
from monitor.debugger.advice import advise
from monitor.debugger.reader import Tensors
from monitor.debugger.rules.base import Step, TensorRule
from monitor.debugger.trends import Trends
from monitor.rules import SEVERITIES, STATUSES, RuleRun

FORMAT: Final = 1


@dataclass(frozen=True)
class Background:
    """What is known of the training besides its tensors; nothing, for other people's."""

    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    epochs: Sequence[Mapping[str, Any]] = ()
    steps_per_epoch: int | None = None
    notes: Sequence[str] = ()


class TensorRuleRun(RuleRun[TensorRule]):
    """One rule that judges steps as they are saved."""

    def judge(self, step: Step) -> bool:
        """Whether it fired now for the first time."""
        if self.rule is None:
            return False
        try:
            findings = self.rule.judge(step)
        except Exception as error:  # noqa: BLE001 - one rule must not end the others
            self._fail(error)
            return False
        if findings is None:
            return False
        self.verdict.datapoints += 1
        self._announce()
        return self._add(findings)

    def idle(self, seconds: float) -> bool:
        """The same, when no step came for so long."""
        return self.rule is not None and self._add(self.rule.idle(seconds))

    def last(self) -> bool:
        """Whether it fires for the first time because no more steps will come."""
        if self.rule is None:
            return False
        try:
            return self._add(self.rule.end())
        except Exception as error:  # noqa: BLE001 - one rule must not end the others
            self._fail(error)
            return False

    def end(self, outcome: Outcome) -> None:
        """Nothing more comes: settle its status."""
        verdict = self.verdict
        if verdict.status == IN_PROGRESS and verdict.datapoints and outcome.cut_short:
            verdict.status = STOPPED
        verdict.end()
        if verdict.status == ERROR and verdict.note is None and self.rule is not None:
            verdict.note = f"nothing to judge: it needs {self.rule.needs()}"

    def describe(self, finding: Finding) -> str:
        """With its step."""
        return described(finding)

    def _add(self, findings: list[Finding]) -> bool:
        first = not self.verdict.triggered and bool(findings)
        self.verdict.add(findings)
        if first:
            self._print_issue()
        return first


class TensorRuleEngine:
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
        self._runs = [
            TensorRuleRun(each, on_status, each.label if counts[each.spec.name] > 1 else "") for each in requests
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
        return any(run.verdict.triggered for run in self._runs)

    def poll(self) -> list[TensorRuleRun]:
        """Judge what has been saved since the last call; returns the rules that fired for the first time."""
        return self._judge(final=False)

    def _judge(self, final: bool) -> list[TensorRuleRun]:
        fired = []
        for step in self._new_steps(final):
            self._steps[step.mode] += 1
            self._last_step = step.number
            self._moved = time.monotonic()
            self._trends.add(step)
            fired += [run for run in self._runs if run.judge(step)]
        return fired

    def moved(self) -> None:
        """The training is known to make progress, whether or not that was saved."""
        self._moved = time.monotonic()

    def stalled(self) -> list[TensorRuleRun]:
        """The rules that fire for the first time because the training has made no progress for so long."""
        seconds = time.monotonic() - self._moved
        return [run for run in self._runs if run.idle(seconds)]

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
            for run in self._runs:
                run.fail(why)
            return []

    def last(self) -> list[TensorRuleRun]:
        """The same when nothing more will be saved: a step that not all workers wrote counts as well."""
        return self._judge(final=True) + [run for run in self._runs if run.last()]

    def finish(self, outcome: Outcome, background: Background | None = None) -> dict[str, Any]:
        """Settle all statuses and return the document (docs/debugger.md). Call `last` before."""
        known = background or Background()
        for run in self._runs:
            run.end(outcome)
            run.verdict.advice = advise(run.verdict, known.hyperparameters)
            run.verdict.settings = settings_in(run.verdict.advice or "", known.hyperparameters)
        shown = [run for run in self._runs if run.shown]
        for run in shown:
            run.print_final_status()
        rules = [run.verdict for run in sorted(shown, key=_rank)]
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
        hidden = [run for run in self._runs if not run.shown]
        if not hidden or not self._steps:
            return ["no step was saved, so the rules of the default set had nothing to judge"] if hidden else []
        names = ", ".join(run.verdict.spec.name for run in hidden)
        return [f"nothing was saved that these rules of the default set judge: {names}"]


def _opened(path: str) -> Tensors | None:
    """None while the hook is still at writing what belongs to a folder of tensors."""
    try:
        return Tensors(path)
    except UserError:
        return None


def _rank(run: TensorRuleRun) -> tuple[int, int]:
    verdict = run.verdict
    return STATUSES.index(verdict.status), SEVERITIES.index(verdict.spec.severity)


def described(finding: Finding) -> str:
    """`step 40: the text`: the step of its mode, which for training is the number of batches before it."""
    if finding.mode_step is not None and finding.mode not in (None, "TRAIN", "GLOBAL"):
        return f"{finding.mode} step {finding.mode_step}: {finding.text}"
    step = finding.step if finding.mode_step is None else finding.mode_step
    return finding.text if step is None else f"step {step}: {finding.text}"
