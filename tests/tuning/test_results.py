"""The search's document, and the files a search leaves."""

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from contract.hyperparameters import Hyperparameters
from contract.version import VERSION
from tests.tuning.searches import search_all, settings
from tuning.results import write_results
from tuning.study import Search

KEYS = (
    "format", "kennel", "state", "reason", "objectives", "sampler", "pruner", "seed", "parallel", "trials_wanted",
    "space", "base", "started", "seconds", "interruptions", "counts", "best", "front", "hyperparameters", "trials",
    "importance", "winner", "notes",
)  # fmt: skip
TRIAL_KEYS = (
    "number", "state", "values", "objective", "metrics", "epochs", "started", "seconds", "reason", "repeats", "run",
)  # fmt: skip


def run(search: Search, metrics: dict[str, float], name: str | None = None) -> int:
    trial = search.ask()
    assert trial is not None
    search.report(trial.number, 1, metrics)
    search.complete(trial.number, metrics, 2.5, name)
    return trial.number


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


def test_the_whole_document(file: Path) -> None:
    now = [50.0]
    space = "lr=0.001:0.1:log; ema_decay=0.9:0.999:reverse_log; epochs=2:5; optimizer=adamw,sgd"
    given = settings(tune_trials=5, tune_space=space, ema_decay=0.9, tune_objective="validation_accuracy,latency_ms")
    search = Search(file, given, clock=lambda: now[0])
    before = time.time()
    run(search, {"validation_accuracy": 0.5, "latency_ms": 3.0}, "first-trial")
    now[0] += 7
    bad = search.ask()
    assert bad is not None
    search.report(bad.number, 1, {"epoch": 1, "validation_accuracy": math.nan, "train_loss": math.inf})
    search.fail(bad.number, "the loss is NaN", 1.5)
    running = search.ask()
    assert running is not None
    document = search.document("running")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert tuple(document) == KEYS
    assert all(tuple(each) == TRIAL_KEYS for each in document["trials"])
    expected: dict[str, Any] = {
        "format": 1,
        "kennel": VERSION,
        "state": "running",
        "reason": None,
        "objectives": [
            {"metric": "validation_accuracy", "direction": "maximize"},
            {"metric": "latency_ms", "direction": "minimize"},
        ],
        "sampler": "tpe",
        "pruner": "median",
        "seed": 0,
        "parallel": 1,
        "trials_wanted": 5,
        "space": [
            {"name": "lr", "kind": "continuous", "low": 0.001, "high": 0.1, "scale": "log"},
            {"name": "ema_decay", "kind": "continuous", "low": 0.9, "high": 0.999, "scale": "reverse_log"},
            {"name": "epochs", "kind": "integer", "low": 2, "high": 5, "scale": "linear"},
            {"name": "optimizer", "kind": "categorical", "values": ["adamw", "sgd"]},
        ],
        "seconds": 7.0,
        "interruptions": 0,
        "counts": {"completed": 1, "pruned": 0, "failed": 1},
        "best": 1,
        "front": [1],
        "importance": None,
        "winner": None,
        "notes": ["no trial is ended early: the pruner median can't weigh several objectives"],
    }
    assert {name: document[name] for name in expected} == expected
    assert abs(document["started"] - before) < 60
    varied = {"lr", "ema_decay", "epochs", "optimizer"}
    assert not varied & set(document["base"])
    assert not [name for name in document["base"] if name.startswith("tune_")]
    assert document["base"]["batch_size"] == 32
    assert Hyperparameters(**document["hyperparameters"]) == Hyperparameters(epochs=4, ema_decay=0.9)
    assert document["trials"] == [
        {
            "number": 1,
            "state": "completed",
            "values": {"lr": 0.001, "ema_decay": 0.9, "epochs": 4, "optimizer": "adamw"},
            "objective": [0.5, 3.0],
            "metrics": {"validation_accuracy": 0.5, "latency_ms": 3.0},
            "epochs": [{"validation_accuracy": 0.5, "latency_ms": 3.0}],
            "started": 0.0,
            "seconds": 2.5,
            "reason": None,
            "repeats": None,
            "run": "first-trial",
        },
        {
            "number": 2,
            "state": "failed",
            "values": dict(bad.values),
            "objective": None,
            "metrics": {},
            "epochs": [{"epoch": 1, "validation_accuracy": None, "train_loss": None}],
            "started": 7.0,
            "seconds": 1.5,
            "reason": "the loss is NaN",
            "repeats": None,
            "run": None,
        },
        {
            "number": 3,
            "state": "running",
            "values": dict(running.values),
            "objective": None,
            "metrics": {},
            "epochs": [],
            "started": 7.0,
            "seconds": 0.0,
            "reason": None,
            "repeats": None,
            "run": None,
        },
    ]
    ended = search.document("stopped", "stopped by SIGTERM", {"trained": False, "metrics": {}, "reproduced": None})
    assert (ended["state"], ended["reason"]) == ("stopped", "stopped by SIGTERM")
    assert [each["number"] for each in ended["trials"]] == [1, 2]
    assert ended["winner"] == {"trained": False, "metrics": {}, "reproduced": None}


