"""A search in a job that is killed or stopped, and the same job again: no trial is lost, none is repeated."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model.artifact import Artifact
from tests.train.support import QUICK, TIMEOUT_S, Finished, configure, finish, make_classes, start, train

pytestmark = pytest.mark.long

# Trials of a second or so: long enough to be killed within one.
SEARCH: dict[str, Any] = {
    "tune_trials": "6",
    "tune_space": json.dumps({"lr": "0.0005:0.01:log", "batch_size": [8, 16], "epochs": "2:4"}),
    "tune_pruner": "none",
}


def photos(root: Path) -> Path:
    make_classes(root / "input" / "data" / "train", 12)
    make_classes(root / "input" / "data" / "validation", 4, seed=100)
    return root


def document(root: Path) -> dict[str, Any]:
    found = json.loads((root / "output" / "data" / "tuning.json").read_text())
    assert isinstance(found, dict)
    return found


def finished_trials(root: Path) -> int:
    """As progress.json has it: on a busy machine tuning.json is written so seldom that the search may be over then."""
    try:
        told = json.loads((root / "output" / "progress.json").read_text())
    except FileNotFoundError:
        return 0
    return int(told["done"]) if told["phase"] == "searching" else 0


def searching(root: Path, reached: Callable[[Path], bool], **hyperparameters: Any) -> subprocess.Popen[str]:
    """A job whose search has come as far as `reached`."""
    configure(root, {**QUICK, **SEARCH, **hyperparameters})
    process = start(["train"], root)
    give_up = time.monotonic() + TIMEOUT_S
    while not reached(root) and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    return process


def lines(log: str) -> Iterator[tuple[int, str]]:
    """(number, line) of the trials that a log tells the end of."""
    for line in log.splitlines():
        if line.startswith("trial "):
            yield int(line.split()[1]), line


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The search that nothing interrupts."""
    result = train(photos(tmp_path_factory.mktemp("whole")), **SEARCH)
    assert result.code == 0, result.err
    return result


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, dict[str, Any], Finished]:
    """A job killed after two trials or more, tuning.json as it was left, and the same job again."""
    root = photos(tmp_path_factory.mktemp("killed"))
    process = searching(root, lambda root: finished_trials(root) >= 2)
    process.kill()
    first = finish(process, root)
    left = document(root)
    again = finish(start(["train"], root), root)
    assert again.code == 0, again.err
    return first, left, again


def test_after_a_kill_no_finished_trial_is_lost_or_repeated(
    killed: tuple[Finished, dict[str, Any], Finished],
) -> None:
    first, left, again = killed
    assert first.code == -signal.SIGKILL
    assert left["state"] == "running"
    before, after = dict(lines(first.out)), dict(lines(again.out))
    assert len(before) >= 2
    # A trial that ended as the kill came is in neither log, but in the journal.
    assert not set(before) & set(after)
    found = document(again.root)
    assert [trial["number"] for trial in found["trials"]] == [1, 2, 3, 4, 5, 6]
    assert found["state"] == "completed"
    assert found["counts"] == {"completed": 6, "pruned": 0, "failed": 0}
    kept = {trial["number"]: trial for trial in left["trials"] if trial["state"] == "completed"}
    for number, trial in kept.items():
        assert found["trials"][number - 1] == trial


def test_after_a_kill_the_search_ends_as_if_there_had_been_none(
    killed: tuple[Finished, dict[str, Any], Finished], whole: Finished
) -> None:
    found, expected = document(killed[2].root), document(whole.root)
    assert found["best"] == expected["best"]
    assert found["hyperparameters"] == expected["hyperparameters"]
    for trial, other in zip(found["trials"], expected["trials"], strict=True):
        assert (trial["values"], trial["objective"]) == (other["values"], other["objective"])
    weights = "model.safetensors"
    assert (killed[2].model / weights).read_bytes() == (whole.model / weights).read_bytes()
    assert found["interruptions"] <= 1 == expected["interruptions"] + 1


