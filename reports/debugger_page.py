"""debugger-report.html: what the rules found in the tensors, and the trends that they judged."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from reports.advice import Hint
from reports.charts.heat_map import MOST_COLUMNS, HeatMap, Mark, heat_map
from reports.charts.losses import TRAINING, curves, loss_chart
from reports.charts.shades import UPDATE_SOURCE, ShadeScale, logarithmic_scale, share_scale, update_scale
from reports.page import render
from reports.rule_table import RuleRow, first_sentences, layer, of_document, rule_rows
from reports.units import figure, real


@dataclass(frozen=True)
class Trend:
    """A heat map and its words. rows: a layer's name, and its first, last, least and most."""

    key: str
    title: str
    words: str
    chart: Markup
    rows: tuple[tuple[str, ...], ...]
    group: int  # saved steps in a cell
    marked: bool


@dataclass(frozen=True)
class TrendKind:
    """A quantity that the page shows as a heat map. rules: those that judge it; scale: of its values."""

    title: str
    words: str
    rules: tuple[str, ...]
    scale: Callable[[Sequence[Sequence[float | None]]], ShadeScale]


# By the report's keys. ExplodingTensor names gradients or weights by the tensor itself.
_KINDS: Final = {
    "gradient_norm": TrendKind(
        "Gradient norms",
        """L2 norm of each parameter\u2019s gradient. Where it fades towards the first layers, it vanishes;
        where columns turn dark, it explodes.""",
        ("VanishingGradient", "ExplodingTensor", "AllZero", "TensorVariance", "PoorWeightInitialization"),
        logarithmic_scale,
    ),
    "weight_norm": TrendKind(
        "Weight norms",
        """L2 norm of each parameter. It should move little and smoothly; a rise without end asks for
        weight_decay or a lower lr.""",
        ("ExplodingTensor", "AllZero", "UnchangedTensor", "PoorWeightInitialization"),
        logarithmic_scale,
    ),
    "update_ratio": TrendKind(
        "Update ratios",
        f"""Mean size of one step\u2019s update over the mean size of the weights. As a rule of thumb, about
        0.001 is healthy ({UPDATE_SOURCE}): from 0.0001 to 0.01 it is pale here. Below, in blue, lr may be too low;
        above, in red, too high.""",
        ("WeightUpdateRatio", "ExplodingTensor"),
        lambda _: update_scale(),
    ),
    "dead_relu_share": TrendKind(
        "Dead ReLUs",
        """Share of a layer\u2019s units (channels) that are active in less than 1 % of their outputs.
        They pass on nothing and learn nothing.""",
        ("DeadRelu",),
        lambda _: share_scale(),
    ),
}


def debugger_page(document: Mapping[str, Any]) -> bytes:
    """The page as UTF-8 HTML, from a debugger report (docs/debugger.md)."""
    rows = rule_rows(document["rules"])
    trends = document.get("trends") or {}
    outcome = of_document(document, "outcome")
    by_key = [_trend(key, trends.get(key), document) for key in _KINDS]
    return render(
        "debugger.html",
        report=document,
        outcome=outcome,
        rows=rows,
        fired=sum(row.fired for row in rows),
        advice=_advice(outcome.sentence if outcome.bad else "", rows),
        losses=loss_chart(document),
        ends=_ends(document),
        trends=[trend for trend in by_key if trend is not None],
        missing=[kind.title for kind, trend in zip(_KINDS.values(), by_key, strict=True) if trend is None],
    )


def _advice(reason: str, rows: Sequence[RuleRow]) -> list[Hint]:
    first = [Hint(f"The run did not complete. {reason}", "figures")] if reason else []
    return first + first_sentences(rows, "data point/data points")


def _ends(document: Mapping[str, Any]) -> dict[str, str | None]:
    """The last loss of training and of validation."""
    losses = curves(document)
    return {
        "train": figure(losses.train[-1][1]) if losses.train else None,
        "validation": figure(losses.validation[-1][1]) if losses.validation else None,
    }


def _trend(key: str, trend: Mapping[str, Any] | None, document: Mapping[str, Any]) -> Trend | None:
    """The heat map of a trend; None when nothing of it was saved."""
    if not trend or not trend.get("layers") or not trend.get("steps"):
        return None
    steps = [float(step) for step in trend["steps"]]
    values = [[real(value) for value in row][: len(steps)] for row in trend["values"]]
    values = [row + [None] * (len(steps) - len(row)) for row in values]
    if all(value is None for row in values for value in row):
        return None
    names = [layer(str(name)) for name in trend["layers"]]
    kind = _KINDS[key]
    scale = kind.scale(values)
    marks = _marks(names, steps, document["rules"], key)
    label = (
        f"{kind.title} of {len(names)} layers over {len(steps)} saved steps, from step {steps[0]:g} to {steps[-1]:g}"
    )
    chart = heat_map(HeatMap(key, label, names, steps, values, scale, marks=marks))
    rows = tuple((name, *_figures(row, scale)) for name, row in zip(names, values, strict=True))
    return Trend(key, kind.title, kind.words, chart, rows, math.ceil(len(steps) / MOST_COLUMNS), bool(marks))


def _figures(row: Sequence[float | None], scale: ShadeScale) -> tuple[str, ...]:
    saved = [value for value in row if value is not None]
    if not saved:
        return (figure(None),) * 4
    finite = [value for value in saved if math.isfinite(value)] or saved
    return tuple(scale.show(value) for value in (saved[0], saved[-1], min(finite), max(finite)))


def _marks(names: Sequence[str], steps: Sequence[float], rules: Sequence[Mapping[str, Any]], key: str) -> list[Mark]:
    """Where a rule first fired, on each layer that the map shows."""
    first: dict[str, tuple[float, Mark]] = {}
    for rule in rules:
        if rule["status"] != "IssuesFound" or rule["name"] not in _KINDS[key].rules:
            continue
        for finding in rule.get("findings") or []:
            tensor, step = str(finding.get("tensor") or ""), real(finding.get("mode_step"))
            name = layer(tensor)
            if step is None or finding.get("mode") not in TRAINING or name not in names or not _is_of(tensor, key):
                continue
            column = min(range(len(steps)), key=lambda k: abs(steps[k] - step))
            text = f"{rule['name']} fired first at step {step:g}, {name}"
            mark = Mark(list(names).index(name), column, text)
            first[name] = min(first.get(name, (step, mark)), (step, mark), key=lambda item: item[0])
    return [mark for _, mark in first.values()]


def _is_of(tensor: str, key: str) -> bool:
    """Whether a finding on this tensor belongs on the map: gradients and weights of one layer differ by their start."""
    return tensor.startswith("gradient/") == (key == "gradient_norm")
