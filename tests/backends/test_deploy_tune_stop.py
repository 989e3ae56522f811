"""deploy.py tune when it is killed, interrupted or deleted, and how it goes on."""

import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from tests.backends.terminal import deploy, lives
from tests.backends.tuning_runs import (
    FAST,
    document,
    epochs,
    manifest,
    one_core,
    read,
    record,
    search,
    started,
    trains,
    wait,
)

# Learning rate 0.001 is the default, so the first trial's; with any lower one the head learns more slowly.
TWO = ("--param", "lr=0.000000001:0.001:log", "--trials", "2", "--objective", "validation_loss")


@pytest.fixture(scope="module")
def gone_on(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a search that was killed at the beginning of its second trial, and resumed to its end."""
    runs = tmp_path_factory.mktemp("killed")
    with (
        one_core(),
        search("--data", data, *FAST, *TWO, "--set", "epochs=400", "--runs", runs, "--name", "k") as process,
    ):
        wait(lambda: started(runs / "k-trial-002"), process)
        # It is rewritten by another thread than the one that starts the next trial.
        wait(lambda: document(runs / "k")["counts"]["completed"] == 1, process)
        trial = psutil.Process(record(runs / "k-trial-002")["pid"])
        # Halted, it can't come to its end before the search goes on.
        trial.suspend()
        first = (runs / "k-trial-001" / "run.json").read_bytes()
        process.kill()
    assert record(runs / "k")["status"] == "running"
    assert lives(trial)
    with one_core():
        answer = deploy("tune", "--resume", "k", "--runs", runs, timeout=250)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert not lives(trial)
    assert (runs / "k-trial-001" / "run.json").read_bytes() == first
    return runs / "k"


def test_a_killed_search_goes_on_without_losing_or_repeating_a_trial(gone_on: Path) -> None:
    runs = gone_on.parent
    names = sorted(path.name for path in runs.iterdir() if path.name[0] != ".")
    assert names == ["k", "k-trial-001", "k-trial-002", "k-trial-002-2"]
    cut_off = record(runs / "k-trial-002")
    assert (cut_off["status"], cut_off["reason"]) == ("stopped", "cut off with k, and run again when that goes on")
    assert record(runs / "k-trial-002-2")["hyperparameters"] == cut_off["hyperparameters"]
    found = document(gone_on)
    assert [(row["number"], row["state"], row["run"]) for row in found["trials"]] == [
        (1, "completed", "k-trial-001"), (2, "pruned", "k-trial-002-2"),
    ]  # fmt: skip
    assert (found["interruptions"], found["best"], record(gone_on)["status"]) == (1, 1, "completed")


def test_a_pruned_trial_leaves_its_best_epoch_and_is_no_completed_run(gone_on: Path) -> None:
    runs = gone_on.parent
    pruned = record(runs / "k-trial-002-2")
    assert (pruned["status"], pruned["reason"]) == ("pruned", "pruned by k")
    assert manifest(runs / "k-trial-002-2")["provenance"]["completed"] is False
    # Every epoch up to the end was reported, in order, however many passed between two looks.
    told = document(gone_on)["trials"][1]["epochs"]
    assert told == epochs(runs / "k-trial-002-2")[: len(told)]
    # 400 // 10 + 1 epochs are granted; then it is worse than the only completed trial.
    assert 41 < len(told) < 400
    assert [row["epoch"] for row in told] == list(range(1, len(told) + 1))
    (row,) = (line for line in deploy("status", "--runs", runs).stdout.splitlines() if "k-trial-002-2" in line)
    assert row.split()[1:4] == ["training", "local", "pruned"]


@pytest.fixture(scope="module")
def interrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a search that was interrupted when its first two trials ran side by side."""
    runs = tmp_path_factory.mktemp("interrupted")
    options = ("--set", "epochs=10000", "--parallel", "2", "--param", "lr=0.001:0.1:log", "--trials", "4")
    names = ("i-trial-001", "i-trial-002")
    with search("--data", data, *FAST, *options, "--runs", runs, "--name", "i") as process:
        wait(lambda: all(trains(runs / name) for name in names), process)
        trials = [psutil.Process(record(runs / name)["pid"]) for name in names]
        cores = [set(trial.cpu_affinity()) for trial in trials]
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=100)
    assert process.returncode == 130
    assert error.splitlines() == [
        "stopping ...",
        "error: stopped after 0 of 4 trials; go on with: python deploy.py tune --resume i",
    ]
    assert "0 of 4 trials" in out
    assert not any(lives(trial) for trial in trials)
    every = os.sched_getaffinity(0)
    if len(every) > 1:
        assert not cores[0] & cores[1]
    assert cores[0] | cores[1] == every
    return runs / "i"


def test_ctrl_c_stops_the_trials_side_by_side_and_leaves_documents(interrupted: Path) -> None:
    for number in (1, 2):
        trial = interrupted.parent / f"i-trial-00{number}"
        assert record(trial)["status"] == "stopped"
        assert manifest(trial)["provenance"]["completed"] is False
    assert record(interrupted)["status"] == "stopped"
    found = document(interrupted)
    assert (found["state"], found["best"], found["parallel"]) == ("stopped", None, 2)
    assert (interrupted / "ml" / "output" / "data" / "tuning-report.html").is_file()
    answer = deploy("train", "--from-tuning", "i", "--runs", interrupted.parent)
    assert answer.stderr == (
        "error: run i has no best hyperparameters: its search has no completed trial yet (it is stopped); "
        "deploy.py status lists the runs\n"
    )


def test_delete_ends_a_running_search_and_its_trial(interrupted: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(interrupted.parent, runs)
    again = runs / "i-trial-001-2"
    with search("--resume", "i", "--parallel", "1", "--runs", runs) as process:
        wait(lambda: started(again) and trains(again), process)
        trial = psutil.Process(record(again)["pid"])
        twice = deploy("tune", "--resume", "i", "--runs", runs)
        assert twice.returncode == 2
        assert f"i is still running, as process {process.pid}; end it with: deploy.py delete i" in twice.stderr
        answer = deploy("delete", "i", "--runs", runs)
        assert answer.returncode == 0, answer.stderr
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert not lives(trial)
    assert (record(runs / "i")["status"], record(again)["status"]) == ("stopped", "stopped")
    assert read(again / "run.json")["hyperparameters"] == record(runs / "i-trial-001")["hyperparameters"]
