"""Judges a profiled job by the profiler's rules, while it runs and afterwards, and writes what there is to say."""

import math
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from contract.errors import DataError
from contract.rules.spec import RuleSpec
from contract.rules.verdict import ERROR, ISSUES, NO_ISSUES, Verdict, settings_in
from monitor.profiler import sagemaker_format
from monitor.profiler.advice import Facts, settings
from monitor.profiler.headline import advise, headline
from monitor.profiler.reader import FILES, Reader
from monitor.profiler.recording import Recording
from monitor.profiler.report import build
from monitor.profiler.rules.base import Judgement, NoGPU, NothingToJudge, Rule
from monitor.profiler.rules.registry import PROFILER_RULE_CLASSES
from monitor.profiler.statistics import plain

_SEVERITIES: Final = ("error", "warning", "info")
# Judging a job of many hours takes seconds: no more than this share of the time while it runs.
_SHARE: Final = 0.01
_LONG_S: Final = 0.1


class Request(Protocol):
    """A rule that was asked for. named: by its name, not as one of the default set."""

    @property
    def spec(self) -> RuleSpec: ...

    @property
    def parameters(self) -> dict[str, Any]: ...

    @property
    def named(self) -> bool: ...


class _Watched:
    """One rule, what it said last, and when it is asked again."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.rule: Rule = PROFILER_RULE_CLASSES[request.spec.name](request.parameters)
        self.verdict = Verdict(request.spec, request.parameters)
        self.left_out = False
        self.asked: float | None = None

    def due(self, now: float) -> bool:
        """scan_interval_us have passed in the recording since it was asked; at first, since it was seen."""
        if self.asked is None:
            self.asked = now
        interval = float(self.request.parameters.get("scan_interval_us", 60_000_000)) / 1e6
        return now - self.asked >= interval

    def ask(self, run: Recording, ended: bool) -> None:
        self.asked = run.ended()
        fired = self.verdict
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


class ProfileJudge:
    """Judges the profiler files in a folder while they are written.

    requests: the rules. What a rule found once stays found. clock: seconds, for how long judging takes.
    """

    def __init__(self, folder: Path, requests: Sequence[Request], clock: Callable[[], float] = time.monotonic) -> None:
        self._reader: Reader | None = Reader(folder)
        self._run = self._reader.recording
        self._watched = [_Watched(each) for each in requests]
        self._ended = False
        self._clock = clock
        self._rests_until = -math.inf

    @classmethod
    def of(cls, run: Recording, requests: Sequence[Request]) -> "ProfileJudge":
        """Judges a recording that is complete."""
        judge = cls(Path(), requests)
        judge._reader, judge._run = None, run
        return judge

    def poll(self) -> list[Verdict]:
        """Read what was added and ask the rules whose scan_interval_us is over; what fired for the first time."""
        if self._reader is None or self._ended:
            return []
        run = self._reader.poll()
        now = run.ended()
        due = [each for each in self._watched if each.due(now)]
        if not now or not due or self._clock() < self._rests_until:
            return []
        began = self._clock()
        fired = []
        for each in due:
            before = each.verdict.triggered
            each.ask(run, ended=False)
            if each.verdict.triggered and not before:
                fired.append(each.verdict)
        took = self._clock() - began
        if took > _LONG_S:
            self._rests_until = self._clock() + took / _SHARE
        return fired

    def finish(self) -> None:
        """Nothing more will be written: read the rest, and let every rule judge the whole job."""
        if self._ended:
            return
        self._ended = True
        if self._reader is not None:
            self._reader.poll(ended=True)
        for each in self._watched:
            each.ask(self._run, ended=True)
        left_out = [each.request.spec.name for each in self._watched if each.left_out]
        if left_out:
            self._run.notes.append(
                f"{', '.join(left_out)}: left out, for they judge GPUs, and there are too few of them"
            )

    def verdicts(self) -> list[Verdict]:
        """What each rule says by now; without rules of the default set that need GPUs which aren't there."""
        return [each.verdict for each in self._watched if not each.left_out]

    def document(self, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """The report; it finishes the judgement. outcome: completed (bool or None) and reason."""
        self.finish()
        verdicts = sorted(self.verdicts(), key=_order)
        deviations = [v.parameters["stddev"] for v in verdicts if v.spec.name == "StepOutlier"]
        document = build(self._run, outcome, *deviations[:1])
        document["rules"] = plain([each.to_dict() for each in verdicts])
        document["headline"] = headline(Facts.of(self._run), verdicts)
        document["settings"] = settings_in(" ".join(document["headline"]), settings(self._run))
        return document


def _order(verdict: Verdict) -> tuple[int, int]:
    """Issues first, the gravest at the top; then what couldn't be judged; then what is well."""
    status = {ISSUES: 0, ERROR: 1, NO_ISSUES: 2}.get(verdict.status, 3)
    return status, _SEVERITIES.index(verdict.spec.severity) if status == 0 else 0


def is_profile(folder: Path) -> bool:
    """Whether a folder holds profiler files, Kennel's or SageMaker's. Raises DataError for those of several jobs."""
    return any((folder / name).is_file() for name in FILES) or sagemaker_format.find(folder) is not None


def analyse(folder: Path, requests: Sequence[Request], outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The report on Kennel's profiler files in `folder`, or on the profiler output of a SageMaker job.

    Raises DataError when it holds neither, or the output of several jobs.
    """
    if any((folder / name).is_file() for name in FILES):
        return ProfileJudge(folder, requests).document(outcome)
    sagemaker = sagemaker_format.find(folder) if folder.is_dir() else None
    if sagemaker is None:
        raise DataError(
            f"{folder} holds no profiler files; give the folder with {FILES[0]} that training with profile=on leaves "
            "in output/profiler, or a SageMaker job's profiler-output"
        )
    return ProfileJudge.of(sagemaker_format.read(sagemaker), requests).document(outcome)
