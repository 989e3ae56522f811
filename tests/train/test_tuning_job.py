"""`python -m train` with tune_trials: a search and its best trial's training, as a real process."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contract.hyperparameters import Hyperparameters
from contract.metrics import METRICS, metric_regex
from model.artifact import Artifact
from tests.train.support import QUICK, REPOSITORY, Finished, configure, finish, make_classes, start, start_train, train

SPACE = json.dumps({"lr": "0.002:0.05:log", "batch_size": [8, 16], "epochs": "1:3"})
OBSERVED: dict[str, Any] = {"tensorboard": "on", "debug": "on", "profile": "on"}


def photos(root: Path, test: bool = False) -> Path:
    data = root / "input" / "data"
    make_classes(data / "train", 8)
    make_classes(data / "validation", 4, seed=100)
    if test:
        make_classes(data / "test", 4, seed=200)
    return root


def document(job: Finished) -> dict[str, Any]:
    found = json.loads((job.root / "output" / "data" / "tuning.json").read_text())
    assert isinstance(found, dict)
    return found


def best_of(job: Finished) -> dict[str, Any]:
    found = json.loads((job.root / "output" / "data" / "best-hyperparameters.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> list[Finished]:
    """Two searches side by side: of a head on a frozen backbone, all observers on; of the whole network."""
    roots = [photos(tmp_path_factory.mktemp(name), test=True) for name in ("frozen", "whole")]
    search: dict[str, Any] = {"tune_space": SPACE, "tune_sampler": "random"}
    frozen = start_train(
        roots[0], freeze="backbone", tune_trials="6", tune_objective="validation_loss,latency_ms", **OBSERVED, **search
    )
    whole = start_train(roots[1], tune_trials="3", patience="1", tune_objective="test_loss", **search)
    jobs = [finish(frozen, roots[0]), finish(whole, roots[1])]
    assert [job.code for job in jobs] == [0, 0], [job.err for job in jobs]
    return jobs


@pytest.fixture(scope="module")
def frozen(searches: list[Finished]) -> Finished:
    return searches[0]


@pytest.fixture(scope="module")
def whole(searches: list[Finished]) -> Finished:
    return searches[1]


@pytest.fixture(scope="module")
def again(searches: list[Finished], tmp_path_factory: pytest.TempPathFactory) -> list[Finished]:
    """Each search's best hyperparameters, as they stand in the file, in a training of its own on the same images."""
    started = []
    for job in searches:
        root = photos(tmp_path_factory.mktemp("again"), test=True)
        configure(root, best_of(job))
        started.append((start(["train"], root), root))
    jobs = [finish(process, root) for process, root in started]
    assert [job.code for job in jobs] == [0, 0], [job.err for job in jobs]
    return jobs


def no_time(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("epoch_seconds", "latency_ms")} for row in rows]


@pytest.mark.parametrize("number", [0, 1], ids=["frozen", "whole"])
def test_the_best_trial_is_reproduced_by_training_its_hyperparameters(
    searches: list[Finished], again: list[Finished], number: int
) -> None:
    job, alone = searches[number], again[number]
    found = document(job)
    trial = found["trials"][found["best"] - 1]
    epochs = [row for row in alone.metrics if "epoch" in row]
    assert no_time(trial["epochs"]) == no_time(epochs)
    assert no_time(job.metrics) == no_time(alone.metrics)
    assert (job.model / "model.safetensors").read_bytes() == (alone.model / "model.safetensors").read_bytes()
    assert found["winner"]["reproduced"] is True


@pytest.mark.parametrize("number", [0, 1], ids=["frozen", "whole"])
def test_the_document_tells_the_search(searches: list[Finished], number: int) -> None:
    job = searches[number]
    found = document(job)
    assert found["state"] == "completed"
    wanted = (6, 3)[number]
    assert [trial["number"] for trial in found["trials"]] == list(range(1, wanted + 1))
    assert sum(found["counts"].values()) == wanted == found["trials_wanted"]
    completed = [trial for trial in found["trials"] if trial["state"] == "completed"]
    loss = min(completed, key=lambda trial: trial["objective"][0])
    assert found["best"] == loss["number"]
    assert best_of(job) == {
        **Hyperparameters.parse({**QUICK, **json.loads(json.dumps(loss["values"]))}).to_json(),
        **{name: json.dumps(value) for name, value in _given(job).items()},
    }
    assert {"trained": True, "reproduced": True}.items() <= found["winner"].items()
    assert found["winner"]["metrics"] == job.manifest["metrics"]


def _given(job: Finished) -> dict[str, str]:
    """What the search's job was given beyond QUICK and the search's own settings, but for its objective."""
    given = json.loads((job.root / "input" / "config" / "hyperparameters.json").read_text())
    kept = {name: value for name, value in given.items() if not name.startswith("tune_") and QUICK.get(name) != value}
    return {**kept, "tune_objective": given["tune_objective"], **({"patience": 1} if "patience" in kept else {})}


