"""The run folders: DIR/NAME/ with ml/ (the /opt/ml tree), log.txt and run.json, one for every job and deployment."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from backends.errors import BackendError, Pruned, StillRunning, Stopped
from contract.errors import ConfigError
from contract.files import read_object, write_json

# transform, evaluation: jobs of their own only on SageMaker.
Kind = Literal["training", "tuning", "deployment", "transform", "evaluation"]
# pruned: a trial that its search ended early.
Status = Literal["running", "completed", "failed", "stopped", "pruned"]

# SageMaker's rule for job names, so that a name is valid everywhere.
_NAME: Final = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,62}")


@dataclass
class Run:
    """One run folder; `record` is what run.json holds."""

    path: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def ml(self) -> Path:
        return self.path / "ml"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def artifact(self) -> Path:
        return self.ml / "model"

    @property
    def features(self) -> Path:
        """The folder in which the trainings of one run folder share the features of frozen backbones."""
        return self.path.parent / ".features"

    @property
    def kind(self) -> Kind:
        kind: Kind = self.record["kind"]
        return kind

    @property
    def status(self) -> Status:
        status: Status = self.record["status"]
        return status

    @property
    def tuning(self) -> str | None:
        """The name of the tuning run whose trial this is."""
        return self.record.get("tuning")

    def reload(self) -> None:
        """Read the record again, which another process may have changed."""
        self.record = load_run(self.path).record

    def update(self, **values: Any) -> None:
        """Change the record and write it, whole or not at all."""
        self.record.update(values)
        write_json(self.path / "run.json", self.record, durable=False)

    def reopen(self, **values: Any) -> None:
        """Record that the run goes on, and remove its former end."""
        for ended in ("finished_at", "reason", "metrics"):
            self.record.pop(ended, None)
        self.update(status="running", **values)

    def finish(self, status: Status, **values: Any) -> None:
        """Record how the run ended, and when."""
        self.update(status=status, finished_at=now(), **values)

    def read_json(self, relative: str) -> dict[str, Any]:
        """A JSON file of the run; empty when it isn't there or isn't whole."""
        return read_object(self.path / relative)

    def metrics(self) -> dict[str, float]:
        """The metrics in the run's artifact; none without one."""
        metrics: dict[str, float] = self.read_json("ml/model/kennel.json").get("metrics", {})
        return metrics

    def failure(self) -> str | None:
        """First line of the job's failure file."""
        try:
            return (self.ml / "output" / "failure").read_text().splitlines()[0]
        except (OSError, IndexError):
            return None


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Within the block the run's job works; afterwards the record says how it ended: completed, with the artifact's
    metrics, or as `failure_recorded` has it.
    """
    with failure_recorded(run):
        yield
    run.finish("completed", **({"metrics": metrics} if (metrics := run.metrics()) else {}))


@contextmanager
def failure_recorded(run: Run) -> Iterator[None]:
    """The record says how the block failed: stopped after Stopped or Ctrl-C, pruned after Pruned, failed after any
    other exception; unchanged after StillRunning, for the job goes on without us.

    Raises what the block raised; a training's Stopped with the run's name and log added, BackendError so, too, and for
    ConfigError.
    """
    try:
        yield
    except StillRunning:
        raise
    except Pruned as error:
        run.finish("pruned", reason=str(error), metrics=run.metrics())
        raise
    except (Stopped, KeyboardInterrupt) as error:
        reason = run.failure() or str(error) or "stopped"
        run.finish("stopped", reason=reason)
        # The message of a search or a transform says by itself how to go on.
        if run.kind != "training" or isinstance(error, KeyboardInterrupt):
            raise
        raise Stopped(f"{reason.removeprefix('Stopped: ')} {_where(run)}") from None
    except (BackendError, ConfigError) as error:
        run.finish("failed", reason=str(error))
        raise BackendError(f"{str(error).removeprefix('ClientError: ')} {_where(run)}") from error
    except BaseException as error:
        run.finish("failed", reason=repr(error))
        raise


def _where(run: Run) -> str:
    return f"(run {run.name}, log {run.log})" if run.log.exists() else f"(run {run.name})"


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def short_time(run: Run) -> str:
    """When the run was made, in this machine's time zone, to the minute."""
    return f"{datetime.fromisoformat(run.record['created_at']).astimezone():%Y-%m-%d %H:%M}"


