"""A spot instance that is taken back while Kennel really trains: the job goes on after the last whole epoch."""

import json
from pathlib import Path

import pytest

from backends.base import JobProgress
from backends.cancel import CancelToken
from backends.sagemaker.account import Account
from backends.sagemaker.jobs import training
from backends.settings.sections import Train
from contract.hyperparameters import Hyperparameters
from tests.cloud.conftest import settings
from tests.cloud.simulator.server import Simulator
from tests.cloud.trainings import new_run
from tests.train.support import make_classes

# A checkpoint of 50 MB instead of 200, and epochs that are long enough to be interrupted.
CHOSEN = Hyperparameters(
    pretrained="none", freeze="backbone", feature_views=0, image_size=64, batch_size=4, epochs=8, device="cpu",
    debug="off", profile="off", tensorboard="off", export="none",
)  # fmt: skip


@pytest.mark.long
def test_an_interrupted_spot_training_goes_on(
    cloud: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that really trains takes long enough for the asking to cost more than the training.
    monkeypatch.setenv("KENNEL_POLL_S", "0.2")
    for role, count in (("train", 6), ("valid", 4)):
        make_classes(tmp_path / "photos" / role, count)
    run, interrupted = new_run(tmp_path / "runs"), list[int]()

    def watch(progress: JobProgress) -> None:
        if progress.unit == "epochs" and progress.done >= 2 and not interrupted:
            interrupted.append(progress.done)
            cloud.interrupt(str(run.record["sagemaker"]["job"]))

    spot = settings(train=Train(spot=True, debugger="off", profiler="off"))
    training.train(Account(spot, lambda _items: None), run, tmp_path / "photos", CHOSEN, watch, CancelToken())
    (request,) = cloud.requests("CreateTrainingJob")
    assert request["EnableManagedSpotTraining"] is True
    log = run.log.read_text().splitlines()
    (goes_on,) = [line for line in log if line.startswith("checkpoint: training goes on")]
    done = int(goes_on.removeprefix("checkpoint: training goes on after epoch ").removesuffix(" of 8"))
    assert interrupted[0] <= done < 8
    epochs = [int(line.split(";")[0].removeprefix("epoch=")) for line in log if line.startswith("epoch=")]
    assert epochs == list(range(1, 9))
    rows = [json.loads(line) for line in (run.ml / "output" / "data" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == epochs
    assert json.loads((run.artifact / "kennel.json").read_text())["provenance"]["completed"] is True
