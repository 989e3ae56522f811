"""deploy.py tune: a search's trials, what they leave, and what the best of them is good for."""

import json
import math
from pathlib import Path

import pytest

from tests.backends.terminal import deploy
from tests.backends.tuning_runs import BARE, FAST, document, epochs, manifest, one_core, record

TRIALS = ("t1-trial-001", "t1-trial-002", "t1-trial-003")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuning")


@pytest.fixture(scope="module")
def said(data: Path, place: Path) -> str:
    """What a search of three trials for lr and label_smoothing printed; its run is `t1`."""
    with one_core():
        answer = deploy("tune", "--data", data, "--trials", "3", "--param", "lr=0.001:0.1:log", "--param",
                        "label_smoothing=0:0.2", *FAST, "--set", "epochs=3", "--pruner", "none", "--runs", place,
                        "--name", "t1", timeout=280)  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stderr == ""
    return answer.stdout


@pytest.fixture
def tuned(said: str, place: Path) -> Path:
    """Its run folder."""
    assert said
    return place / "t1"


def test_each_trial_is_an_ordinary_run_folder_of_the_tuning_run(tuned: Path, place: Path) -> None:
    assert sorted(path.name for path in place.iterdir() if path.name[0] != ".") == ["t1", *TRIALS]
    for number, name in enumerate(TRIALS, 1):
        trial = record(place / name)
        assert (trial["kind"], trial["status"], trial["tuning"], trial["trial"]) == (
            "training", "completed", "t1", number,
        )  # fmt: skip
        # What only the best one's training is worth is off.
        off = {trial["hyperparameters"][name] for name in ("debug", "profile", "tensorboard")}
        assert (off, trial["hyperparameters"]["export"]) == ({"off"}, "none")
        assert trial["metrics"] == manifest(place / name)["metrics"]
    # The features of the first trial are the others'.
    assert "views found in" not in (place / TRIALS[0] / "log.txt").read_text()
    assert "views found in" in (place / TRIALS[2] / "log.txt").read_text()


def test_the_documents_tell_every_trial_as_it_was(tuned: Path, place: Path) -> None:
    found = document(tuned)
    assert (found["state"], found["counts"]) == ("completed", {"completed": 3, "pruned": 0, "failed": 0})
    for row, name in zip(found["trials"], TRIALS, strict=True):
        assert row["run"] == name
        assert row["epochs"] == epochs(place / name)
        assert len(row["epochs"]) == 3
        assert row["metrics"] == manifest(place / name)["metrics"]
        assert row["values"] == {key: record(place / name)["hyperparameters"][key] for key in row["values"]}
    accuracies = [manifest(place / name)["metrics"]["validation_accuracy"] for name in TRIALS]
    best = accuracies.index(max(accuracies))  # the earliest of equals
    assert found["best"] == best + 1
    assert record(tuned)["best"] == TRIALS[best]
    # In full, and with all on that the trials went without.
    full = json.loads((tuned / "ml" / "output" / "data" / "best-hyperparameters.json").read_text())
    assert json.loads(full["lr"]) == record(place / TRIALS[best])["hyperparameters"]["lr"]
    assert [json.loads(full[name]) for name in ("debug", "profile", "export", "freeze", "tune_trials")] == [
        "on", "on", "int8", "backbone", 0,
    ]  # fmt: skip


def test_it_says_what_it_does_and_what_came_out(said: str, tuned: Path) -> None:
    lines = said.splitlines()
    assert lines[0] == (
        "trials are trained with tensorboard=off, debug=off, profile=off, export=none; "
        "train --from-tuning leaves these on"
    )
    assert sum(line.startswith(f"trial {n} of 3: lr ") for n in (1, 2, 3) for line in lines) == 3
    best = document(tuned)["best"]
    (row,) = (line.split() for line in lines if line.startswith(f"{best} best "))
    assert row[-1] == TRIALS[best - 1]
    values = document(tuned)["hyperparameters"]
    assert f"best hyperparameters: lr {values['lr']:.4g}, label_smoothing {values['label_smoothing']:.4g}" in lines
    assert f"all of them: {tuned / 'ml/output/data/best-hyperparameters.json'}" in lines
    assert f"tuning      {tuned / 'ml/output/data/tuning-report.html'}" in lines
    assert lines[-1] == "train with them: python deploy.py train --from-tuning t1"


def test_status_and_report_know_a_tuning_run(tuned: Path, place: Path) -> None:
    best = document(tuned)["best"]
    (row,) = (line for line in deploy("status", "--runs", place).stdout.splitlines() if line.startswith("t1 "))
    accuracy = manifest(place / TRIALS[best - 1])["metrics"]["validation_accuracy"]
    assert row.split()[1:4] == ["tuning", "local", "completed"]
    assert row.rstrip().endswith(f"3 of 3 trials, best validation_accuracy {accuracy:.4g} (trial {best})")
    report = deploy("report", "t1", "--runs", place)
    assert report.returncode == 0, report.stderr
    assert f"{best} best" in report.stdout
    page = tuned / "ml" / "output" / "data" / "tuning-report.html"
    assert f"tuning      {page}" in report.stdout
    assert "</html>" in page.read_text()