def create_run(runs: Path, kind: Kind, name: str | None, **values: Any) -> Run:
    """A new run folder with its /opt/ml tree. Without a name it is called after its kind and the time.

    Raises BackendError for a name that isn't allowed or is taken.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise BackendError(f"--name may have letters, digits and single hyphens, 63 at most, got {name!r}")
    stem = name or f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    path = runs / stem
    number = 1
    while True:
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError:
            if name is not None:
                raise BackendError(f"there is a run named {name} in {runs} already; choose another --name") from None
            number += 1
            path = runs / f"{stem}-{number}"
        except (PermissionError, NotADirectoryError) as error:
            raise BackendError(
                f"the run folder {path} can't be made ({error.strerror}); choose another --runs"
            ) from None
    run = Run(path.resolve(), {"name": path.name, "kind": kind, "status": "running", "created_at": now(), **values})
    for folder in ("input/config", "input/data", "model", "output/data"):
        (run.ml / folder).mkdir(parents=True)
    run.update()
    return run


def load_run(path: Path) -> Run:
    """The run in a folder. Raises BackendError when there is none."""
    record = read_object(path / "run.json")
    if not {"kind", "status", "created_at", "backend"} <= set(record):
        raise BackendError(f"there is no run {path.name} in {path.parent}; deploy.py status lists the runs")
    return Run(path.resolve(), record)


def find_run(runs: Path, name: str) -> Run:
    """The run of that folder or name. Raises BackendError when there is none."""
    path = Path(name)
    return load_run(path if (path / "run.json").is_file() else runs / name)


def all_runs(runs: Path) -> list[Run]:
    """Every run in the folder, oldest first. Folders that are no runs are skipped."""
    return sorted(_runs(runs), key=lambda run: (run.record["created_at"], run.name))


def _runs(runs: Path) -> Iterator[Run]:
    if not runs.is_dir():
        return
    for path in runs.iterdir():
        if (path / "run.json").is_file():
            try:
                yield load_run(path)
            except BackendError:
                continue


def trials_of(tuning: Run) -> list[Run]:
    """The run folders of a tuning run's trials, oldest first."""
    return [run for run in all_runs(tuning.path.parent) if run.tuning == tuning.name]


def find_artifact(runs: Path, name: str | None) -> Path:
    """The artifact's folder: `name` as such a folder, a run folder or a run's name; else the newest completed run's.

    A tuning run stands for its best trial. Raises BackendError when there is none.
    """
    if name is None:
        done = [run for run in all_runs(runs) if run.tuning is None and _has_artifact(run)]
        if not done:
            raise BackendError(f"there is no completed training run in {runs}; train first or give --artifact")
        return _artifact_of(done[-1])
    for folder in (Path(name), runs / name):
        if (folder / "run.json").is_file() and (run := load_run(folder)).kind == "tuning" and _has_artifact(run):
            return _artifact_of(run)
        for place in (folder, folder / "ml" / "model"):
            if (place / "kennel.json").is_file():
                return place.resolve()
    raise BackendError(
        f"there is no artifact in {name} (no kennel.json); give the folder ml/model of a run, or its name"
    )


def _has_artifact(run: Run) -> bool:
    if run.kind == "training":
        return run.status == "completed"
    return run.kind == "tuning" and (_artifact_of(run) / "kennel.json").is_file()


def _artifact_of(run: Run) -> Path:
    return run.artifact if run.kind == "training" else run.path.parent / str(run.record.get("best")) / "ml" / "model"
