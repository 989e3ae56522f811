"""How transforms on SageMaker end: files and jobs that fail, what is gone on with, what is stopped."""

from pathlib import Path
from typing import Any

import pytest

from backends.base import JobProgress
from backends.cancel import CancelToken
from backends.errors import BackendError, StillRunning, Stopped
from backends.runs import Run, create_run
from backends.sagemaker.backend import CloudBackend
from backends.sagemaker.jobs.transform import MOST_MB
from backends.settings.sections import Transform
from backends.transform.inputs import LocalImages, TransformBatch
from backends.transform.job import OwnServer, transform
from tests.cloud.conftest import BUCKET, settings
from tests.cloud.simulator.server import Simulator
from tests.cloud.transforms import Echo, lines, made_artifact, made_photos, only_run, wanted

MEGABYTE = 1 << 20


@pytest.fixture
def echo(cloud: Simulator) -> Echo:
    cloud.work = Echo()
    return cloud.work


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return made_artifact(tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return made_photos(tmp_path)


def test_files_that_cannot_be_sent_get_their_error_and_the_others_go(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    with (photos / "Pug" / "large.png").open("wb") as file:
        file.truncate(MOST_MB * MEGABYTE + 1)
    (photos / "Pug" / "gone.png").symlink_to(tmp_path / "nowhere")
    transform(wanted(tmp_path, artifact, LocalImages([str(photos / "Pug")])))
    said = {Path(row["file"]).name: row.get("error") for row in lines(tmp_path)}
    assert said == {
        "3.png": None,
        "gone.png": "the file can't be read (No such file or directory)",
        "large.png": "the file has 104857601 bytes, and a transform job takes 104857600 at most",
    }
    assert len([each for each in cloud.requests("PutObject") if "/transform/input/0" in each["Key"]]) == 1


def test_nothing_that_can_be_sent(cloud: Simulator, echo: Echo, artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "gone.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        BackendError, match=r"^none of the 1 images can be sent; the first, .*gone\.png: the file can't be read"
    ):
        transform(wanted(tmp_path, artifact, LocalImages([str(tmp_path / "photos")])))
    assert cloud.changes() == []


def test_a_failed_job_says_why_and_leaves_no_model(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    echo.code = 1
    said = r"^transform job kennel-transform-\S+ failed; its log ends: serving \(run transform-"
    with pytest.raises(BackendError, match=said):
        transform(wanted(tmp_path, artifact, LocalImages([str(photos)])))
    assert only_run(tmp_path).status == "failed"
    assert [each.kind.noun for each in cloud.store] == ["TransformJob"]
    assert list(cloud.objects.keys(BUCKET, "kennel/runs/")) == []


def test_the_next_start_after_a_failure_makes_another_job(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    echo.code = 1
    with pytest.raises(BackendError):
        transform(wanted(tmp_path, artifact, LocalImages([str(photos)])))
    echo.code = 0
    transform(wanted(tmp_path, artifact, LocalImages([str(photos)])))
    assert len(lines(tmp_path)) == 3
    assert len({each["TransformJobName"] for each in cloud.requests("CreateTransformJob")}) == 2


def test_a_job_that_was_left_is_gone_on_with(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    """Whoever is killed between two calls starts again with the same command."""
    made = wanted(tmp_path, artifact, LocalImages([str(photos)]))

    assert isinstance(made.server, OwnServer)
    backend = made.server.backend
    assert isinstance(backend, CloudBackend)
    original = backend.transform

    def once(run: Run, *given: Any) -> Any:
        rows = original(run, *given)
        first = next(rows)
        assert first["file"].endswith("1.jpg")
        raise StillRunning("left alone")

    backend.transform = once  # type: ignore[method-assign, assignment]
    with pytest.raises(StillRunning):
        transform(made)
    assert only_run(tmp_path).status == "running"
    backend.transform = original  # type: ignore[method-assign]
    transform(made)
    assert len(lines(tmp_path)) == 3
    assert len(cloud.requests("CreateTransformJob")) == 1
    assert only_run(tmp_path).status == "completed"


def test_a_wish_to_stop_ends_job_and_model(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path
) -> None:
    echo.go.clear()
    backend = CloudBackend(settings(), lambda _: None)
    run = create_run(tmp_path / "runs", "transform", "mine", backend="sagemaker")
    cancel = CancelToken()

    def watch(_: JobProgress) -> None:
        if cloud.requests("CreateTransformJob") and not cancel.requested:
            cancel.request()

    with pytest.raises(Stopped, match=r"^stopped; transform job kennel-mine-\w+ has ended$"):
        list(backend.transform(run, TransformBatch(LocalImages([str(photos)]), 3, artifact), watch, cancel))
    assert len(cloud.requests("StopTransformJob")) == 1
    assert [(each.kind.noun, each.status) for each in cloud.store] == [("TransformJob", "Stopped")]


def test_a_job_that_takes_too_long_is_stopped(
    cloud: Simulator, echo: Echo, artifact: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    echo.go.clear()
    chosen = settings(transform=Transform(max_hours=1 / 3600))
    with pytest.raises(BackendError, match=r"was stopped before its end"):
        transform(wanted(tmp_path, artifact, LocalImages([str(photos)]), chosen))
    assert "max_hours in [transform], 0.000277778, are over" in capsys.readouterr().out
