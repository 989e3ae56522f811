"""Which trials of a search are ended early, by values worked out by hand."""

import math
from pathlib import Path

import pytest

from tests.tuning.searches import settings
from tuning.searcher import Trial
from tuning.study import Search


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


def ask(search: Search) -> Trial:
    trial = search.ask()
    assert trial is not None
    return trial


def complete(search: Search, accuracies: list[float]) -> None:
    """A trial of these validation accuracies, an epoch each."""
    trial = ask(search)
    for epoch, accuracy in enumerate(accuracies, start=1):
        assert not search.report(trial.number, epoch, {"validation_accuracy": accuracy})
    search.complete(trial.number, {"validation_accuracy": accuracies[-1]}, 1.0)


def test_median_ends_what_is_worse_than_the_median_at_the_same_epoch(file: Path) -> None:
    # 8 trials: it begins when 8 // 4 = 2 are completed.
    search = Search(file, settings(tune_space="lr=0.001:0.1:log", tune_pruner="median"))
    complete(search, [0.5, 0.5, 0.5, 0.5])
    early = ask(search)
    assert not search.report(early.number, 1, {"validation_accuracy": 0.1})
    search.complete(early.number, {"validation_accuracy": 0.7}, 1.0)
    complete(search, [0.7, 0.7, 0.9, 0.9])
    # After epoch 1 the completed ones had 0.5, 0.1 and 0.7: the median is 0.5.
    better, worse = ask(search), ask(search)
    assert not search.report(better.number, 1, {"validation_accuracy": 0.51})
    assert search.report(worse.number, 1, {"validation_accuracy": 0.49})
    assert search.report(worse.number, 1, {"validation_accuracy": 0.9})  # the same epoch once more: as before
    search.prune(worse.number, 1.0)
    # After epoch 3 they had 0.5 and 0.9, and 0.51 is the best that the other one has had: 0.7 is not reached.
    assert search.report(better.number, 3, {"validation_accuracy": 0.3})
    assert [each.state for each in search.finished] == ["completed", "completed", "completed", "pruned"]
    assert search.finished[-1].metrics == {"validation_accuracy": 0.49}


def test_nothing_is_ended_after_its_last_epoch_or_for_a_value_that_is_none(file: Path) -> None:
    search = Search(file, settings(tune_space="lr=0.001:0.1:log", epochs=2, tune_objective="validation_loss"))
    first = ask(search)
    for epoch in (1, 2):
        search.report(first.number, epoch, {"validation_loss": 1.0})
    search.complete(first.number, {"validation_loss": 1.0}, 1.0)
    second = ask(search)
    search.complete(second.number, {"validation_loss": 1.0}, 1.0)
    third = ask(search)
    assert not search.report(third.number, 1, {"validation_loss": math.nan})
    assert not search.report(third.number, 2, {"validation_loss": 9.0})
    fourth = ask(search)
    assert not search.report(fourth.number, 1, {"train_loss": 9.0})
    fifth = ask(search)
    assert search.report(fifth.number, 1, {"validation_loss": 9.0})


def test_median_leaves_the_first_tenth_of_a_long_training_alone(file: Path) -> None:
    search = Search(file, settings(tune_trials=4, tune_space="lr=0.001:0.1:log", epochs=20))
    complete(search, [0.5] * 20)
    trial = ask(search)
    # 1 + 20 // 10 = 3.
    assert [search.report(trial.number, epoch, {"validation_accuracy": 0.1}) for epoch in (1, 2, 3)] == [
        False, False, True,
    ]  # fmt: skip


def test_hyperband_lets_the_best_third_go_on(file: Path) -> None:
    # At most 2 epochs: floor(log3 2) + 1 = 1 bracket, judged after epoch 1.
    search = Search(file, settings(tune_space="lr=0.001:0.1:log", epochs=2, tune_pruner="hyperband"))
    ended = []
    for accuracy in (0.5, 0.4, 0.6, 0.55, 0.58, 0.58):
        trial = ask(search)
        ended.append(search.report(trial.number, 1, {"validation_accuracy": accuracy}))
        if ended[-1]:
            search.prune(trial.number, 1.0)
        else:
            search.complete(trial.number, {"validation_accuracy": accuracy}, 1.0)
    # Of up to 5 the best one goes on, of 6 the best two: 0.6 and 0.58.
    assert ended == [False, True, False, True, True, False]


@pytest.mark.parametrize(
    ("given", "note"),
    [
        ({"tune_pruner": "none"}, []),
        (
            {"tune_objective": "validation_accuracy,latency_ms"},
            ["no trial is ended early: the pruner median can't weigh several objectives"],
        ),
        (
            {"tune_objective": "test_accuracy", "tune_pruner": "hyperband"},
            ["no trial is ended early: test_accuracy is known at a trial's end only"],
        ),
    ],
)
def test_without_pruning_no_trial_is_ended(file: Path, given: dict[str, str], note: list[str]) -> None:
    search = Search(file, settings(**given))
    assert search.notes == note
    metrics = {"validation_accuracy": 0.9, "test_accuracy": 0.9, "latency_ms": 1.0}
    for accuracy in (0.9, 0.8, 0.7, 0.1):
        trial = ask(search)
        assert not search.report(trial.number, 1, {**metrics, "validation_accuracy": accuracy})
        search.complete(trial.number, metrics, 1.0)
    assert [list(each.epochs) for each in search.finished] == [[1]] * 4
