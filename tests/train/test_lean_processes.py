"""What real processes of a training don't import: told by Python itself, for each of them, on stderr."""

from pathlib import Path

import pytest

from tests.train.support import Finished, make_classes, run, train
from tests.train.tuning_jobs import prepare
from tests.train.two_hosts import port_in

TELL = {"PYTHONPROFILEIMPORTTIME": "1"}


def imported(job: Finished) -> set[str]:
    """The modules that its processes have imported."""
    assert job.code == 0, job.err
    return {line.rpartition("|")[2].strip() for line in job.err.splitlines() if line.startswith("import time:")}


def leaves_out_the_compiler(job: Finished, steps: bool = True) -> set[str]:
    """Asserts that no process has more of torch's compiler than its name; returns what they have imported."""
    names = imported(job)
    assert "torch" in names
    # The name is asked for by an optimizer's first step.
    assert ("torch._dynamo" in names) == steps
    assert not {name for name in names if name.startswith("torch._dynamo.") or name.partition(".")[0] == "sympy"}
    return names


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """With everything on, and a weight average."""
    root = tmp_path_factory.mktemp("whole")
    make_classes(root / "input" / "data" / "train", 8)
    on = dict.fromkeys(("debug", "profile", "tensorboard"), "on")
    return train(root, TELL, **on, export="openvino", ema_decay="0.9")


def test_a_training_with_everything_on(job: Finished) -> None:
    names = leaves_out_the_compiler(job)
    assert {"smdebug", "tensorboardX", "openvino", "monitor.profiler.callback"} <= names
    assert (job.root / "output" / "profiler" / "operators.json").exists()
    assert not {name for name in names if name.partition(".")[0] in ("boto3", "pandas", "sagemaker")}


@pytest.mark.long
def test_a_training_with_everything_off(tmp_path: Path) -> None:
    make_classes(tmp_path / "input" / "data" / "train", 8)
    names = leaves_out_the_compiler(train(tmp_path, TELL))
    assert not {"smdebug", "tensorboardX", "openvino"} & names


def test_an_evaluation(job: Finished, tmp_path: Path) -> None:
    make_classes(tmp_path / "images", 2)
    command = ["train.evaluate", "--artifact", str(job.model), "--data", str(tmp_path / "images")]
    leaves_out_the_compiler(run([*command, "--json", str(tmp_path / "e.json")], tmp_path, TELL), steps=False)


@pytest.mark.long
def test_a_search_and_its_workers(tmp_path: Path) -> None:
    root = prepare(tmp_path, tune_trials="2", tune_parallel="2")
    leaves_out_the_compiler(run(["train"], root, {**TELL, **port_in("KENNEL_TUNING_PORT")}))