def test_a_search_that_is_over_is_not_repeated(whole: Finished, tmp_path: Path) -> None:
    """A job that was killed while it trained the best trial: that training alone is begun anew."""
    shutil.copytree(whole.root, tmp_path / "job")
    result = finish(start(["train"], tmp_path / "job"), tmp_path / "job")
    assert result.code == 0, result.err
    assert list(lines(result.out)) == []
    assert document(result.root)["trials"] == document(whole.root)["trials"]
    weights = "model.safetensors"
    assert (result.model / weights).read_bytes() == (whole.model / weights).read_bytes()
    assert [row["validation_loss"] for row in result.metrics] == [row["validation_loss"] for row in whole.metrics]


def test_sigterm_leaves_the_best_trial_and_the_same_job_goes_on(tmp_path: Path, whole: Finished) -> None:
    root = photos(tmp_path)
    process = searching(root, lambda root: finished_trials(root) >= 2)
    process.send_signal(signal.SIGTERM)
    result = finish(process, root)
    assert result.code == 143, result.err
    assert "Traceback" not in result.err
    found = document(root)
    count = sum(found["counts"].values())
    assert 2 <= count < 6
    assert result.cause == (
        f"Stopped: SIGTERM came before training had ended, {count} of 6 trials were finished; the best network so far "
        f"is in {root / 'model'}; the same job with its checkpoints goes on from there"
    )
    assert (found["state"], found["reason"]) == ("stopped", "stopped by SIGTERM")
    assert found["winner"] == {"trained": False, "metrics": {}, "reproduced": None}
    best = found["trials"][found["best"] - 1]
    artifact = Artifact.load(root / "model")
    assert artifact.provenance["completed"] is False
    assert artifact.provenance["hyperparameters"] == found["hyperparameters"]
    assert artifact.metrics["validation_loss"] == best["metrics"]["validation_loss"]
    assert (root / "output" / "data" / "best-hyperparameters.json").exists()
    assert (root / "output" / "data" / "tuning-report.html").exists()
    # SageMaker gives the next job these folders alone.
    for name in ("model", "output"):
        shutil.rmtree(root / name)
    again = finish(start(["train"], root), root)
    assert again.code == 0, again.err
    assert len(dict(lines(again.out))) == 6 - count
    assert document(root)["hyperparameters"] == document(whole.root)["hyperparameters"]


def test_ctrl_c_before_any_trial_ended_leaves_no_model(tmp_path: Path) -> None:
    root = photos(tmp_path)

    def begun(root: Path) -> bool:
        return (root / "output" / "data" / "tuning.json").exists()

    process = searching(root, begun, tune_space=json.dumps({"epochs": "5000:10000"}))
    process.send_signal(signal.SIGINT)
    result = finish(process, root)
    assert result.code == 130, result.err
    assert result.cause == (
        "Stopped: interrupted by Ctrl-C before training had ended, 0 of 6 trials were finished; there is no model yet; "
        "the same job with its checkpoints goes on from there"
    )
    found = document(root)
    assert (found["state"], found["reason"], found["best"]) == ("stopped", "interrupted by Ctrl-C", None)
    assert not (root / "model" / "kennel.json").exists()


def test_the_checkpoints_of_another_search_are_refused(whole: Finished, tmp_path: Path) -> None:
    root = tmp_path / "job"
    shutil.copytree(whole.root, root)
    other = train(root, **{**SEARCH, "tune_space": "lr=0.1:1"})
    other.fails_for_user("checkpoints/tuning", "lr")
    make_classes(root / "input" / "data" / "train", 1, ["cat"])
    images = train(root, **SEARCH)
    cause = images.fails_for_user("checkpoints/tuning", "begun with other data")
    assert "3 classes; images: 36 train, 12 valid; now 4 classes; images: 37 train, 12 valid" in cause
