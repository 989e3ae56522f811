"""One trial of a tuning run: an ordinary training in a run folder of its own."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from backends.base import Backend, Progress, Slot
from backends.errors import BackendError, Stopped
from backends.inputs import DATA_CHANNEL
from backends.jobs import read_metrics
from backends.runs import Run, create_run, trials_of
from backends.stop import Stop
from backends.tuning.request import Request
from tuning.searcher import Metrics, Trial
from tuning.study import Search


@dataclass(frozen=True)
class Trials:
    """What all trials of a tuning run share. tell: hears how a running trial comes along."""

    backend: Backend
    tuning: Run
    request: Request
    search: Search
    stop: Stop
    tell: Callable[[int, Progress], None]

    def run(self, trial: Trial, slot: Slot) -> str | None:
        """Train a trial to its end, tell the search and note it; the reason if it failed.

        A trial that `stop` ended is left as it is for the search, which has it run again when it goes on.
        """
        chosen = self.request.of_trial(trial.hyperparameters)
        if done := self._trained_unnoticed(trial.number):
            seconds = done.read_json("ml/model/kennel.json")["provenance"]["seconds"]
            return self._complete(trial.number, done, EpochRows.of(done), seconds)
        run = self._folder(trial.number, asdict(chosen))
        rows = EpochRows.of(run)
        own = Stop(self.stop)
        start = time.monotonic()

        def watch(progress: Progress) -> None:
            self.tell(trial.number, progress)
            for row in rows.read():
                if self.search.report(trial.number, int(row["epoch"]), row):
                    own.request()

        try:
            self.backend.train(run, self.request.data, chosen, watch, slot, own)
        except Stopped:
            if not own.made_here:
                run.finish("stopped", reason=run.failure() or "Stopped: ended before training began")
                return None
            self.search.prune(trial.number, time.monotonic() - start, run.name)
            run.finish("pruned", reason=f"pruned by {self.tuning.name}", metrics=read_metrics(run))
        except BackendError as error:
            # Not where this trial saw the data, but where they are: of two trials with one fault the reasons are equal.
            seen = str(run.ml / "input" / "data" / DATA_CHANNEL)
            reason = str(error).removeprefix("ClientError: ").replace(seen, str(self.request.data))
            self.search.fail(trial.number, reason, time.monotonic() - start, run.name)
            run.finish("failed", reason=reason)
            return reason
        except BaseException as error:
            run.finish("failed", reason=repr(error))
            raise
        else:
            return self._complete(trial.number, run, rows, time.monotonic() - start)
        return None

    def _complete(self, number: int, run: Run, rows: "EpochRows", seconds: float) -> str | None:
        """The reason if the search can do nothing with it: its metrics lack the objective, say."""
        # All epochs, also those of the last tenth of a second: the learning curves are the report's.
        for row in rows.read():
            self.search.report(number, int(row["epoch"]), row)
        metrics = read_metrics(run)
        # The search first: a trial that it doesn't know would be run again.
        self.search.complete(number, metrics, seconds, run.name)
        run.finish("completed", metrics=metrics)
        return next((each.reason for each in self.search.finished if each.number == number), None)

    def _trained_unnoticed(self, number: int) -> Run | None:
        """The trial's run, if it was trained to its end when nobody was there to note it."""
        found = (run for run in trials_of(self.tuning) if run.record["trial"] == number)
        return next((run for run in found if run.status == "completed"), None)

    def _folder(self, number: int, hyperparameters: dict[str, object]) -> Run:
        """NAME-trial-007; with -2 behind it for one that is run again."""
        runs, stem = self.tuning.path.parent, f"{self.tuning.name}-trial-{number:03d}"
        name, again = stem, 1
        while (runs / name).exists():
            again += 1
            name = f"{stem}-{again}"
        record = {"data": str(self.request.data), "hyperparameters": hyperparameters}
        return create_run(runs, "training", name, backend=self.backend.name, tuning=self.tuning.name, trial=number,
                          **record)  # fmt: skip


def end_left_over(backend: Backend, tuning: Run, search: Search) -> None:
    """Make true the records of trials that outlived their tuning run, and end those that still run.

    Those cut off are marked stopped, and the search has them run again.
    """
    known = {each.run: each for each in search.finished}
    for run in trials_of(tuning):
        if run.status != "running":
            continue
        backend.stop(run)
        ended = known.get(run.name)
        if ended is not None and ended.state in ("pruned", "failed"):
            run.finish(ended.state, reason=ended.reason or f"pruned by {tuning.name}", metrics=read_metrics(run))
        elif run.read_json("ml/model/kennel.json").get("provenance", {}).get("completed"):
            run.finish("completed", metrics=read_metrics(run))
        else:
            run.finish("stopped", reason=f"cut off with {tuning.name}, and run again when that goes on")


class EpochRows:
    """The epochs' rows of a metrics.jsonl that is being written, each once and in order."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0

    @classmethod
    def of(cls, run: Run) -> "EpochRows":
        return cls(run.ml / "output" / "data" / "metrics.jsonl")

    def read(self) -> Iterator[Metrics]:
        """Those that have been written since. A value that is no number is left out, as is a half-written row."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except OSError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            row = json.loads(line)
            if "validation_loss" in row:
                yield {name: value for name, value in row.items() if value is not None and math.isfinite(value)}
