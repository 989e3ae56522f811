"""A search as one training job: `train` runs the trials itself, and ends by training the best."""

import re
from pathlib import Path

from backends.base import Backend
from backends.console import console, say
from backends.errors import BackendError, Stopped
from backends.jobs import refresh, train_in
from backends.runs import Run, create_run
from backends.search.request import SearchRequest
from contract.files import GrowingFile

_TITLE = "search in one job"
# In the log of several hosts each line begins with its host.
_TRIAL = re.compile(r"(?:algo-\d+: )?(trial .*)")


def is_one_job(run: Run) -> bool:
    """Whether a run is such a job."""
    return run.kind == "training" and bool(run.record.get("hyperparameters", {}).get("tune_trials"))


def create_job(backend: Backend, runs: Path, request: SearchRequest, name: str | None) -> Run:
    """A new training run for it."""
    return create_run(runs, "training", name, backend=backend.name, **request.to_record())


def reopen_job(backend: Backend, run: Run, changes: dict[str, int]) -> SearchRequest:
    """Take over a job that was cut off, whose journal is among its checkpoints; returns its request.

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
    log = GrowingFile(run.log, run.log.stat().st_size if run.log.exists() else 0)
    try:
        train_in(backend, run, request.data, request.hyperparameters, _TITLE, lambda _: _print_trials(log))
    except Stopped as error:
        raise Stopped(f"{error}; go on with: python deploy.py tune --resume {run.name}") from None
    finally:
        # The log of a job elsewhere comes late.
        _print_trials(log)


def _print_trials(log: GrowingFile) -> None:
    """Print the lines of the trials that ended since the last call, where there is no bar."""
    if console.is_terminal:
        return
    for line in log.read():
        if trial := _TRIAL.match(line.decode(errors="replace").rstrip()):
            say(f"  {trial[1]}")
