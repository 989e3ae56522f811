"""What the charts of both pages are made of: figures, spans, curves, shades; positions are worked out by hand."""

import math
import re
from collections.abc import Sequence
from typing import Any

import pytest

from contract.rules.verdict import Finding
from reports.charts.heat_map import HeatMap, Mark, binned, cells, heat_map
from reports.charts.lanes import Span, merged
from reports.charts.losses import StepAxis, curves, loss_chart, smoothed
from reports.charts.shades import ShadeScale, logarithmic_scale, share_scale, update_scale
from reports.units import figure, in_unit, seconds, shortened, size
from tests.train.reports import debugger_report, verdict

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"), (0.5, "0.5"), (12.345, "12.3"), (1234.4, "1,234"), (123_456, "1.23e5"), (0.00099, "9.9e\u22124"),
        (-3.2, "\u22123.2"), ("nan", "NaN"), ("inf", "\u221e"), ("-inf", "\u2212\u221e"), (None, "\u2013"),
        ("no number", "\u2013"),
    ],
)  # fmt: skip
def test_figures(value: object, words: str) -> None:
    assert figure(value) == words


def test_units() -> None:
    words = [seconds(each).replace("\u00a0", " ") for each in (0.00042, 0.085, 4.23, 59.96, 185, 7620, None)]
    assert words == ["0.42 ms", "85 ms", "4.2 s", "1 min 00 s", "3 min 05 s", "2 h 07 min", "\u2013"]
    # 3.4e6 / 1024² = 3.24; 1023.9 rounds to 1024, which is the next unit.
    assert [size(each).replace("\u00a0", " ") for each in (512, 3.4e6, 1023.9)] == ["512 B", "3.24 MiB", "1 KiB"]
    assert in_unit(41.26, "percent") == "41.3\u00a0%"
    assert in_unit(2048, "bytes/s") == "2\u00a0KiB/s"
    assert in_unit(2, "images/s") == "2\u00a0images/s"


def test_near_spans_become_one() -> None:
    spans = [Span(5, 6), Span(0, 1), Span(1.5, 2, 3), Span(9, 9)]
    assert merged(spans, 0.5) == (Span(0, 2, 4), Span(5, 6), Span(9, 9))
    assert merged(spans, 0.4) == (Span(0, 1), Span(1.5, 2, 3), Span(5, 6), Span(9, 9))
    # A short one inside a long one doesn't end it.
    assert merged([Span(0, 9), Span(1, 2), Span(9, 10)], 0) == (Span(0, 10, 3),)


def test_global_steps_lie_between_training_steps() -> None:
    # Training steps 0, 1 and 2 are the global ones 0, 1 and 4: 2 and 3 were validation.
    axis = StepAxis([[0, 0, 1.0], [1, 1, 1.0], [2, 4, 1.0]])
    # The global step 2 is one of the three from 1 to 4: 1 + 1/3.
    assert [axis(step) for step in (-1, 0, 1, 2, 4, 9)] == pytest.approx([0, 0, 1, 4 / 3, 2, 2])
    assert StepAxis([])(7) == 7


def flat(points: Sequence[tuple[float, float]]) -> list[float]:
    return [value for point in points for value in point]


def test_the_average_is_centred() -> None:
    # 80 points: a twentieth are 4, so 2 on each side, and the point itself.
    line = [(float(x), float(x)) for x in range(80)]
    assert flat(smoothed(line)[2:-2]) == pytest.approx(flat(line[2:-2]))
    # The first is the mean of 0, 1, 2, the second of 0 to 3; the last of 77, 78, 79.
    assert [smoothed(line)[place][1] for place in (0, 1, -1)] == pytest.approx([1.0, 1.5, 78.0])
    spike = [(float(x), 5.0 if x == 40 else 0.0) for x in range(80)]
    assert [y for _, y in smoothed(spike)[37:44]] == pytest.approx([0, 1, 1, 1, 1, 1, 0])
    broken = [(x, NAN if x == 40 else y) for x, y in spike]
    assert [y for _, y in smoothed(broken)[38:43]] == pytest.approx([0, 0, NAN, 0, 0], nan_ok=True)


