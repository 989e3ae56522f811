"""Where the tuning page's marks and lines lie, and which colours they have."""

import re
from typing import Any

import pytest

from reports.charts.parallel_coordinates import parallel_coordinates
from reports.charts.search import curves, history, slices
from reports.search_data import search_data
from tests.train.tuning_documents import ACCURACY, LOSS, document, trial

# Of accuracies trial 3 is the best, of losses trial 2.
VALUES = (0.5, 0.4, 0.7, 0.6, 0.65, 0.45, 0.55)
BOTH = pytest.mark.parametrize(
    ("objective", "best", "ranks"),
    # Seven trials have seven colours, 6 for the best.
    [(ACCURACY, 3, [2, 0, 6, 4, 5, 1, 3]), (LOSS, 2, [4, 6, 0, 2, 1, 5, 3])],
    ids=["accuracy", "loss"],
)


def made(objective: dict[str, Any], **more: Any) -> Any:
    rows = [[{"epoch": e, objective["metric"]: value * e / 2} for e in (1, 2)] for value in VALUES]
    trials = [trial(n, (value,), epochs=rows[n - 1]) for n, value in enumerate(VALUES, 1)]
    return search_data(document(trials, objectives=[objective], **more))


def points(text: str, name: str) -> list[tuple[float, float]]:
    """Of the polyline of that class."""
    found = re.search(rf'<polyline points="([^"]*)" class="{name}"', text)
    assert found is not None
    return [(float(x), float(y)) for x, y in (each.split(",") for each in found[1].split())]


@BOTH
def test_the_best_so_far_only_gets_better(objective: dict[str, Any], best: int, ranks: list[int]) -> None:
    drawing = str(history(made(objective)))
    line = points(drawing, "bestsofar")
    heights = list(dict.fromkeys(y for _, y in line))
    # Accuracies 0.5, then 0.7 (higher is further up); losses 0.5, then 0.4 (further down).
    assert len(heights) == 2
    assert (heights[1] < heights[0]) == objective["direction"].startswith("max")
    diamond = re.search(r'd="M([\d.]+) ([\d.]+)l6 7', drawing)
    assert diamond is not None
    # A diamond's path begins 7 pixels above its middle.
    assert line[-1][1] == pytest.approx(float(diamond[2]) + 7, abs=0.2)
    xs = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawing)]
    assert len(xs) == 6
    assert [each for each, _ in line if each == pytest.approx(float(diamond[1]), abs=0.2)] != []


@BOTH
def test_colours_are_ranks(objective: dict[str, Any], best: int, ranks: list[int]) -> None:
    found = parallel_coordinates(made(objective))
    assert found is not None
    groups = re.findall(r'<g class="coordinates (\w+)"><title>Trial (\d+)', str(found.chart))
    colours = {int(number): kind for kind, number in groups}
    expected = {number: f"v{rank}" for number, rank in enumerate(ranks, 1)}
    assert colours == {**expected, best: "winner"}
    # The best is drawn last, above all others.
    assert [int(number) for _, number in groups][-1] == best
    show = {"validation_accuracy": ("70.00 %", "40.00 %"), "validation_loss": ("0.4", "0.7")}[objective["metric"]]
    texts = [words.replace("\u00a0", " ") for _, words in found.legend]
    assert texts == [f"the best seventh, {show[0]} and better", "between", f"the worst, {show[1]} and worse"]


def test_equal_values_have_one_colour() -> None:
    found = parallel_coordinates(search_data(document([trial(n) for n in range(1, 9)])))
    assert found is not None
    assert re.findall(r'class="coordinates (\w+)"', str(found.chart)) == ["v6"] * 7 + ["winner"]
    assert found.legend == ()


def test_a_pruned_trial_stands_at_the_best_that_it_reached() -> None:
    rows = [{"epoch": e, "validation_accuracy": value} for e, value in ((1, 0.3), (2, 0.45), (3, None), (4, 0.4))]
    data = search_data(document([trial(1), trial(2, None, "pruned", epochs=rows)]))
    assert data.trials[1].shown == 0.45
    loss = [{"epoch": e, "validation_loss": value} for e, value in ((1, 3.0), (2, 2.5), (3, 2.75))]
    data = search_data(document([trial(1), trial(2, None, "pruned", epochs=loss)], objectives=[LOSS]))
    assert data.trials[1].shown == 2.5


def test_curves_rise_with_their_values() -> None:
    drawing = str(curves(made(ACCURACY)))
    ends = {
        int(number): (float(first), float(last))
        for number, first, last in re.findall(
            r"<title>Trial (\d+)[^<]*</title><polyline points=\"[\d.]+,([\d.]+) [\d.]+,([\d.]+)\"", drawing
        )
    }
    assert len(ends) == 7
    # Further up is better; the first epoch has half of the second's value.
    order = sorted(ends, key=lambda number: -ends[number][1])
    assert order == sorted(range(1, 8), key=lambda number: VALUES[number - 1])
    assert all(first > last for first, last in ends.values())
    # 0.7 at its end, 0.35 before; 0.4 and 0.2: pixels are in proportion.
    assert (ends[3][0] - ends[3][1]) / (ends[2][0] - ends[2][1]) == pytest.approx(0.35 / 0.2, rel=0.01)


def test_dots_of_one_choice_lie_side_by_side_within_it() -> None:
    trials = [
        trial(n, (0.5,), values={"batch_size": 32 if n % 2 else 64, "lr": 0.01, "epochs": 2}) for n in range(1, 41)
    ]
    found = next(each for each in slices(search_data(document(trials))) if each.name == "batch_size")
    places: dict[str, list[float]] = {"32": [], "64": []}
    for x, value in re.findall(r'<circle[^>]*cx="([\d.]+)"[^>]*><title>Trial \d+: batch_size (\d+)', str(found.chart)):
        places[value].append(float(x))
    # 250 pixels for four choices, from 56 on: 32 has 118.5 to 181, 64 the next 62.5.
    assert [len(each) for each in places.values()] == [19, 20]
    for (low, high), each in zip(((118.5, 181.0), (181.0, 243.5)), places.values(), strict=True):
        assert low < min(each)
        assert max(each) < high
        assert len(set(each)) >= 18
