"""A search in one training job on SageMaker: what it is asked, what is told, and more trials afterwards."""

import json
from pathlib import Path

import pytest

from backends.runs import load_run
from backends.sagemaker.backend import CloudBackend
from backends.sagemaker.names import resource_name
from backends.search.one_job import create_job, reopen_job, search_in_job
from backends.search.results import read_search
from backends.settings.sections import Train
from tests.backends.photos import make_photos
from tests.cloud.conftest import settings
from tests.cloud.searches import request
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared

DOCUMENT = {"trials": [], "counts": {"completed": 4}, "trials_wanted": 4, "best": None}


@pytest.fixture
def searched(prepared: Prepared, tmp_path: Path) -> Prepared:
    """Jobs that leave a search's documents."""
    folder = tmp_path / "left"
    for inside in ("model", "output/data"):
        (folder / inside).mkdir(parents=True)
    (folder / "model" / "kennel.json").write_text('{"metrics": {"validation_accuracy": 0.75}}')
    (folder / "output" / "data" / "tuning.json").write_text(json.dumps(DOCUMENT))
    prepared.left = folder
    prepared.lines = ["reading", "trial 1 of 4: lr 0.01: validation_accuracy 0.75, 2 epochs in 1.0 s", "the end"]
    return prepared


def test_a_search_in_one_job(
    cloud: Simulator, searched: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = CloudBackend(settings(train=Train(instance_count=2)), lambda _: None)
    wanted = request(make_photos(tmp_path / "photos"))
    run = create_job(backend, tmp_path / "runs", wanted, "whole")
    search_in_job(backend, run, wanted)
    (sent,) = cloud.requests("CreateTrainingJob")
    given = sent["HyperParameters"]
    assert (sent["TrainingJobName"], sent["ResourceConfig"]["InstanceCount"]) == (resource_name(run), 2)
    assert (given["tune_trials"], given["tune_parallel"], given["tune_pruner"]) == ("4", "2", '"median"')
    assert given["tune_space"] == '"lr=0.001:0.1:log; batch_size=16,32"'
    # The winner is trained with all of it.
    assert given["export"] != '"none"'
    assert cloud.requests("CreateHyperParameterTuningJob") == []
    assert read_search(run) == DOCUMENT
    assert (run.status, run.record["metrics"]) == ("completed", {"validation_accuracy": 0.75})
    told = [line for line in capsys.readouterr().out.splitlines() if "trial 1" in line]
    # Both hosts print it here.
    assert told == ["  trial 1 of 4: lr 0.01: validation_accuracy 0.75, 2 epochs in 1.0 s"] * 2


def test_more_trials_are_another_job_with_the_same_checkpoints(
    cloud: Simulator, searched: Prepared, tmp_path: Path
) -> None:
    backend = CloudBackend(settings(), lambda _: None)
    wanted = request(make_photos(tmp_path / "photos"))
    run = create_job(backend, tmp_path / "runs", wanted, "whole")
    search_in_job(backend, run, wanted)
    again = load_run(run.path)
    search_in_job(backend, again, reopen_job(backend, again, {}))
    assert len(cloud.requests("CreateTrainingJob")) == 1
    more = load_run(run.path)
    search_in_job(backend, more, reopen_job(backend, more, {"tune_trials": 9}))
    first, second = cloud.requests("CreateTrainingJob")
    assert second["TrainingJobName"] != first["TrainingJobName"]
    assert second["HyperParameters"]["tune_trials"] == "9"
    assert second["CheckpointConfig"] == first["CheckpointConfig"]
    assert more.status == "completed"
