"""tuning-report.html: what it says, how many marks its plots have, and that any search gives a page."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from backends.inputs import parse_settings
from contract.hyperparameters import Hyperparameters
from reports.search_data import search_data
from reports.tuning_page import MOST_ROWS, best_configuration, tuning_page
from tests.train.pages import Seen, check_anchors
from tests.train.tuning_documents import (
    ACCURACY,
    LATENCY,
    LOSS,
    LR,
    SPACE,
    WIDE,
    document,
    made_up,
    searched,
    trial,
)

TEN = [trial(n, (0.5 + 0.01 * n,)) for n in range(1, 11)]


def seen_of(made: dict[str, Any]) -> Seen:
    # Through JSON, as the page's documents come.
    seen = Seen(tuning_page(json.loads(json.dumps(made, allow_nan=False))))
    check_anchors(seen)
    return seen


def words(seen: Seen) -> str:
    return " ".join(seen.text.replace("\u00a0", " ").split())


def section(made: dict[str, Any], name: str) -> str:
    page = tuning_page(made).decode()
    return page.split(f'<section id="{name}"', 1)[1].split("</section>", 1)[0]


def marks(text: str) -> dict[str, int]:
    """How many marks of each kind a plot has."""
    found = re.findall(r'class="(?:trial|curve|coordinates) (\w+)', text)
    return {name: found.count(name) for name in sorted(set(found))}


@pytest.mark.parametrize(
    "made",
    [made_up(60), made_up(60, objectives=(LOSS,)), made_up(60, WIDE), made_up(60, objectives=(ACCURACY, LATENCY))],
    ids=["accuracy", "loss", "wide", "two"],
)
def test_every_trial_has_a_mark_in_every_plot(made: dict[str, Any]) -> None:
    counts = made["counts"]
    assert min(counts.values()) >= 2
    expected = {
        "completed": counts["completed"] - 1, "failed": counts["failed"], "pruned": counts["pruned"], "winner": 1,
    }  # fmt: skip
    assert marks(section(made, "history")) == expected
    slices = section(made, "slices").split("<figure")[1:]
    assert len(slices) == len(made["space"])
    assert [marks(each) for each in slices] == [expected] * len(slices)
    assert marks(section(made, "learning")) == expected
    lines = marks(section(made, "parallel"))
    assert (lines["winner"], lines["faint"]) == (1, counts["pruned"] + counts["failed"])
    assert sum(lines.values()) == 60
    assert {name for name in lines if name.startswith("v")} == {f"v{k}" for k in range(7)}


def test_the_pareto_front_is_marked() -> None:
    # Trial 3 has less accuracy and more latency than trial 2; the others are each best in something.
    trials = [trial(n, each) for n, each in enumerate([(0.9, 9.0), (0.8, 5.0), (0.7, 6.0), (0.6, 4.0)], 1)]
    made = document(trials, objectives=[ACCURACY, LATENCY], front=[1, 2, 4])
    plot = section(made, "pareto")
    assert marks(plot) == {"completed": 1, "winner": 3}
    assert "latency over validation accuracy of 4 trials; 3 of them are the Pareto front" in plot
    text = words(seen_of(made))
    assert "3 trials are the Pareto front: none is better than they are in validation accuracy and latency" in text
    assert "trial 1, latency 9 ms" in text
    assert text.count("completed front") == 2
    assert "pareto" not in {each.get("id") for each in seen_of(document(TEN)).all("section")}


def test_the_best_value_and_the_counts() -> None:
    made = document([*TEN, trial(11, None, "failed"), trial(12, None, "pruned")], trials_wanted=20, interruptions=1,
                    state="stopped", reason="tune_minutes: 30 minutes are over")  # fmt: skip
    text = words(seen_of(made))
    # The median of 0.51 to 0.60 is 0.555.
    assert "Best validation accuracy 60.00 % trial 10; the median trial has 55.50 %" in text
    assert "Search stopped early" in text
    assert "stopped. tune_minutes: 30 minutes are over." in text
    assert "12 of 20 10 completed, 1 pruned, 1 failed" in text
    assert "1 min 02 s 1 trial interrupted and begun again" in text
    assert "Importance Left out: there are too few completed trials" in text
    all_tried = words(seen_of(document(TEN, reason="all 10 combinations were tried")))
    assert "Search completed" in all_tried
    assert "completed. all 10 combinations were tried." in all_tried


def test_the_best_configuration_can_be_used_as_it_stands() -> None:
    chosen = Hyperparameters(lr=0.0123456789, batch_size=64, epochs=4, freeze="backbone", rules="Overfit:patience=3 x")
    every = {name: getattr(chosen, name) for name in Hyperparameters.__dataclass_fields__}
    values = {"lr": 0.0123456789, "batch_size": 64, "epochs": 4}
    made = document([trial(1, values=values)], hyperparameters=every)
    found = best_configuration(made, search_data(made))
    assert found is not None
    given = shlex.split(found.options)
    assert given[::2] == ["--set"] * 5
    assert Hyperparameters.parse(parse_settings(given[1::2])) == chosen
    assert Hyperparameters.parse(json.loads(found.file)) == chosen
    assert found.rows[0][:3] == ("lr", "0.001 to 0.1, logarithmic", "0.01235")
    text = words(seen_of(made))
    assert f"python deploy.py train --data DATA {found.options}" in text
    assert "python deploy.py train --from-tuning RUN" in text


@pytest.mark.parametrize(
    ("winner", "expected"),
    [
        ({"trained": True, "metrics": {"validation_accuracy": 0.6}, "reproduced": True}, "as in the trial"),
        ({"trained": True, "metrics": {"validation_accuracy": 0.4}, "reproduced": False}, "not reproduced"),
        ({"trained": True, "metrics": {}, "reproduced": None}, "not compared with the trial\u2019s"),
        ({"trained": False, "metrics": {}, "reproduced": None}, "the winner was not trained"),
        (None, ""),
    ],
)  # fmt: skip
def test_whether_the_winners_training_reproduced_it(winner: dict[str, Any] | None, expected: str) -> None:
    text = words(seen_of(document(TEN, winner=winner)))
    assert expected in text
    assert ("Winner\u2019s training" in text) == (winner is not None)
    assert ("This job has done it" in text) == bool(winner and winner["trained"])
    # While trials run, there is no winner to be trained.
    running = words(seen_of(document(TEN, winner=winner, state="running")))
    assert ("Winner\u2019s training" in running) == bool(winner and winner["trained"])
    sentence = "did not reproduce the trial\u2019s validation accuracy: 40.00 % instead of 60.00 %."
    assert (sentence in text) == (expected == "not reproduced")


FAILED = [trial(n, None, "failed", reason="out of memory; lower batch_size") for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("made", "heading", "expected"),
    [
        (document([], state="running", trials_wanted=20), "Search is running", "No trial has ended yet."),
        (document([trial(1, None, "running", epochs=[])], state="running"), "Search is running", "has ended yet."),
        (document(FAILED), "Search found nothing", "Every trial failed. All for the same reason: out of memory; lower"),
        (document([trial(1, None, "pruned")]), "Search found nothing", "No trial was trained to its end"),
        (document([], state="stopped", reason="Ctrl-C"), "Search stopped early", "No trial has ended yet."),
        (document([trial(1)]), "Search completed", "Trial 1 is the best: validation accuracy 50.00 %."),
        (document([trial(1), trial(2, None, "running")], state="running"), "Search is running", "Trial 1 is the best"),
        (document([trial(n) for n in range(1, 9)]), "Search completed", "as good as the median of 8 completed trials"),
        (document([trial(1, (3.5,)), trial(2, (2.5,))], objectives=[LOSS]), "completed", "validation loss 2.5."),
        (document([trial(1, epochs=[], metrics={})], [LR]), "Search completed", "Trial 1 is the best"),
    ],
    ids=["none", "first-runs", "failed", "pruned", "stopped", "one", "running", "equal", "minimised", "no-epochs"],
)
def test_any_search_gives_a_page(made: dict[str, Any], heading: str, expected: str) -> None:
    text = words(seen_of(made))
    assert heading in text
    assert expected in text


def test_a_space_of_one_point() -> None:
    one: list[dict[str, Any]] = [{"name": "lr", "kind": "continuous", "low": 0.01, "high": 0.01, "scale": "log"},
           {"name": "batch_size", "kind": "categorical", "values": [32]},
           {"name": "epochs", "kind": "integer", "low": 2, "high": 2, "scale": "linear"}]  # fmt: skip
    made = document([trial(n) for n in (1, 2, 3)], one)
    assert "end of its range" not in words(seen_of(made))
    assert [marks(each) for each in section(made, "slices").split("<figure")[1:]] == [{"completed": 2, "winner": 1}] * 3


def test_repeated_trials_name_the_first() -> None:
    again = [trial(4, (0.5,), repeats=3, epochs=[]), trial(5, None, "pruned", repeats=2, epochs=[], reason=None)]
    made = document([trial(1), trial(2, None, "pruned"), trial(3), *again])
    text = words(seen_of(made))
    assert "as trial 3" in text
    assert "2 trials repeat values of an earlier one" in text
    # Trial 2 was pruned at an accuracy of 20 %, where trial 5 stands with it.
    assert marks(section(made, "history")) == {"completed": 2, "pruned": 2, "winner": 1}
    assert section(made, "history").count("pruned, validation accuracy 20.00") == 2


def test_long_reasons_are_cut() -> None:
    made = document([trial(1), trial(2, None, "failed", reason="x" * 100_000)])
    page = tuning_page(made)
    assert len(page) < 100_000
    assert "\u2026 (all of it is in the JSON file)" in page.decode()


def test_an_objective_that_no_epoch_has() -> None:
    made = made_up(12, objectives=(LATENCY,))
    text = words(seen_of(made))
    assert "latency is known at a trial\u2019s end only; this is validation accuracy." in text
    assert "Learning curves: validation accuracy over the epochs of 12 trials" in section(made, "learning")
    # The best has the least: 4 ms and some.
    assert re.search(r"Best latency 4\.\d+ ms", text)


HOSTILE = "<script>alert(1)</script>\"'\u202e"


def test_names_and_values_stay_text() -> None:
    space: list[dict[str, Any]] = [{"name": HOSTILE, "kind": "categorical", "values": [HOSTILE, "b"]}, LR]
    values = {HOSTILE: HOSTILE, "lr": 0.01}
    made = document(
        [trial(1, values=values, run=HOSTILE), trial(2, None, "failed", values=values, reason=HOSTILE)],
        space, objectives=[{"metric": HOSTILE, "direction": "maximize"}], notes=[HOSTILE], reason=HOSTILE,
        sampler=HOSTILE, kennel=HOSTILE, base={HOSTILE: HOSTILE},
        importance={"method": HOSTILE, "objective": HOSTILE, "values": {HOSTILE: 0.7, "lr": 0.3}, "trials": 9},
    )  # fmt: skip
    page = tuning_page(made)
    seen = Seen(page)
    assert len(seen.all("script")) == 1
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert "\u202e" not in page.decode()
    assert seen.text.count("<script>alert(1)</script>\"'\\u202e") >= 12
    policy = str(seen.all("meta")[1]["content"])
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


def test_200_trials_over_ten_hyperparameters_stay_below_1500_kilobytes() -> None:
    made = made_up(200, WIDE)
    page = tuning_page(made)
    assert 300_000 < len(page) < 1_500_000
    assert page.decode().count('<tr id="trial-') == 200


def test_very_many_trials_keep_the_best() -> None:
    made = document([trial(n, (n / 10_000,)) for n in range(1, MOST_ROWS + 501)])
    page = tuning_page(made)
    assert len(page) < 4_000_000
    assert page.decode().count('<tr id="trial-') == MOST_ROWS
    assert f'<tr id="trial-{MOST_ROWS + 500}"' in page.decode()
    assert '<tr id="trial-500"' not in page.decode()


def test_the_page_of_a_real_search(tmp_path: Path) -> None:
    made = searched(tmp_path / "search.journal", 12)
    assert made["counts"]["failed"] == 1
    text = words(seen_of(made))
    assert f"Trial {made['best']} is the best" in text
    assert "run-3" in text
    counts = {
        "completed": made["counts"]["completed"] - 1,
        "failed": 1,
        "pruned": made["counts"]["pruned"],
        "winner": 1,
    }
    assert marks(section(made, "history")) == {name: n for name, n in counts.items() if n}
    space = "lr=0.001:0.1:log; batch_size=16,32"
    objectives = "validation_accuracy,latency_ms"
    two = searched(tmp_path / "two.journal", 12, tune_space=space, tune_objective=objectives, epochs=2)
    assert len(two["front"]) > 1
    assert marks(section(two, "pareto"))["winner"] == len(two["front"])


def test_what_was_searched_stands_beside_the_best() -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", section(document(TEN, SPACE), "best").replace("<wbr>", ""))
    cells = [re.findall(r"<bdi>(.*?)</bdi>", row) for row in rows[1:]]
    assert cells == [
        ["lr", "0.01", "0.001 to 0.1, logarithmic"], ["batch_size", "32", "16, 32, 64, 128"], ["epochs", "2", "2 to 5"],
    ]  # fmt: skip
