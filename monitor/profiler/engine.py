"""Judges a profiled job by the profiler's rules, while it runs and afterwards, and writes what there is to say."""

import math
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from contract.errors import DataError
from contract.rules.request import RuleRequest
from contract.rules.verdict import ERROR, ISSUES, NO_ISSUES, Finding, Verdict, settings_in
from monitor.profiler import sagemaker_format
from monitor.profiler.advice import Facts, settings
from monitor.profiler.headline import advise, headline
from monitor.profiler.reader import FILES, Reader
from monitor.profiler.recording import Recording
from monitor.profiler.report import build
from monitor.profiler.rules.base import Judgement, NoGPU, NothingToJudge, ProfilerRule
from monitor.profiler.statistics import plain
from monitor.rules import SEVERITIES, RuleRun

# Judging a job of many hours takes seconds: no more than this share of the time while it runs.
_SHARE: Final = 0.01
_LONG_S: Final = 0.1


class ProfilerRuleRun(RuleRun[ProfilerRule]):
    """One rule that judges the whole recording, again and again."""

    def __init__(self, request: RuleRequest, on_status: Callable[[str], None]) -> None:
        super().__init__(request, on_status)
        self.left_out = False
        self.asked: float | None = None  # when it judged last

    def due(self, now: float) -> bool:
        """scan_interval_us have passed in the recording since it was asked; at first, since it was seen."""
        if self.asked is None:
            self.asked = now
        interval = float(self.request.parameters.get("scan_interval_us", 60_000_000)) / 1e6
        return now - self.asked >= interval

    def judge(self, run: Recording, ended: bool) -> bool:
        """Whether it fired now for the first time. ended: nothing more will be recorded."""
        self.asked = run.ended()
        fired = self.verdict
        if self.rule is None:
            return False
        verdict = Verdict(self.request.spec, self.request.parameters, action=fired.action)
        try:
            found = self.rule.judge(run, ended)
        except NothingToJudge as nothing:
            self.left_out = isinstance(nothing, NoGPU) and not self.request.named
            found = Judgement(note=str(nothing))
        except Exception as error:  # noqa: BLE001 - one rule may not take the others with it
            traceback.print_exc(file=sys.stderr)
            found = Judgement(note=f"the rule failed ({type(error).__name__}: {error}); please report it")
        verdict.datapoints, verdict.note = found.datapoints, found.note
        verdict.add(found.findings)
        # The figures cost time: only where there is something to say.
        if verdict.triggered or verdict.spec.name == "OverallFrameworkMetrics":
            verdict.advice = advise(verdict, Facts.of(run))
            verdict.settings = settings_in(verdict.advice or "", settings(run))
        if fired.triggered and not verdict.triggered:
            # It may have been acted on: what fired is not taken back.
            fired.note = "it fired while the job ran; over the whole job its condition doesn't hold"
            verdict = fired
        if ended:
            verdict.end()
        self.verdict = verdict
        if verdict.datapoints:
            self._announce()
        if verdict.triggered and not fired.triggered:
            self._print_issue()
            return True
        return False

    def describe(self, finding: Finding) -> str:
        """Its text, which says the time."""
        return finding.text


