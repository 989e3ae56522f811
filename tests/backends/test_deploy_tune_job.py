"""deploy.py tune --one-job: the whole search in one training job, cut off and gone on with."""

import signal
from pathlib import Path

import pytest

from tests.backends.terminal import deploy
from tests.backends.tuning_runs import BARE, FAST, document, manifest, one_core, read, record, search, wait

OPTIONS = ("--one-job", "--trials", "3", "--param", "lr=0.001:0.1:log", "--pruner", "none", "--set", "epochs=300")


@pytest.fixture(scope="module")
def job(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a job that was interrupted after its first trial, and resumed to its end."""
    runs = tmp_path_factory.mktemp("job")
    tuning = runs / "j" / "ml" / "output" / "data" / "tuning.json"
    with one_core():
        with search("--data", data, *FAST, *BARE, *OPTIONS, "--runs", runs, "--name", "j") as process:
            wait(lambda: tuning.is_file() and read(tuning)["counts"]["completed"] >= 1, process)
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=100)
        assert process.returncode == 130, out + error
        assert error.splitlines()[-1].endswith("go on with: python deploy.py tune --resume j")
        cut_off = document(runs / "j")
        assert cut_off["counts"]["completed"] < 3
        assert record(runs / "j")["status"] == "stopped"
        answer = deploy("tune", "--resume", "j", "--runs", runs, timeout=250)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = document(runs / "j")
    # What had ended is as it was; what had not is there now.
    ended = [row for row in cut_off["trials"] if row["state"] == "completed"]
    assert [found["trials"][row["number"] - 1] for row in ended] == ended
    assert answer.stdout.splitlines()[-1] == "train with them: python deploy.py train --from-tuning j"
    assert f"tuning      {tuning.with_name('tuning-report.html')}" in answer.stdout
    return runs / "j"


def test_it_is_one_training_run_that_ends_with_the_best_trials_training(job: Path) -> None:
    assert [path.name for path in job.parent.iterdir() if path.name[0] != "."] == ["j"]
    ran = record(job)
    assert (ran["kind"], ran["status"], ran["hyperparameters"]["tune_trials"]) == ("training", "completed", 3)
    found = document(job)
    assert (found["state"], found["counts"]["completed"], found["winner"]["trained"]) == ("completed", 3, True)
    best = next(row for row in found["trials"] if row["number"] == found["best"])
    assert best["metrics"]["validation_accuracy"] == max(row["objective"][0] for row in found["trials"])
    mine = manifest(job)
    assert mine["provenance"]["completed"] is True
    assert mine["metrics"]["validation_loss"] == pytest.approx(best["metrics"]["validation_loss"], abs=1e-5)


def test_status_and_report_know_it_and_it_can_be_trained_from(job: Path) -> None:
    (row,) = (line for line in deploy("status", "--runs", job.parent).stdout.splitlines() if line.startswith("j "))
    assert row.split()[1:4] == ["training", "local", "completed"]
    assert "3 of 3 trials, best validation_accuracy" in row
    report = deploy("report", "j", "--runs", job.parent)
    assert report.returncode == 0, report.stderr
    assert f"{document(job)['best']} best" in report.stdout
    again = deploy("tune", "--resume", "t", "--runs", job.parent)
    assert again.stderr.startswith("error: there is no run t in ")
