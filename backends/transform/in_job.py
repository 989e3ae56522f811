"""A transform that a backend runs as one job of its own, or goes on with."""

import itertools
import time
from pathlib import Path

from backends.base import Batching
from backends.cancel import CancelToken
from backends.console import show_progress
from backends.errors import BackendError
from backends.runs import Run, create_run, load_run, recorded
from backends.transform.inputs import TransformBatch
from backends.transform.results import Results


def transform_in_job(
    backend: Batching, batch: TransformBatch, results: Results, runs: Path, done: int, cancel: CancelToken
) -> float:  # fmt: skip
    """Start the job, or go on with the one that was started for these results, and write its results from the `done`th
    on. Returns the seconds that it worked.

    Raises BackendError; Stopped when cancelled, and StillRunning when the job goes on without us.
    """
    run = _former(results) or _new(backend, batch, results, runs)
    started = time.monotonic()
    with recorded(run), show_progress(f"{run.name} on SageMaker") as watch, results.append() as add:
        for row in itertools.islice(backend.transform(run, batch, watch, cancel), done, None):
            add(row)
    return float(run.record.get("seconds") or time.monotonic() - started)


def _former(results: Results) -> Run | None:
    """The run that goes on for these results, if there is one."""
    try:
        run = load_run(Path(results.manifest["job"]))
    except (KeyError, TypeError, BackendError):
        return None
    return run if run.status == "running" else None


def _new(backend: Batching, batch: TransformBatch, results: Results, runs: Path) -> Run:
    name = getattr(backend, "name", "")
    run = create_run(runs, "transform", None, backend=name, artifact=str(batch.artifact), out=str(results.folder))
    # Before the job is started, so that after a kill the next start finds it.
    results.update_manifest(job=str(run.path))
    return run