class ProfilerRuleEngine:
    """Judges the profiler files in a folder while they are written.

    requests: the rules. What a rule found once stays found. on_status: called with each status line. clock: seconds,
    for how long judging takes.
    """

    def __init__(
        self,
        folder: Path,
        requests: Sequence[RuleRequest],
        on_status: Callable[[str], None] = lambda _line: None,
        clock: Callable[[], float] = time.monotonic,
        recording: Recording | None = None,
    ) -> None:
        """recording: one that is complete, instead of a folder's files."""
        self._reader: Reader | None = None
        if recording is None:
            self._reader = Reader(folder)
            recording = self._reader.recording
        self._recording = recording
        self._runs = [ProfilerRuleRun(request, on_status) for request in requests]
        self._ended = False
        self._clock = clock
        self._rests_until = -math.inf

    def poll(self) -> list[ProfilerRuleRun]:
        """Read what was added, let the rules judge that are due, and return those that fired for the first time."""
        if self._reader is None or self._ended:
            return []
        recording = self._reader.poll()
        now = recording.ended()
        due = [run for run in self._runs if run.due(now)]
        if not now or not due or self._clock() < self._rests_until:
            return []
        began = self._clock()
        fired = [run for run in due if run.judge(recording, ended=False)]
        took = self._clock() - began
        if took > _LONG_S:
            self._rests_until = self._clock() + took / _SHARE
        return fired

    def finish(self) -> list[ProfilerRuleRun]:
        """Nothing more will be written: read the rest, and let every rule judge the whole job.

        Returns the rules that fired only now.
        """
        if self._ended:
            return []
        self._ended = True
        if self._reader is not None:
            self._reader.poll(ended=True)
        fired = [run for run in self._runs if run.judge(self._recording, ended=True)]
        left_out = [run.request.spec.name for run in self._runs if run.left_out]
        if left_out:
            self._recording.notes.append(
                f"{', '.join(left_out)}: left out, for they judge GPUs, and there are too few of them"
            )
        return fired

    def print_final_statuses(self) -> None:
        """The last status line of every rule that has a place in the tables."""
        for run in sorted(self._runs, key=lambda run: _order(run.verdict)):
            run.print_final_status()

    def verdicts(self) -> list[Verdict]:
        """What each rule says by now; without rules of the default set that need GPUs which aren't there."""
        return [run.verdict for run in self._runs if not run.left_out]

    def document(self, outcome: Mapping[str, Any], shown_only: bool = False) -> dict[str, Any]:
        """The report; it finishes the judgement. outcome: completed (bool or None) and reason.

        shown_only: without the rules of the default set that had nothing to judge.
        """
        self.finish()
        verdicts = sorted(self.verdicts(), key=_order)
        deviations = [v.parameters["stddev"] for v in verdicts if v.spec.name == "StepOutlier"]
        document = build(self._recording, outcome, *deviations[:1])
        shown = {id(run.verdict) for run in self._runs if run.shown or not shown_only}
        document["rules"] = plain([verdict.to_dict() for verdict in verdicts if id(verdict) in shown])
        document["headline"] = headline(Facts.of(self._recording), verdicts)
        document["settings"] = settings_in(" ".join(document["headline"]), settings(self._recording))
        return document


def _order(verdict: Verdict) -> tuple[int, int]:
    """Issues first, the gravest at the top; then what couldn't be judged; then what is well."""
    status = {ISSUES: 0, ERROR: 1, NO_ISSUES: 2}.get(verdict.status, 3)
    return status, SEVERITIES.index(verdict.spec.severity) if status == 0 else 0


def is_profile(folder: Path) -> bool:
    """Whether a folder holds profiler files, Kennel's or SageMaker's. Raises DataError for those of several jobs."""
    return any((folder / name).is_file() for name in FILES) or sagemaker_format.find(folder) is not None


def analyse(folder: Path, requests: Sequence[RuleRequest], outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The report on Kennel's profiler files in `folder`, or on the profiler output of a SageMaker job.

    Raises DataError when it holds neither, or the output of several jobs.
    """
    if any((folder / name).is_file() for name in FILES):
        return ProfilerRuleEngine(folder, requests).document(outcome)
    sagemaker = sagemaker_format.find(folder) if folder.is_dir() else None
    if sagemaker is None:
        raise DataError(
            f"{folder} holds no profiler files; give the folder with {FILES[0]} that training with profile=on leaves "
            "in output/profiler, or a SageMaker job's profiler-output"
        )
    return ProfilerRuleEngine(folder, requests, recording=sagemaker_format.read(sagemaker)).document(outcome)
