"""Tuning documents, made up: of any number of trials, in any state, over a space of every kind of hyperparameter."""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contract.hyperparameters import Hyperparameters
from tuning.searcher import Trial
from tuning.settings import SearchSettings
from tuning.study import Search

LR: dict[str, Any] = {"name": "lr", "kind": "continuous", "low": 0.001, "high": 0.1, "scale": "log"}
BATCH_SIZE: dict[str, Any] = {"name": "batch_size", "kind": "categorical", "values": [16, 32, 64, 128]}
EPOCHS: dict[str, Any] = {"name": "epochs", "kind": "integer", "low": 2, "high": 5, "scale": "linear"}
SPACE: tuple[dict[str, Any], ...] = (LR, BATCH_SIZE, EPOCHS)
WIDE: tuple[dict[str, Any], ...] = (
    *SPACE[:2],
    {"name": "epochs", "kind": "integer", "low": 2, "high": 15, "scale": "linear"},
    {"name": "weight_decay", "kind": "continuous", "low": 1e-5, "high": 0.3, "scale": "log"},
    {"name": "label_smoothing", "kind": "continuous", "low": 0.0, "high": 0.2, "scale": "linear"},
    {"name": "optimizer", "kind": "categorical", "values": ["adamw", "adam", "sgd"]},
    {"name": "head", "kind": "categorical", "values": ["linear", "mlp"]},
    {"name": "crop_scale", "kind": "continuous", "low": 0.2, "high": 1.0, "scale": "linear"},
    {"name": "warmup_ratio", "kind": "continuous", "low": 0.0, "high": 0.3, "scale": "linear"},
    {"name": "ema_decay", "kind": "continuous", "low": 0.9, "high": 0.9999, "scale": "reverse_log"},
)
ACCURACY: dict[str, Any] = {"metric": "validation_accuracy", "direction": "maximize"}
LOSS: dict[str, Any] = {"metric": "validation_loss", "direction": "minimize"}
LATENCY: dict[str, Any] = {"metric": "latency_ms", "direction": "minimize"}


def draw(entry: dict[str, Any], noise: random.Random) -> Any:
    """A value of the space's entry, evenly on its scale."""
    if entry["kind"] == "categorical":
        return noise.choice(entry["values"])
    low, high = entry["low"], entry["high"]
    if entry["kind"] == "integer":
        return noise.randint(low, high)
    if entry["scale"] == "log":
        return math.exp(noise.uniform(math.log(low), math.log(high)))
    if entry["scale"] == "reverse_log":
        return 1 - math.exp(noise.uniform(math.log(1 - high), math.log(1 - low)))
    return noise.uniform(low, high)


def trial(
    number: int, objective: Sequence[float] | None = (0.5,), state: str = "completed", **more: Any
) -> dict[str, Any]:
    """A trial with the values given, two epochs of which the second is its objective."""
    value = objective[0] if objective else None
    rows = [{"epoch": 1, "validation_accuracy": 0.2}, {"epoch": 2, "validation_accuracy": value}]
    return {
        "number": number, "state": state, "values": {"lr": 0.01, "batch_size": 32, "epochs": 2},
        "objective": list(objective) if objective else None, "metrics": {"validation_accuracy": value},
        "epochs": rows if value is not None else rows[:1], "started": 2.0 * number, "seconds": 1.5,
        "reason": "the loss became NaN in epoch 1" if state == "failed" else None, "repeats": None, "run": None, **more,
    }  # fmt: skip


def document(trials: Sequence[dict[str, Any]], space: Sequence[dict[str, Any]] = SPACE, **more: Any) -> dict[str, Any]:
    """The document of these trials; the first objective is to be maximised unless told otherwise."""
    objectives = more.get("objectives", [ACCURACY])
    sign = 1 if objectives[0]["direction"] == "maximize" else -1
    completed = [each for each in trials if each["state"] == "completed"]
    best = max(completed, key=lambda each: sign * each["objective"][0], default=None)
    base = {"architecture": "resnet18", "freeze": "backbone", "seed": 0, "tune_trials": 0}
    return {
        "format": 1, "kennel": "0.5.0", "state": "completed", "reason": None, "objectives": objectives,
        "sampler": "tpe", "pruner": "median", "seed": 0, "parallel": 1, "trials_wanted": len(trials),
        "space": list(space), "base": base, "started": 1_760_000_000.0, "seconds": 61.5, "interruptions": 0,
        "counts": {state: sum(1 for e in trials if e["state"] == state) for state in ("completed", "pruned", "failed")},
        "best": best["number"] if best else None, "front": [best["number"]] if best else [],
        "hyperparameters": {**base, **best["values"]} if best else None, "trials": list(trials),
        "importance": None, "winner": None, "notes": ["20 trials shared one reading of the data"], **more,
    }  # fmt: skip


