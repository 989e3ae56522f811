"""How trials of a search are chosen, ended and judged."""

import math
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract.hyperparameters import Hyperparameters
from tests.tuning.searches import Lines, changed, outcome, search_all, settings, train
from tuning.searcher import Trial
from tuning.space import Space
from tuning.study import Search, SearchSettings


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


def test_settings_leave_no_search_in_what_trials_are_trained_with() -> None:
    given = Hyperparameters(tune_trials=20, tune_space="lr=0.001:0.1:log", tune_minutes=3, seed=7, freeze="backbone")
    found = SearchSettings.of(given)
    assert found.base == Hyperparameters(seed=7, freeze="backbone")
    assert (found.trials, found.minutes, found.seed, found.parallel) == (20, 3, 7, 1)
    assert found.space == Space.parse("lr=0.001:0.1:log")


def test_the_first_trial_is_the_base(file: Path) -> None:
    search = Search(file, settings(lr=0.02, batch_size=64, epochs=3))
    first = ask(search)
    assert first.values == {"lr": 0.02, "batch_size": 64, "epochs": 3}
    assert first.hyperparameters == Hyperparameters(lr=0.02, batch_size=64, epochs=3)
    assert search.notes == []


def test_a_base_outside_the_space_is_told_and_not_tried(file: Path) -> None:
    search = Search(file, settings(epochs=10, batch_size=48))
    assert ask(search).values["epochs"] != 10
    assert search.notes == [
        "the base configuration was not tried, as it is outside the space: batch_size 48, epochs 10"
    ]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_equal_settings_give_equal_trials_within_the_space(tmp_path: Path, sampler: str) -> None:
    found = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        search = Search(tmp_path / name, settings(tune_trials=16, tune_sampler=sampler, seed=seed))
        search_all(search)
        found.append(outcome(search))
        assert all(search.settings.space.contains(each.values) for each in search.finished)
    assert found[0] == found[1]
    assert found[0] != found[2]
    assert [each["number"] for each in found[0]] == list(range(1, 17))


def test_the_order_in_which_a_space_is_written_decides_nothing(tmp_path: Path) -> None:
    found = []
    for name, space in (("a", "lr=0.001:0.1:log; batch_size=16,32"), ("b", "batch_size=16,32; lr=0.001:0.1:log")):
        search = Search(tmp_path / name, settings(tune_trials=12, tune_space=space))
        search_all(search)
        found.append(outcome(search))
    assert found[0] == found[1]


def test_tpe_searches_where_it_was_good_and_not_where_trials_failed(file: Path) -> None:
    search = Search(file, settings(tune_trials=40, tune_space="lr=0.0001:1.0:log", tune_pruner="none", lr=0.0001))
    while trial := search.ask():
        exponent = math.log10(trial.hyperparameters.lr)
        if exponent > -2:
            search.fail(trial.number, "the loss is NaN", 0.1)
        else:
            search.complete(trial.number, {"validation_accuracy": 0.9 - abs(exponent + 2.7) / 10}, 0.1)
    # Chosen blindly half of the 30 would fail, as -2 is the middle of -4 and 0.
    assert [each.state for each in search.finished[10:]].count("failed") <= 10
    best = search.best
    assert best is not None
    assert 0.001 < best.hyperparameters.lr < 0.004  # 10 ** -2.7 is 0.002


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"train_loss": 0.1}, "the trial ended without validation_accuracy; it has train_loss"),
        ({}, "the trial ended without validation_accuracy; it has no metrics"),
        (
            {"validation_accuracy": math.nan, "train_loss": math.inf},
            "validation_accuracy is nan; no finite number came of the training",
        ),
    ],
)
def test_a_trial_without_its_objective_has_failed(file: Path, metrics: dict[str, float], reason: str) -> None:
    search = Search(file, settings())
    search.complete(ask(search).number, metrics, 1.0)
    (found,) = search.finished
    assert (found.state, found.reason, found.objective) == ("failed", reason, None)
    assert search.best is None


def test_several_objectives_have_a_front(file: Path) -> None:
    search = Search(file, settings(tune_objective="validation_accuracy,latency_ms"))
    for accuracy, latency in ((0.8, 5.0), (0.9, 9.0), (0.9, 7.0), (0.7, 2.0), (0.7, 3.0)):
        search.complete(ask(search).number, {"validation_accuracy": accuracy, "latency_ms": latency}, 1.0)
    # 2 is slower than 3 and no better; 5 is slower than 4 and no better.
    assert [each.number for each in search.front] == [3, 1, 4]
    assert search.best is search.front[0]


