"""Following a training job: its states said, its log kept in the run folder, its epochs shown."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backends.base import JobProgress, ProgressCallback
from backends.console import say
from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.account import aws_record
from backends.sagemaker.jobs.polling import Answer, pause
from backends.sagemaker.logs import Log

ENDED: Final = ("Completed", "Failed", "Stopped")
_DRAINS: Final = 3
_METRIC: Final = re.compile(r"([A-Za-z_][\w ]*)=([-+0-9.e]+);")
# Phases by SageMaker's status; others are shown under SageMaker's own name.
_PHASES: Final = {
    "Pending": "waiting for capacity", "Starting": "starting", "LaunchingMLInstances": "starting the instances",
    "PreparingTrainingStack": "preparing the instances", "DownloadingTrainingImage": "downloading the image",
    "Downloading": "downloading the data", "Training": "training", "Uploading": "uploading the results",
    "Interrupted": "interrupted; waiting for spot capacity", "Restarting": "starting again", "Stopping": "stopping",
}  # fmt: skip


def epoch_metrics(line: str) -> dict[str, float]:
    """The metrics of a log line that ends an epoch; empty for any other."""
    _, sign, rest = line.partition("epoch=")
    if not sign:
        return {}
    metrics: dict[str, float] = {}
    for name, value in _METRIC.findall(f"epoch={rest}"):
        try:
            metrics[name.strip()] = int(value) if name == "epoch" else float(value)
        except ValueError:
            continue
    return metrics if "epoch" in metrics and "validation_accuracy" in metrics else {}


class Follower:
    """Receives a training job's descriptions, keeps the run's log up to date and reports progress."""

    def __init__(self, log: Log, run: Run, watch: ProgressCallback) -> None:
        self._log = log
        self._run = run
        self._watch = watch
        self._states = 0
        self._metrics: dict[str, float] = {}
        self._fresh = False
        self._warned = False

    def __call__(self, description: Answer) -> None:
        self._say_states(description)
        self.read_log()
        state = str(description.get("SecondaryStatus", ""))
        epochs = _epochs(description.get("HyperParameters", {}))
        self._watch(
            JobProgress(_PHASES.get(state, state.lower()), int(self._metrics.get("epoch", 0)), epochs, "epochs",
                     self._metrics)
        )  # fmt: skip

    def _say_states(self, description: Answer) -> None:
        states: Sequence[Mapping[str, Any]] = description.get("SecondaryStatusTransitions", [])
        for state in states[self._states :]:
            if state["Status"] not in ENDED:
                say(f"  {_PHASES.get(state['Status'], state['Status'])} ({state.get('StatusMessage') or 'no details'})")
        self._states = len(states)

    def read_log(self) -> bool:
        """Add what is new to the run's log; whether there was anything."""
        try:
            lines = self._log.new_lines()
        except BackendError as error:
            if not self._warned:
                say(f"{error}; the job goes on, and its log isn't kept here")
            self._warned = True
            return False
        if not lines:
            return False
        if not self._fresh:
            # Whoever followed it before has left lines, which come again now.
            self._fresh = True
            with self._run.log.open("ab"):
                os.truncate(self._run.log, aws_record(self._run).get("log_from", 0))
        with self._run.log.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        for line in lines:
            self._metrics = epoch_metrics(line) or self._metrics
        return True

    def drain(self) -> None:
        """The log's last lines, which come seconds after the job's end."""
        for _ in range(_DRAINS):
            pause()
            if not self.read_log():
                return


def _epochs(hyperparameters: Mapping[str, str]) -> int:
    try:
        return int(json.loads(hyperparameters.get("epochs", "0")))
    except (ValueError, TypeError):
        return 0