def test_the_search_s_own_reason_is_told(file: Path) -> None:
    search = Search(file, settings(tune_space="optimizer=adamw,sgd"))
    search_all(search)
    document = search.document("completed")
    assert document["reason"] == "all 2 combinations were tried"
    assert document["trials"][0]["values"] == {"optimizer": "adamw"}


def test_importance_is_that_of_what_decides(file: Path) -> None:
    search = Search(file, settings(tune_trials=24, tune_sampler="random", tune_space="lr=0.001:0.1:log; flip=0.0:0.5"))
    found = []
    while trial := search.ask():
        # lr alone matters.
        search.complete(trial.number, {"validation_accuracy": 0.5 + math.log10(trial.hyperparameters.lr) / 10}, 1.0)
        found.append(search.document("running")["importance"])
    assert found[:3] == [None, None, None]
    importance = found[-1]
    assert importance["method"] == "PED-ANOVA"
    assert (importance["objective"], importance["trials"]) == ("validation_accuracy", 24)
    assert list(importance["values"]) == ["lr", "flip"]
    assert sum(importance["values"].values()) == pytest.approx(1)
    assert importance["values"]["lr"] > 0.8


def test_equal_results_have_no_importance(file: Path) -> None:
    search = Search(file, settings(tune_trials=6, tune_space="lr=0.001:0.1:log"))
    for accuracy in (0.5, 0.5, 0.5, 0.5, 0.5, 0.9):
        run(search, {"validation_accuracy": accuracy})
        # Even of six, the better half is as good as all.
        assert search.document("running")["importance"] is None


def test_a_reverse_logarithmic_hyperparameter_keeps_its_name(file: Path) -> None:
    search = Search(file, settings(tune_trials=6, tune_space="ema_decay=0.9:0.9999:reverse_log", ema_decay=0.9))
    while trial := search.ask():
        search.complete(trial.number, {"validation_accuracy": trial.hyperparameters.ema_decay}, 1.0)
    assert search.document("completed")["importance"]["values"] == {"ema_decay": 1.0}


def test_results_are_files(file: Path, tmp_path: Path) -> None:
    search = Search(file, settings(tune_trials=3, tune_pruner="none"))
    trial = search.ask()
    assert trial is not None
    search.fail(trial.number, "out of memory", 1.0)
    folder = tmp_path / "data"
    write_results(folder, search.document("running"))
    assert [each.name for each in folder.iterdir()] == ["tuning.json"]
    run(search, {"validation_accuracy": 0.5})
    document = search.document("running")
    write_results(folder, document)
    assert json.loads((folder / "tuning.json").read_text()) == document
    best = json.loads((folder / "best-hyperparameters.json").read_text())
    assert all(isinstance(value, str) for value in best.values())
    assert best["tune_trials"] == "0"
    assert search.best is not None
    assert Hyperparameters.parse(best) == search.best.hyperparameters
