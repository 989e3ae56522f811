"""Searches over a made-up training: no torch, and a quality that is known beforehand."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from contract.hyperparameters import Hyperparameters
from tuning.searcher import Trial
from tuning.space import Value
from tuning.study import Search, SearchSettings

# Of the log lines, in order.
Lines = list[str]


def settings(**given: Any) -> SearchSettings:
    """Eight trials of the default space unless told otherwise; names as in the hyperparameter table."""
    return SearchSettings.of(Hyperparameters(**{"tune_trials": 8, "epochs": 4, **given}))


def changed(before: SearchSettings, **given: Any) -> SearchSettings:
    return replace(before, **given)


def quality(values: Mapping[str, Value]) -> float:
    """Best, 0.95, at lr 0.01 and batch_size 16; worse by 0.1 for each factor of ten and by 0.001 for each image."""
    worse = 0.1 * abs(math.log10(float(values["lr"])) + 2) + 0.001 * (int(values["batch_size"]) - 16)
    return 0.95 - worse


def rows(trial: Trial) -> list[dict[str, float | int]]:
    """Each epoch halves what is missing; a learning rate above 0.08 is too high to learn with."""
    chosen = trial.hyperparameters
    best = math.nan if chosen.lr > 0.08 else quality({"lr": chosen.lr, "batch_size": chosen.batch_size})
    return [
        {"epoch": epoch, "validation_accuracy": best * (1 - 0.5**epoch), "train_loss": 1 / epoch}
        for epoch in range(1, chosen.epochs + 1)
    ]


def train(search: Search, trial: Trial, at: Callable[[int, int], None] = lambda _number, _epoch: None) -> None:
    """One trial, to whatever end. at: called after each epoch's report."""
    epochs = rows(trial)
    for row in epochs:
        wished = search.report(trial.number, int(row["epoch"]), row)
        at(trial.number, int(row["epoch"]))
        if wished:
            search.prune(trial.number, 0.1 * row["epoch"])
            return
    if math.isnan(epochs[-1]["validation_accuracy"]):
        search.fail(trial.number, "the loss is NaN", 0.1)
        return
    search.complete(trial.number, {**epochs[-1], "latency_ms": trial.hyperparameters.epochs}, 0.1 * len(epochs))


def search_all(search: Search) -> list[int]:
    """Every trial that is left; their numbers."""
    trained = []
    while trial := search.ask():
        train(search, trial)
        trained.append(trial.number)
    return trained


def outcome(search: Search) -> list[dict[str, Any]]:
    """What was found, without times."""
    trials = search.document("completed")["trials"]
    return [{key: value for key, value in each.items() if key not in ("started", "seconds")} for each in trials]


def main(file: str, halt: str, *given: str) -> None:
    """A process that searches; after the report named in `halt`, as 5:2, it says so and waits for its end."""

    def at(number: int, epoch: int) -> None:
        if f"{number}:{epoch}" == halt:
            print("halted", flush=True)
            sys.stdin.read()

    chosen = Hyperparameters.parse(dict(each.split("=", 1) for each in given))
    search = Search(Path(file), SearchSettings.of(chosen))
    while trial := search.ask():
        train(search, trial, at)
    print("ended", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