def small(**more: Any) -> dict[str, Any]:
    """Training losses 2, 1, 0.5 at steps 0, 50, 100; validations after 50 and 100, of two and one saved batches."""
    losses = {
        "TRAIN": [[0, 0, 2.0], [50, 50, 1.0], [100, 103, 0.5]],
        "EVAL": [[0, 51, 1.4], [1, 52, 1.2], [2, 104, 0.9]],
    }
    return debugger_report(trends={"losses": losses}, **more)


def attributes_of(chart: Any, pattern: str) -> list[Any]:
    return re.findall(pattern, str(chart))


def test_the_losses_lie_where_they_belong() -> None:
    rule = verdict("Overfit", [Finding("too large", 0.4, 103, "TRAIN", 100), Finding("too large", 0.4, 52, "EVAL", 1)])
    found = curves(small())
    assert found.train == [(0, 2.0), (50, 1.0), (100, 0.5)]
    # 51 is 1/53 of the way from 50 to 103: 50 + 50/53, 52 twice that; 104 is after the last, so on it.
    assert flat(found.validation_dots) == pytest.approx([50 + 50 / 53, 1.4, 50 + 100 / 53, 1.2, 100, 0.9])
    assert flat(found.validation) == pytest.approx([50 + 75 / 53, 1.3, 100, 0.9])
    chart = loss_chart(small(rules=[rule]))
    # 882 pixels from 64 on for 100 steps, 280 from 26 on for losses from 2 * 1.05 = 2.1 to 0: 1.0 is at
    # 26 + 280 * (1 - 1 / 2.1) = 172.7, 2.0 at 39.3, 0.5 at 239.3.
    assert attributes_of(chart, r'points="([^"]+)" class="raw"') == ["64.0,39.3 505.0,172.7 946.0,239.3"]
    # Two bars of 3 pixels: at 946, and at 64 + 8.82 * (50 + 100/53) = 521.64.
    bars = attributes_of(chart, r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="8" class="span warn"')
    assert bars == [("520.14", "3"), ("944.5", "3")]
    assert "training loss from 2 to 0.5, validation loss from 1.3 to 0.9; marked where rules fired: Overfit" in str(
        chart
    )
    assert "\u25b2 Overfit (2)" in str(chart)


def test_whole_validations_are_preferred() -> None:
    rows = [{"epoch": 1, "validation_loss": 1.25}, {"epoch": 2, "validation_loss": 0.8, "train_loss": 0.5}]
    found = curves(small(epochs=rows, steps_per_epoch=50))
    assert found.validation == [(50, 1.25), (100, 0.8)]
    chart = str(loss_chart(small(epochs=rows, steps_per_epoch=50)))
    assert attributes_of(chart, r'<text x="([\d.]+)" y="16"[^>]*>([^<]+)</text>') == [("505", "epoch 1"), ("946", "2")]


def test_losses_that_are_no_numbers_break_the_line() -> None:
    rows = [[k, k, value] for k, value in enumerate([2.0, 1.9, "nan", 1.8, 1.7, "inf"])]
    chart = loss_chart(debugger_report(trends={"losses": {"TRAIN": rows, "EVAL": []}}))
    assert len(attributes_of(chart, 'class="raw"')) == 2
    assert len(attributes_of(chart, 'class="broken"')) == 2
    assert "loss is NaN or infinite" in str(chart)
    assert "training loss from 2 to \u221e" in str(chart)
    nothing_else = loss_chart(debugger_report(trends={"losses": {"TRAIN": [[0, 0, "nan"]], "EVAL": []}}))
    assert len(attributes_of(nothing_else, 'class="broken"')) == 1


def test_a_wide_range_of_losses_gets_a_logarithmic_axis() -> None:
    rows = [[k, k, 10.0 ** (k - 2)] for k in range(5)]
    chart = str(loss_chart(debugger_report(trends={"losses": {"TRAIN": rows, "EVAL": []}})))
    assert "loss, log scale" in chart
    # Four decades on 280 pixels: 70 each.
    assert 'points="64.0,306.0 284.5,236.0 505.0,166.0 725.5,96.0 946.0,26.0" class="raw"' in chart


def test_cells_merge_by_shade_and_keep_their_place() -> None:
    scale = ShadeScale((1.0, 10.0), ("s0", "s5", "s10"), logarithmic=True)
    assert [scale.shade(value) for value in (0.5, 1.0, 9.9, 10.0, 0.0, NAN, INF, None)] == [
        "s0", "s5", "s5", "s10", "zero", "nan", "inf", None,
    ]  # fmt: skip
    drawn = "".join(cells([[0.5, 0.6, 20.0], [NAN, None, 0.5]], [0, 10, 20, 30], 100, 5, scale, "k"))
    assert 'd="M0 100h20v5h-20zM20 105h10v5h-10z" class="cell s0"' in drawn
    assert 'd="M20 100h10v5h-10z" class="cell s10"' in drawn
    assert 'd="M0 105h10v5h-10z" class="cell nan" fill="url(#k-nan)"' in drawn
    assert '<pattern id="k-nan"' in drawn


def test_limits_are_round() -> None:
    # Three decades by 1, 2, 5; the first lies at 0.001 itself, which has nothing below.
    assert logarithmic_scale([[0.001, 1.0, 0.03, None, NAN, 0.0]]).limits == pytest.approx(
        (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
    )
    # Nine decades: by 1, 2, 5 they would be 27, by 1 and 3 18.
    nine = logarithmic_scale([[1e-8], [10.0]])
    assert nine.limits == pytest.approx([10.0**power for power in range(-7, 2)])
    assert nine.classes[0] == "s0"
    assert nine.classes[-1] == "s10"
    # Of 300 values the 3 largest are left out: one outlier doesn't take all shades.
    assert max(logarithmic_scale([[1.0 + k / 300 for k in range(299)] + [1e30]]).limits) < 2
    assert logarithmic_scale([[]]).limits == logarithmic_scale([[3.0, 3.0]]).limits == ()
    assert logarithmic_scale([[NAN]]).shade(NAN) == "nan"


def test_updates_and_shares_have_fixed_scales() -> None:
    update = update_scale()
    assert [update.shade(value) for value in (1e-9, 9e-5, 1e-4, 1e-3, 9e-3, 1e-2, 99)] == [
        "c4", "c1", "n0", "n1", "n1", "w1", "w4",
    ]  # fmt: skip
    assert share_scale().shade(0.0) == "s0"
    assert share_scale().shade(1.0) == "s10"
    assert share_scale(100.0).show(50.0) == "50 %"


def test_columns_are_binned_by_the_mean() -> None:
    row: list[float | None] = [1, 3, 5, None, NAN, 7, INF, 1, None, None, 4]
    (found,), group = binned([row], 6)
    assert group == 2
    assert found == pytest.approx([2, 5, NAN, INF, None, 4], nan_ok=True)
    assert binned([[1.0, 2.0]], 2) == ([[1.0, 2.0]], 1)


def test_a_heat_map_has_marks_and_notes() -> None:
    scale = share_scale()
    marks = [Mark(1, 2, "DeadRelu fired first at step 20, b")]
    drawn = heat_map(
        HeatMap("k", "Dead", ["a", "b"], [0, 10, 20, 30], [[0.0, 0.1, NAN, 0.2], [None] * 4], scale, marks=marks)
    )
    # 960 - 214 - 58 = 688 pixels for four columns of 172: the third's middle is 214 + 2.5 * 172 = 644. Rows are 18 high
    # from 22 on: the second's middle is 22 + 27 = 49.
    assert 'cx="644" cy="49" r="6" class="ring"' in drawn
    assert "DeadRelu fired first at step 20, b" in drawn
    assert (
        "a: first 0 %, last 20 %, least 0 % at step 0, most 20 % at step 30, NaN or infinite first at step 20" in drawn
    )
    assert "b: not saved" in drawn
    assert ">NaN</text>" in drawn
    assert shortened("backbone.layer4.1.conv2.weight", 12) == "back\u2026.weight"