def made_up(
    count: int,
    space: Sequence[dict[str, Any]] = SPACE,
    objectives: Sequence[dict[str, Any]] = (ACCURACY,),
    pruned: float = 0.25,
    failed: float = 0.05,
    seed: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """A search of a made-up function that likes an lr of 0.02; shares of its trials are pruned and failed."""
    noise, trials = random.Random(seed), []
    for number in range(1, count + 1):
        values = {each["name"]: draw(each, noise) for each in space}
        off = abs(math.log10(values.get("lr", 0.02) / 0.02))
        top = 0.95 - 0.2 * off**2 - 0.02 * abs(math.log2(values.get("batch_size", 32) / 32)) + noise.gauss(0, 0.01)
        epochs = int(values.get("epochs", 5))
        rows = [_row(epoch, top * (1 - math.exp(-1.3 * epoch)), noise) for epoch in range(1, epochs + 1)]
        kind = noise.random()
        state = "failed" if kind < failed else "pruned" if kind < failed + pruned and number > 5 else "completed"
        rows = rows[: max(1, epochs // 3)] if state != "completed" else rows
        best = max(rows, key=lambda row: row["validation_accuracy"])
        metrics = {**best, "latency_ms": 4 + 30 * values.get("lr", 0.02) + noise.random()}
        objective = [metrics[each["metric"]] for each in objectives] if state == "completed" else None
        trials.append(
            trial(number, objective, state, values=values, metrics=metrics, epochs=rows, seconds=0.3 * len(rows))
        )
    made = document(trials, space, objectives=list(objectives), **more)
    if len(objectives) > 1:
        made["front"] = sorted(each["number"] for each in trials if each["objective"] and not _beaten(each, trials))
    completed = made["counts"]["completed"]
    if completed >= 10:
        shares = {each["name"]: 1 / (place + 1) for place, each in enumerate(space)}
        whole = sum(shares.values())
        found = {name: share / whole for name, share in shares.items()}
        made["importance"] = {
            "method": "PED-ANOVA", "objective": objectives[0]["metric"], "values": found, "trials": completed,
        }  # fmt: skip
    return made | more


def _row(epoch: int, accuracy: float, noise: random.Random) -> dict[str, Any]:
    accuracy = min(max(accuracy + noise.gauss(0, 0.005), 0.0), 1.0)
    return {
        "epoch": epoch, "train_loss": 2.5 - 2 * accuracy, "train_accuracy": accuracy,
        "validation_loss": 2.6 - 2 * accuracy, "validation_accuracy": accuracy,
        "learning_rate": 0.01, "epoch_seconds": 0.3,
    }  # fmt: skip


def _beaten(one: dict[str, Any], trials: Sequence[dict[str, Any]]) -> bool:
    """Whether another trial has more of the first objective and less of the second."""
    return any(
        other["objective"]
        and other["objective"][0] > one["objective"][0]
        and other["objective"][1] < one["objective"][1]
        for other in trials
    )


def searched(file: Path, trials: int, **hyperparameters: Any) -> dict[str, Any]:
    """The document of a real search over a made-up function: it likes an lr of 0.02, and trial 3 fails."""
    settings = SearchSettings.of(Hyperparameters(tune_trials=trials, **hyperparameters))
    search = Search(file, settings, shown=lambda line: None)
    try:
        while (asked := search.ask()) is not None:
            _run(search, asked)
        return search.document("completed")
    finally:
        search.close()


def _run(search: Search, asked: Trial) -> None:
    if asked.number == 3:
        search.fail(3, "the loss became NaN in epoch 1", 0.2, "run-3")
        return
    top = 0.9 - 0.3 * abs(math.log10(asked.hyperparameters.lr / 0.02))
    metrics: dict[str, float | int] = {}
    for epoch in range(1, asked.hyperparameters.epochs + 1):
        accuracy = top * (1 - 0.5**epoch)
        metrics = {"epoch": epoch, "validation_loss": 2 - accuracy, "validation_accuracy": accuracy}
        if search.report(asked.number, epoch, metrics):
            search.prune(asked.number, 0.1 * epoch, f"run-{asked.number}")
            return
    metrics["latency_ms"] = 4 + 100 * asked.hyperparameters.lr
    search.complete(asked.number, metrics, 0.1 * asked.hyperparameters.epochs, f"run-{asked.number}")