def test_the_tuning_run_stands_for_its_best_trial(tuned: Path, place: Path, data: Path) -> None:
    best = place / record(tuned)["best"]
    photo = data / "test" / "003.Blue_dog" / "1.jpg"
    # Named, or as the newest run.
    for words in (("--artifact", "t1"), ()):
        answer = deploy("predict", *words, "--runs", place, "--json", photo)
        assert answer.returncode == 0, answer.stderr
        told = json.loads((best / "ml" / "output" / "data" / "evaluation.json").read_text())["predictions"]
        first = json.loads(answer.stdout)["predictions"][0]
        assert math.isclose(first["probability"], told["003.Blue_dog/1.jpg"]["probability"], abs_tol=1e-4)


def test_training_from_the_search_gives_the_best_trials_numbers(tuned: Path, place: Path) -> None:
    with one_core():
        answer = deploy("train", "--from-tuning", "t1", *BARE, "--runs", place, "--name", "again")
    assert answer.returncode == 0, answer.stderr
    mine, theirs = manifest(place / "again")["metrics"], manifest(place / record(tuned)["best"])["metrics"]
    assert {name: mine[name] for name in theirs if name != "epoch_seconds"} == {
        name: value for name, value in theirs.items() if name != "epoch_seconds"
    }
    assert len(theirs) >= 8
    chosen = record(place / "again")["hyperparameters"]
    assert (chosen["lr"], chosen["export"]) == (document(tuned)["hyperparameters"]["lr"], "none")


def test_from_tuning_needs_a_search(trained: Path, data: Path) -> None:
    answer = deploy("train", "--from-tuning", "first", "--runs", trained.parent)
    assert answer.returncode == 2
    assert answer.stderr == (
        "error: run first has no best hyperparameters: it is no search; deploy.py status lists the runs\n"
    )
    neither = deploy("train", "--runs", trained.parent)
    assert neither.stderr == "error: --data is missing: give it the photos' folder, or a search with --from-tuning\n"


def test_all_faults_are_told_at_once_and_nothing_is_left(data: Path, tmp_path: Path) -> None:
    answer = deploy("tune", "--data", data, "--trials", "-1", "--set", "epoch=2", "--param", "optimizer=adamax",
                    "--objective", "acuracy", "--sampler", "grid", "--set", "tune_minutes=3", "--runs",
                    tmp_path / "runs")  # fmt: skip
    assert answer.returncode == 2
    (sentence,) = answer.stderr.splitlines()
    for part in ("--set tune_minutes: has an option of its own, --minutes", "epoch: no such hyperparameter",
                 "--trials: must be an integer from 0", "--sampler: must be one of tpe, random, got grid",
                 "optimizer", "acuracy: no such metric"):  # fmt: skip
        assert part in sentence
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "epochs=3"], ("epochs: is set for all trials and searched as well; leave --set epochs out, or name "
                                "with --param what is to be searched")),
        (["--name", "a" * 51], "--name may have 50 characters at most for a tuning, got 51"),
        (["--on", "moon"], "--on: must be local, docker, sagemaker or MODULE:CLASS, got moon"),
        (["--resume", "t9", "--sampler", "tpe"], ("--resume goes on with what the search was begun with, so --data, "
                                                 "--sampler can't be given; --trials, --minutes and --parallel can")),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_sentence(arguments: list[str], sentence: str, data: Path, tmp_path: Path) -> None:
    answer = deploy("tune", "--data", data, "--runs", tmp_path / "runs", *arguments)
    assert answer.returncode == 2
    assert answer.stderr == f"error: {sentence}\n"
    assert not (tmp_path / "runs").exists()


def test_a_search_whose_data_no_trial_can_be_trained_on_ends_soon(data: Path, tmp_path: Path) -> None:
    one_class = tmp_path / "photos"
    one_class.mkdir()
    (one_class / "dog").symlink_to(data / "train" / "001.Red_dog")
    answer = deploy("tune", "--data", one_class, *FAST, "--param", "lr=0.001:0.1:log", "--runs", tmp_path / "runs",
                    "--name", "one")  # fmt: skip
    assert answer.returncode == 2
    assert "holds one class (dog), a classifier needs at least two" in answer.stderr
    assert "(as in each of the first trials, so there is no further one)" in answer.stderr
    assert record(tmp_path / "runs" / "one")["status"] == "failed"
    assert document(tmp_path / "runs" / "one")["counts"] == {"completed": 0, "pruned": 0, "failed": 2}
