"""A tuning run from its first trial to its report; one that was cut off goes on."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from backends.base import Backend, Searching
from backends.cancel import CancelOnSignals, CancelToken
from backends.console import TrialDisplay, complain, trial_display
from backends.errors import BackendError, Stopped
from backends.process import identity, process_of
from backends.runs import Run, create_run, recorded
from backends.search.request import SearchRequest
from backends.search.results import DOCUMENT, best_trial
from backends.search.trial import Driver, Trials, choose_slots, reap_orphans
from tuning.results import write_results
from tuning.study import Search, SearchSettings

# NAME-trial-001-2 must not exceed the 63 characters of a name.
_LONGEST_NAME: Final = 50


def create_tuning(backend: Backend, runs: Path, request: SearchRequest, name: str | None) -> Run:
    """A new tuning run. Raises BackendError for a name that is too long, not allowed or taken."""
    if name is not None and len(name) > _LONGEST_NAME:
        raise BackendError(f"--name may have {_LONGEST_NAME} characters at most for a tuning, got {len(name)}")
    image = {"image": backend.image} if backend.image else {}
    return create_run(runs, "tuning", name, backend=backend.name, **image, **request.to_record(),
                      **identity(os.getpid()))  # fmt: skip


def reopen_tuning(run: Run, changes: dict[str, int]) -> SearchRequest:
    """Take over a tuning run that ended before its last trial; returns its request.

    changes: of tune_trials, tune_minutes and tune_parallel. Raises BackendError when it still runs.
    """
    process = process_of(run.record)
    if process is not None and run.status == "running":
        raise BackendError(
            f"{run.name} is still running, as process {process.pid}; end it with: deploy.py delete {run.name}"
        )
    request = SearchRequest.of_run(run).changed(changes)
    run.reopen(**request.to_record(), **identity(os.getpid()))
    return request


def search_in(backend: Backend, run: Run, request: SearchRequest) -> None:
    """Search to the end, in a new tuning run or one that was cut off; writes documents, record and page.

    Raises Stopped after a signal, BackendError when it can't go on or no trial was completed, and StillRunning when it
    goes on elsewhere. The results until then are written in any case.
    """
    try:
        with recorded(run), CancelOnSignals() as cancel:
            if isinstance(backend, Searching):
                backend.search(run, request, cancel)
            else:
                _search(backend, run, request, cancel)
    finally:
        _write_page(backend, run)


def _search(backend: Backend, run: Run, request: SearchRequest, cancel: CancelToken) -> None:
    slots = choose_slots(backend, request.hyperparameters)
    settings = replace(SearchSettings.of(request.hyperparameters), parallel=len(slots))
    with trial_display(f"{run.name} on {backend.name}") as display:
        search = Search(run.path / "study.log", settings, display.trial_ended)
        # A token of their own: a thread that can't go on ends the other trials, which nobody has cancelled.
        trials = Trials(backend, run, request, search, CancelToken(cancel), display.update)
        state, reason = "stopped", None
        try:
            reap_orphans(backend, run, search)
            Driver(trials, slots).run(_drawing(run, search, display))
            if not cancel.requested or len(search.finished) >= settings.trials:
                state = "completed"
        except Exception as error:
            reason = str(error)
            raise
        finally:
            _write_results(run, search, state, reason)
            search.close()
    if state == "stopped":
        raise Stopped(
            f"stopped after {len(search.finished)} of {settings.trials} trials; "
            f"go on with: python deploy.py tune --resume {run.name}"
        )
    if search.failure:
        raise BackendError(search.failure)


def _write_results(run: Run, search: Search, state: str, reason: str | None = None) -> None:
    document = search.document(state, reason)
    write_results(run.ml / "output" / "data", document)
    best = best_trial(document)
    run.update(best=best["run"] if best else None)


def _drawing(run: Run, search: Search, display: TrialDisplay) -> Callable[[list[int]], None]:
    """Draws the search's state, and writes its results after every trial: a kill leaves those until then."""
    written = -1

    def draw(running: list[int]) -> None:
        nonlocal written
        done = len(search.finished)
        if done != written:
            _write_results(run, search, "running")
            written = done
        best = search.best
        note = f"{best.objective[0]:.4g} (trial {best.number})" if best is not None and best.objective else ""
        display.draw(done, search.settings.trials, note, running)

    return draw


def _write_page(backend: Backend, run: Run) -> None:
    if not (document := run.path / DOCUMENT).is_file():
        return
    try:
        backend.tuning_page(document)
    except BackendError as error:
        complain(f"the page of {run.name} can't be written: {error}")