def test_of_equals_the_earliest_is_best(file: Path) -> None:
    search = Search(file, settings(tune_pruner="none"))
    for accuracy in (0.8, 0.9, 0.9):
        search.complete(ask(search).number, {"validation_accuracy": accuracy}, 1.0)
    assert [each.number for each in search.front] == [2]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_no_point_is_trained_twice_and_a_finite_space_ends_the_search(file: Path, sampler: str) -> None:
    lines: Lines = []
    space = "lr=0.01,0.02; batch_size=16,32; epochs=1:3"
    given = settings(tune_trials=60, tune_space=space, tune_sampler=sampler, epochs=9)
    search = Search(file, given, lines.append)
    trained = search_all(search)
    assert len(trained) == 2 * 2 * 3
    points = {tuple(each.values.items()) for each in search.finished}
    assert len(points) == 12
    assert search.reason == "all 12 combinations were tried"
    assert [each.number for each in search.finished] == list(range(1, len(search.finished) + 1))
    repeats = [each for each in search.finished if each.repeats is not None]
    assert repeats
    for each in repeats:
        twin = search.finished[each.repeats - 1] if each.repeats else each
        assert (twin.number, twin.repeats) == (each.repeats, None)
        assert (twin.values, twin.objective, twin.state) == (each.values, each.objective, each.state)
        assert f" as trial {twin.number} with the same values" in lines[each.number - 1]
    # Never three in a row: so 12 trainings take 12 + 2 * 11 trials at most.
    in_a_row = "".join("r" if each.repeats else "t" for each in search.finished)
    assert "rrr" not in in_a_row
    assert search.best is not None
    assert search.best.repeats is None


def test_values_that_clash_fail_without_being_trained(file: Path) -> None:
    search = Search(file, settings(tune_trials=20, freeze="backbone", tune_space="mixup=0.0,0.2; lr=0.001:0.1:log"))
    while trial := search.ask():
        assert trial.values["mixup"] == 0.0
        search.complete(trial.number, {"validation_accuracy": 0.5}, 1.0)
    failed = [each for each in search.finished if each.state == "failed"]
    assert failed
    assert all(each.values["mixup"] == 0.2 for each in failed)
    assert str(failed[0].reason).startswith("mixup: mixes pixels")


def test_no_trial_begins_when_the_minutes_are_over(file: Path) -> None:
    now = [100.0]
    given = settings(tune_minutes=2)
    search = Search(file, given, clock=lambda: now[0])
    now[0] += 70
    complete(search, [0.5])
    search.close()
    # Another process, whose clock stands elsewhere: 70 seconds are gone, 50 are left.
    now[0] = 9000.0
    search = Search(file, given, clock=lambda: now[0])
    assert search.seconds == 70
    now[0] += 49
    complete(search, [0.5])
    assert search.document("running")["reason"] is None
    now[0] += 1
    assert search.ask() is None
    assert search.reason == "tune_minutes: 2 minutes are over"
    assert [each.started for each in search.finished] == [70, 119]


def test_a_search_without_a_completed_trial_says_why(file: Path) -> None:
    search = Search(file, settings(tune_trials=2))
    assert search.failure == "the search ended before any trial did"
    search.fail(ask(search).number, "out of memory", 1.0)
    assert search.failure == "the only trial failed: out of memory"
    search.fail(ask(search).number, "the loss is NaN", 1.0)
    assert search.ask() is None
    assert search.failure == "all 2 trials failed; the first one: out of memory"
    search = Search(file, changed(search.settings, trials=3))
    search.prune(ask(search).number, 1.0)
    assert search.failure == "none of 3 trials was trained to its end, 2 failed; the first one: out of memory"
    search = Search(file, changed(search.settings, trials=4))
    search.complete(ask(search).number, {"validation_accuracy": 0.5}, 1.0)
    assert search.failure is None


def test_only_a_running_trial_can_be_ended(file: Path) -> None:
    search = Search(file, settings())
    trial = ask(search)
    search.prune(trial.number, 1.0)
    with pytest.raises(ValueError, match="trial 1 is not running"):
        search.complete(trial.number, {"validation_accuracy": 0.5}, 1.0)
    with pytest.raises(ValueError, match="trial 7 is not running"):
        search.report(7, 1, {"validation_accuracy": 0.5})


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_threads_lose_and_double_no_trial(file: Path, pruner: str) -> None:
    given = settings(tune_trials=40, tune_parallel=4, tune_pruner=pruner)
    search = Search(file, given, lambda _: None)
    together = threading.Barrier(4)

    def work() -> list[int]:
        numbers = []
        together.wait()
        while trial := search.ask():
            train(search, trial)
            numbers.append(trial.number)
        return numbers

    with ThreadPoolExecutor(4) as pool:
        trained = [number for each in [pool.submit(work) for _ in range(4)] for number in each.result()]
    assert Counter(trained) == dict.fromkeys(range(1, 41), 1)
    assert len({tuple(each.values.items()) for each in search.finished}) == 40
    before = outcome(search)
    search.close()
    assert outcome(Search(file, given)) == before
