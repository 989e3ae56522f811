"""One training, watched from beginning to end."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from contract.debugger import tensors_folder
from contract.paths import MLPaths
from contract.rules.request import FINISH, REPORT, RUN
from contract.rules.verdict import Outcome, Verdict
from monitor.actions import Commands, Stopper, done
from monitor.debugger.advice import advise
from monitor.debugger.engine import Background, TensorRuleEngine, described
from monitor.inbox import Inbox
from monitor.output import say, write_report
from monitor.profiling import Profiling
from monitor.rules import RuleRun
from reports.debugger_page import debugger_page

_POLL_S: Final = 0.2
# Judging may take this share of a core at most: it shares the training's.
_JUDGING_SHARE: Final = 0.1
_COMMANDS_LIMIT_S: Final = 10.0


class Monitor:
    """Judges while training runs and writes the reports when it ends, however it ends.

    job: the message `job` of monitor.client. inbox, pipe: from and to the training process.
    """

    def __init__(self, job: Mapping[str, Any], inbox: Inbox, pipe: int, profiling: Profiling) -> None:
        self._paths = MLPaths(Path(job["root"]))
        self._hyperparameters: Mapping[str, Any] = job["hyperparameters"]
        self._inbox = inbox
        self._selection = profiling.selection
        self._commands = Commands(say)
        self._stopper = Stopper(pipe, job["pid"], self._paths.failure, say)
        self._steps_per_epoch: int | None = None
        self._training = False
        self._began = False
        self._engine: TensorRuleEngine | None = None
        if self._hyperparameters["debug"] == "on":
            folder = tensors_folder(self._paths.debughookconfig, self._paths.tensors)
            self._engine = TensorRuleEngine(folder, self._selection.tensor, say, live=True)
        self._profiling = profiling
        for note in self._selection.notes:
            say(f"rules: {note}")

    def run(self) -> None:
        """Judge until the training process reports its outcome, or is gone."""
        # Only now: behind a training that keeps all cores busy, imports would take a minute. The sampler, a thread that
        # was started before, keeps its priority and so its times.
        os.nice(10)
        outcome: Outcome | None = None
        next_poll = 0.0
        self._training = True
        while outcome is None and not self._inbox.closed:
            messages = self._inbox.read(_POLL_S)
            for message in messages:
                outcome = self._handle(message) or outcome
            if not messages:
                self._look_for_a_stall()
            if outcome is None and time.monotonic() >= next_poll:
                before = time.thread_time()
                self._look()
                next_poll = time.monotonic() + max(_POLL_S, (time.thread_time() - before) / _JUDGING_SHARE)
        self._end(outcome or self._died())

    def _died(self) -> Outcome:
        reason = self._stopper.reason or "the training process ended without a word: it was killed"
        return Outcome(completed=False, reason=reason, cut_short=True)

    def _handle(self, message: Mapping[str, Any]) -> Outcome | None:
        event = message["event"]
        if event == "started":
            self._began = True
            self._steps_per_epoch = message["steps_per_epoch"]
        elif event == "trained":
            self._training = False
        elif event == "stopping":
            self._stopper.obeyed()
        elif event == "end":
            reason = message["reason"] or self._stopper.reason
            return Outcome(message["completed"], reason, message["cut_short"])
        if self._engine is not None and event in ("started", "step"):
            self._engine.start()
            self._engine.moved()
        return None

    def _look(self) -> None:
        tensor_runs = self._engine.poll() if self._engine is not None else []
        fired: list[RuleRun[Any]] = [*tensor_runs, *self._profiling.poll()]
        for run in fired:
            self._act(run)
        self._commands.look()
        if self._training:
            self._stopper.look()

    def _look_for_a_stall(self) -> None:
        """Only when no sign of life waits to be read, for judging may take long on a busy machine."""
        for run in self._engine.stalled() if self._engine is not None and self._training else ():
            self._act(run, stuck=True)

    def _act(self, run: RuleRun[Any], stuck: bool = False) -> None:
        """Do what is to be done because a rule fired. stuck: the training makes no progress as far as is known."""
        action = run.request.action_on_fire(self._hyperparameters["rule_action"])
        verdict, first = run.verdict, run.verdict.findings[0]
        step = first.step if first.mode_step is None else first.mode_step
        if action.startswith(RUN):
            self._commands.run(action.removeprefix(RUN), verdict.spec.name, step, first.text)
        elif (
            action == REPORT
            or not self._training
            or not self._stopper.ask(action, self._reason(verdict, action), stuck)
        ):
            return
        verdict.action = done(action)

    def _reason(self, verdict: Verdict, action: str) -> str:
        first = described(verdict.findings[0])
        where, colon, text = first.partition(": ")
        if not colon or verdict.findings[0].step is None:
            where, text = "", first
        advice = advise(verdict, self._hyperparameters) or verdict.spec.advice
        name = verdict.spec.name
        did = "ended" if action == FINISH else "stopped"
        return f"rule {name} {did} the training{where and f' at {where}'}: {text.rstrip('.')}; {advice}"

    def _end(self, outcome: Outcome) -> None:
        self._training = False  # there is none left to end
        self._profiling.stop()
        self._attempt("debugger", self._debugger, outcome)
        self._attempt("profiler", self._profiler, outcome)
        self._commands.wait(_COMMANDS_LIMIT_S)

    def _profiler(self, outcome: Outcome) -> None:
        for run in self._profiling.report(outcome):
            self._act(run)

    def _debugger(self, outcome: Outcome) -> None:
        # Of a job that ends before its training begins, with bad data say, there is nothing to report.
        if self._engine is None or not (self._began or self._engine.fired):
            return
        for run in self._engine.last():
            self._act(run)
        background = Background(
            self._hyperparameters, read_epochs(self._paths.metrics), self._steps_per_epoch, self._selection.notes
        )
        document = self._engine.finish(outcome, background)
        write_report(self._paths.debugger_report, self._paths.debugger_page, document, debugger_page)
        say(f"debugger report: {self._paths.debugger_page}")

    def _attempt(self, what: str, write: Callable[[Outcome], None], outcome: Outcome) -> None:
        try:
            write(outcome)
        except Exception as error:  # noqa: BLE001 - the other report is worth having
            why = " ".join(str(error).split())
            print(f"WARNING: the {what} report can't be written: {type(error).__name__}: {why}", file=sys.stderr)


def read_epochs(metrics: Path) -> list[dict[str, Any]]:
    """The epochs' rows of metrics.jsonl, as far as it is written."""
    try:
        rows = [json.loads(line) for line in metrics.read_text().splitlines() if line.endswith("}")]
    except (OSError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict) and "epoch" in row]
