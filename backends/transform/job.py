"""A transform from beginning to end: the images, a server for them, their results, the summary."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from backends.base import Backend, Batching, JobProgress, ProgressCallback, create
from backends.cancel import CancelOnSignals, CancelToken
from backends.child import last_error
from backends.client import choose_port
from backends.console import show_progress
from backends.errors import BackendError, Stopped
from backends.jobs import deploy_artifact, refresh, stop_run
from backends.runs import Run, load_run
from backends.transform.ask import ServerSession, predict_all
from backends.transform.in_job import transform_in_job
from backends.transform.inputs import ImageFiles, Survey, TransformBatch
from backends.transform.parameters import ask_parameters, wait_ready
from backends.transform.results import Results, open_results
from backends.transform.summary import ArtifactInfo, conclude

_REPORT_EVERY_S: Final = 0.2


@dataclass(frozen=True)
class RunningServer:
    """A server that is up, at `url`."""

    url: str


@dataclass(frozen=True)
class OwnServer:
    """A server that is started with the artifact in `folder`, or a job of the backend's, if it has such."""

    backend: Backend
    folder: Path
    runs: Path


@dataclass(frozen=True)
class TransformRequest:
    """The request of a transform. artifact: what its manifest says, None where it isn't at hand. concurrent: images at
    once, None for what the server says.
    """

    inputs: ImageFiles
    out: Path
    server: RunningServer | OwnServer
    artifact: ArtifactInfo | None
    probabilities: bool = False
    concurrent: int | None = None
    restart: bool = False

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The classes' labels in order, where all probabilities are wanted."""
        return self.artifact.labels if self.artifact and self.probabilities else None

    @property
    def url(self) -> str | None:
        return self.server.url if isinstance(self.server, RunningServer) else None


def transform(request: TransformRequest) -> tuple[dict[str, Any], Survey]:
    """Send every image to a server, in order, and write the results; returns summary.json and the survey of the images.

    A server that was started for it is stopped at the end, however that comes; after SIGKILL the next start in the same
    folder stops it. Raises BackendError, and Stopped after Ctrl-C or SIGTERM; the results until then are kept. For the
    main thread.
    """
    artifact = request.artifact
    if request.probabilities and artifact is None:
        raise BackendError("--probabilities needs the classes' names: give --artifact, too, the one that --url serves")
    with CancelOnSignals() as cancel, open_results(request.out) as results:
        survey = request.inputs.survey(lambda: not cancel.requested)
        if cancel.requested:
            raise Stopped("stopped before anything was sent")
        if not survey.count:
            raise BackendError("there is no image in what was given; name photos, or a folder or glob of them")
        results.open(_subject(request, survey), request.restart)
        _end_former_server(results)
        done, files = results.recover(iter(request.inputs))
        seconds = _classify(request, results, files, (done, survey.count), cancel) if done < survey.count else 0.0
        facts = {
            "artifact": artifact.id if artifact else None,
            "url": request.url,
            "left_out": survey.left_out.total(),
            "before": done,
            "seconds": round(seconds, 3),
            "images_per_second": round((survey.count - done) / seconds, 2) if seconds else None,
        }
        return conclude(results, artifact, facts, request.labels or ()), survey


def _subject(request: TransformRequest, survey: Survey) -> dict[str, Any]:
    """What the results depend on."""
    artifact = request.artifact
    return {
        "artifact": None if artifact is None else f"{artifact.id} {artifact.sha256}",
        "server": request.url or "own",
        "inputs": f"{survey.count} {survey.sha256}",
        "probabilities": request.probabilities,
    }


def batching(server: RunningServer | OwnServer) -> Batching | None:
    """The backend, if it transforms as a job of its own."""
    if isinstance(server, RunningServer):
        return None
    backend = server.backend
    return backend if isinstance(backend, Batching) else None


def _classify(
    request: TransformRequest, results: Results, files: Iterator[str], extent: tuple[int, int], cancel: CancelToken
) -> float:
    """Send the files and write the results; returns the seconds it took, without the server's start.

    extent: how many images are done already, and how many there are.
    """
    done, count = extent
    server = request.server
    if isinstance(server, OwnServer) and (backend := batching(server)) is not None:
        # By a job for the whole batch: there is none for a part.
        batch = TransformBatch(request.inputs, count, server.folder, request.labels, request.concurrent)
        return transform_in_job(backend, batch, results, server.runs, done, cancel)
    return _classify_by_server(request, results, files, extent, cancel)


def _classify_by_server(
    request: TransformRequest, results: Results, files: Iterator[str], extent: tuple[int, int], cancel: CancelToken
) -> float:
    now, count = extent
    kept = f"are kept in {request.out}; the same command goes on from there"
    try:
        with _server(request.server, results, cancel) as (url, alive):
            parameters = ask_parameters(url)
            parameters = replace(parameters, concurrent=request.concurrent or parameters.concurrent)
            session = ServerSession(url, parameters, alive, request.labels)
            started = time.monotonic()
            with show_progress("transforming") as watch, results.append() as add:
                report = _at_intervals(watch, count)
                for row in predict_all(files, session, lambda: not cancel.requested):
                    add(row)
                    now += 1
                    report(now)
            seconds = time.monotonic() - started
    except Stopped:
        raise
    except BackendError as error:
        raise BackendError(f"{error} ({now} of {count} images {kept})" if now else str(error)) from error
    if now < count and cancel.requested:
        raise Stopped(f"stopped; {now} of {count} images {kept}")
    return seconds


@contextmanager
def _server(
    server: RunningServer | OwnServer, results: Results, cancel: CancelToken
) -> Iterator[tuple[str, Callable[[], None]]]:
    """The server's address, once it answers, and a check that raises BackendError when it has ended."""
    if isinstance(server, RunningServer):
        if not wait_ready(server.url, lambda: not cancel.requested):
            raise Stopped("stopped before the server answered")
        yield server.url, lambda: None
        return
    backend = server.backend
    name = f"transform-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    # Before it is started, so that after a kill the next start finds it.
    results.update_manifest(server=str(server.runs / name))
    run = deploy_artifact(backend, server.runs, server.folder, choose_port(0), name, cancel)

    def alive() -> None:
        if not backend.is_alive(run):
            raise BackendError(f"the server has ended: {last_error(run.log)} (its log is {run.log})")

    try:
        yield str(run.record["url"]), alive
    finally:
        stop_run(backend, run)


def _end_former_server(results: Results) -> None:
    """Stop the server that a killed transform in this folder has left; nobody else can be using it."""
    run = _former(results)
    if run is None or run.status != "running":
        return
    backend = create(run.record["backend"], run.record.get("image", ""))
    refresh(backend, run)
    if run.status == "running":
        stop_run(backend, run)


def _former(results: Results) -> Run | None:
    try:
        return load_run(Path(results.manifest["server"]))
    except (KeyError, TypeError, BackendError):
        return None


def _at_intervals(watch: ProgressCallback, total: int) -> Callable[[int], None]:
    """Reports the progress every 0.2 s: to report it costs as much as an image's result."""
    last = 0.0

    def report(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > _REPORT_EVERY_S or done == total:
            last = now
            watch(JobProgress("images", done, total, "images"))

    return report