def test_the_best_trial_is_trained_as_any_job(frozen: Finished) -> None:
    artifact = Artifact.load(frozen.model)
    assert artifact.provenance["completed"] is True
    chosen = artifact.provenance["hyperparameters"]
    assert chosen["tune_trials"] == 0
    assert Hyperparameters.parse(best_of(frozen)) == Hyperparameters(**chosen)
    output = frozen.root / "output"
    for name in ("evaluation.json", "debugger-report.json", "debugger-report.html", "profiler-report.json"):
        assert (output / "data" / name).stat().st_size > 0
    assert len(list((output / "tensorboard").glob("events.*"))) == 1
    assert (frozen.model / "model_card.md").exists()
    # The reports are of the best trial's training: its hyperparameters, and no time of the search.
    for name in ("debugger-report.json", "profiler-report.json"):
        report = json.loads((output / "data" / name).read_text())
        assert report["hyperparameters"]["batch_size"] == chosen["batch_size"], name
    stages = json.loads((output / "data" / "profiler-report.json").read_text())["job"]
    assert 0 <= stages["initialization_s"] < document(frozen)["trials"][0]["seconds"] + 60


def test_only_the_last_training_is_in_log_and_metrics(frozen: Finished) -> None:
    epochs = document(frozen)["hyperparameters"]["epochs"]
    assert [row.get("epoch") for row in frozen.metrics] == [*range(1, epochs + 1), None, None]
    lines = frozen.out.splitlines()
    training = next(number for number, line in enumerate(lines) if line.startswith("training resnet18"))
    search = "\n".join(lines[:training])
    assert sum(bool(re.match(r"trial \d of 6: ", line)) for line in lines[:training]) == 6
    assert not any(re.search(metric_regex(name), search) for name in METRICS)
    assert len(re.findall(metric_regex("validation_loss"), frozen.out)) == epochs


def test_features_are_computed_once_for_the_search_and_the_training(frozen: Finished) -> None:
    # 3 views, as no trial has more epochs; 8 images of 3 classes.
    assert re.findall(r"features: \([\d, ]+\) for training", frozen.out) == ["features: (3, 24, 512) for training"]


def test_latency_is_a_metric_of_trials_and_training(frozen: Finished, again: list[Finished]) -> None:
    found = document(frozen)
    measured = {trial["metrics"]["latency_ms"] for trial in found["trials"] if trial["state"] == "completed"}
    assert len(measured) == 1  # one network, one size
    assert frozen.metrics[-1] == {"latency_ms": measured.pop()}
    assert found["winner"]["metrics"]["latency_ms"] == frozen.metrics[-1]["latency_ms"]
    line = next(line for line in again[0].out.splitlines() if line.startswith("latency_ms="))
    milliseconds = again[0].metrics[-1]["latency_ms"]
    assert line == f"latency_ms={milliseconds:.6f};"
    assert again[0].manifest["metrics"]["latency_ms"] == milliseconds > 0
    # It is told where it is asked for.
    assert "latency_ms" not in again[1].out


def test_a_trials_test_is_the_trainings(whole: Finished) -> None:
    found = document(whole)
    best = found["trials"][found["best"] - 1]
    names = ("test_loss", "test_accuracy", "test_top5_accuracy", "test_macro_f1")
    told = next(row for row in whole.metrics if "test_loss" in row)
    assert [best["metrics"][name] for name in names] == pytest.approx([told[name] for name in names], abs=1e-6)


def test_a_later_job_removes_the_searchs_results(tmp_path: Path) -> None:
    data = tmp_path / "output" / "data"
    data.mkdir(parents=True)
    for name in ("tuning.json", "tuning-report.html", "best-hyperparameters.json"):
        (data / name).write_text("{}")
    (tmp_path / "checkpoints" / "tuning").mkdir(parents=True)
    result = train(tmp_path)
    result.fails_for_user("no training data")
    assert list(data.glob("tuning*")) == []
    assert not (data / "best-hyperparameters.json").exists()
    assert (tmp_path / "checkpoints" / "tuning").is_dir()


def test_what_holds_for_every_trial_is_told_before_the_first(tmp_path: Path) -> None:
    photos(tmp_path)
    missing = train(tmp_path, pretrained=str(tmp_path / "no.pth"), tune_trials="3")
    missing.fails_for_user("there is no file", "no.pth")
    assert "data:" not in missing.out
    untested = train(tmp_path, tune_trials="3", tune_objective="test_accuracy")
    untested.fails_for_user("tune_objective: test_accuracy needs test data", "add a channel test")
    assert "trial" not in untested.out


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    photos(tmp_path)
    result = train(tmp_path, lr="-1", tune_trials="3", tune_space="lr=1:0.1", tune_objective="accuracy")
    result.fails_for_user("lr: must be", "accuracy: no such metric")
    result = train(tmp_path, tune_trials="3", tune_space="lr=1:0.1", tune_objective="accuracy")
    result.fails_for_user("lr", "accuracy: no such metric")
    # Without a search the objective still says what is to be measured.
    train(tmp_path, tune_objective="latency").fails_for_user("latency: no such metric", "latency_ms")


def test_a_search_without_any_completed_trial_fails(tmp_path: Path) -> None:
    photos(tmp_path)
    space = json.dumps({"lr": {"values": [9.0, 10.0]}})
    result = train(
        tmp_path, tune_trials="2", tune_space=space, optimizer="sgd", epochs="9", lr_schedule="constant",
        warmup_ratio="0",
    )  # fmt: skip
    result.fails_for_user("all 2 trials failed", "lower lr")
    found = document(result)
    assert (found["best"], found["counts"]["failed"]) == (None, 2)
    assert found["winner"] == {"trained": False, "metrics": {}, "reproduced": None}
    assert not (tmp_path / "output" / "data" / "best-hyperparameters.json").exists()


def test_a_training_without_a_search_imports_none_of_it() -> None:
    code = (
        "import sys, train.job\n"
        "print([each for each in ('optuna', 'train.search.in_job', 'tuning.study') if each in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
