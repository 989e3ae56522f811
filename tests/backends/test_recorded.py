"""A run's record after each kind of end of its job."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backends.errors import BackendError, Pruned, StillRunning, Stopped
from backends.runs import Kind, Run, create_run, failure_recorded, load_run, recorded
from contract.errors import ConfigError


def new_run(tmp_path: Path, kind: Kind = "training") -> Run:
    return create_run(tmp_path, kind, "r", backend="local")


def leave_metrics(run: Run) -> None:
    (run.artifact / "kennel.json").write_text(json.dumps({"metrics": {"validation_accuracy": 0.5}}))


def test_a_job_that_ends_well_is_completed_with_its_metrics(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with recorded(run):
        leave_metrics(run)
    record = load_run(run.path).record
    assert (record["status"], record["metrics"]) == ("completed", {"validation_accuracy": 0.5})
    assert "finished_at" in record
    assert "reason" not in record


def test_a_job_without_an_artifact_is_completed_without_metrics(tmp_path: Path) -> None:
    run = new_run(tmp_path, "transform")
    with recorded(run):
        pass
    record = load_run(run.path).record
    assert record["status"] == "completed"
    assert "metrics" not in record


@pytest.mark.parametrize(
    ("error", "raised", "status", "reason"),
    [
        (BackendError("ClientError: no data"), BackendError("no data (run r)"), "failed", "ClientError: no data"),
        (ConfigError("another space"), BackendError("another space (run r)"), "failed", "another space"),
        (OSError("the disk is full"), OSError("the disk is full"), "failed", "OSError('the disk is full')"),
        (SystemExit(3), SystemExit(3), "failed", "SystemExit(3)"),
        (Stopped("stopped after 2 trials"), Stopped("stopped after 2 trials"), "stopped", "stopped after 2 trials"),
        (KeyboardInterrupt(), KeyboardInterrupt(), "stopped", "stopped"),
        (Pruned("pruned by s"), Pruned("pruned by s"), "pruned", "pruned by s"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
@pytest.mark.parametrize("recording", [recorded, failure_recorded])
def test_a_failure_is_recorded_and_raised(
    recording: Callable[[Run], AbstractContextManager[None]],
    tmp_path: Path,
    error: BaseException,
    raised: BaseException,
    status: str,
    reason: str,
) -> None:
    run = new_run(tmp_path, "tuning")
    with pytest.raises(type(raised)) as caught, recording(run):
        raise error
    assert (type(caught.value), str(caught.value)) == (type(raised), str(raised))
    record = load_run(run.path).record
    assert (record["status"], record["reason"]) == (status, reason)
    assert "finished_at" in record


def test_a_job_that_goes_on_without_us_is_still_running(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with pytest.raises(StillRunning, match=r"^left alone$"), recorded(run):
        raise StillRunning("left alone")
    assert load_run(run.path).status == "running"
    assert "finished_at" not in run.record


def test_a_stopped_training_gives_the_verdict_that_it_left_and_its_log(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.log.write_text("a line\n")
    (run.ml / "output" / "failure").write_text("Stopped: after epoch 2\nmore\n")
    with pytest.raises(Stopped) as caught, recorded(run):
        raise Stopped("stopped")
    assert str(caught.value) == f"after epoch 2 (run r, log {run.log})"
    assert (run.status, run.record["reason"]) == ("stopped", "Stopped: after epoch 2")


def test_a_pruned_trial_keeps_the_metrics_of_its_best_epoch(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    leave_metrics(run)
    with pytest.raises(Pruned), recorded(run):
        raise Pruned("pruned by s")
    assert load_run(run.path).record["metrics"] == {"validation_accuracy": 0.5}


def test_a_block_that_only_starts_something_leaves_the_run_running(tmp_path: Path) -> None:
    run = new_run(tmp_path, "deployment")
    with failure_recorded(run):
        pass
    assert load_run(run.path).status == "running"
