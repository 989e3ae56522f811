"""A search as one training job: `train` runs the trials itself, and ends by training the best."""

import re
from collections.abc import Callable
from pathlib import Path

from backends.base import Backend
from backends.console import console, say
from backends.errors import BackendError, Stopped
from backends.jobs import refresh, train_in
from backends.runs import Run, create_run
from backends.search.request import SearchRequest

_TITLE = "search in one job"
# Of several hosts' log each line begins with its host.
_TRIAL = re.compile(r"(?:algo-\d+: )?(trial .*)")


def is_one_job(run: Run) -> bool:
    """Whether a run is such a job."""
    return run.kind == "training" and bool(run.record.get("hyperparameters", {}).get("tune_trials"))


def create_job(backend: Backend, runs: Path, request: SearchRequest, name: str | None) -> Run:
    """A new training run for it."""
    return create_run(runs, "training", name, backend=backend.name, **request.to_record())


def reopen_job(backend: Backend, run: Run, changes: dict[str, int]) -> SearchRequest:
    """Take over a job that was cut off, and give what it is asked for; its journal is among its checkpoints.

    changes: of tune_trials, tune_minutes and tune_parallel. Raises BackendError when it still runs.
    """
    refresh(backend, run)
    if run.status == "running":
        raise BackendError(f"{run.name} is still running; wait for it, or end it with: deploy.py delete {run.name}")
    request = SearchRequest.of_run(run).changed(changes)
    (run.ml / "output" / "failure").unlink(missing_ok=True)
    run.reopen(**request.to_record())
    return request


def search_in_job(backend: Backend, run: Run, request: SearchRequest) -> None:
    """Run the job to its end. Raises BackendError when it fails, Stopped when a signal ended it."""
    tell = _trial_lines(run.log)
    try:
        train_in(backend, run, request.data, request.hyperparameters, _TITLE, lambda _: tell())
    except Stopped as error:
        raise Stopped(f"{error}; go on with: python deploy.py tune --resume {run.name}") from None
    finally:
        # A log from elsewhere comes late.
        tell()


def _trial_lines(log: Path) -> Callable[[], None]:
    """Says what is new: each trial's line that the job has logged, where no bar tells of them."""
    position = log.stat().st_size if log.exists() else 0

    def tell() -> None:
        nonlocal position
        if console.is_terminal or not log.exists():
            return
        with log.open("rb") as file:
            file.seek(position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        position += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if found := _TRIAL.match(line):
                say(f"  {found[1]}")

    return tell
