"""What a search suggests: sentences made from its figures, with how far they can be trusted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from contract.hyperparameters import Hyperparameters
from reports.advice import Hint
from reports.charts.parameter_axes import ParameterAxis, value_text
from reports.search_data import SearchData, SearchTrial, finite
from reports.units import count, percent, seconds, sentence

_EDGE: Final = 0.05  # of a range, on its scale
_LEAST_AT_EDGE: Final = 3  # completed trials below which an edge says nothing
_BEST: Final = 5  # trials that are counted at the edge
_CHOICES: Final = 3  # numbers to choose from that have an edge


@dataclass(frozen=True)
class Edge:
    """limit: the hyperparameter may go no further. near: how many of the `of` best trials lie at this edge."""

    axis: ParameterAxis
    value: Any
    upper: bool
    limit: bool
    near: int
    of: int


def edges(data: SearchData) -> Iterator[Edge]:
    """The hyperparameters of which the best trial has an end of the range, or the largest or least choice."""
    ranked = [trial for trial in data.ranked() if trial.repeats is None]
    if data.best is None or len(ranked) < _LEAST_AT_EDGE:
        return
    best = ranked[:_BEST]
    for axis in data.axes:
        value = data.best.values.get(axis.name)
        side = _side(axis, value)
        if side is not None:
            near = sum(1 for trial in best if _side(axis, trial.values.get(axis.name)) is side)
            yield Edge(axis, value, side, _limited(axis, side), near, len(best))


def _side(axis: ParameterAxis, value: Any) -> bool | None:
    """True at the upper end, False at the lower; None between them."""
    if axis.kind == "categorical":
        numbers = [choice for choice in axis.choices if _is_number(choice)]
        if len(numbers) < max(_CHOICES, len(axis.choices)) or not _is_number(value):
            return None
        return True if value == max(numbers) else False if value == min(numbers) else None
    if not axis.high > axis.low:
        return None
    place = axis.place(value)
    if place is None:
        return None
    if axis.kind == "integer":
        # Of few whole numbers a twentieth of the range is less than one.
        place = 1.0 if value == axis.high else 0.0 if value == axis.low else place
    return True if place >= 1 - _EDGE else False if place <= _EDGE else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _limited(axis: ParameterAxis, upper: bool) -> bool:
    """Whether the bounds of hyperparameters ends at this edge too."""
    bounds = {field.name: field.metadata for field in fields(Hyperparameters)}
    about = bounds.get(axis.name)
    if about is None or about.get("kind") not in ("integer", "float"):
        return False
    ends = [choice for choice in axis.choices if _is_number(choice)] or [axis.low, axis.high]
    return bool(max(ends) >= about["high"] if upper else min(ends) <= about["low"])


_EQUAL: Final = 0.8  # of the first importance: the second one is about as important
_ROUGH: Final = 100  # trials below which importances are called rough
_LATE: Final = 0.85  # of the trials: a best one that comes later may be bettered soon
_EARLY: Final = 0.5
_LEAST: Final = 10  # trials below which nothing is said about early and late
_CLOSE: Final = 0.005  # of a share: as good as the best
_CHEAP: Final = 0.5  # of the best trial's time


def tuning_advice(document: Mapping[str, Any], data: SearchData) -> list[Hint]:
    """Sentences on a search, what matters most first."""
    running = document["state"] == "running"
    return [
        *_reproduced(document.get("winner") or {}, data),
        *_nothing(data),
        *_best(data),
        *_importance((document.get("importance") or {}).get("trials"), data),
        *_edges(data),
        *_epochs(data),
        *_cheaper(data),
        *([] if running else _late(data)),
        *_front(data),
        *_failed(data),
        *_repeats(data),
    ]


def _reproduced(winner: Mapping[str, Any], data: SearchData) -> Iterator[Hint]:
    if winner.get("trained") and winner.get("reproduced") is False and data.best is not None:
        value = finite((winner.get("metrics") or {}).get(data.objective.metric))
        got = f": {data.objective.show(value)} instead of {data.objective.show(data.best.shown)}" if value else ""
        yield Hint(
            f"The winner\u2019s training did not reproduce the trial\u2019s {data.objective.name}{got}. "
            "Trust the artifact\u2019s own figures.",
            "figures",
        )


def _nothing(data: SearchData) -> Iterator[Hint]:
    if data.best is not None:
        return
    ended = [trial for trial in data.trials if trial.state != "running"]
    failed = [trial for trial in ended if trial.state == "failed"]
    if not ended:
        yield Hint("No trial has ended yet.", "trials")
    elif len(failed) == len(ended):
        same = len({trial.reason for trial in failed}) == 1 and len(failed) > 1
        whom = "All for the same reason" if same else f"Trial {failed[0].number}"
        yield Hint(f"Every trial failed. {whom}: {sentence(failed[0].reason or 'no reason is known', 200)}", "trials")
    else:
        yield Hint("No trial was trained to its end, so there is no best one.", "trials")


def _best(data: SearchData) -> Iterator[Hint]:
    if data.best is None or data.best.shown is None:
        return
    middle, n = data.median(), len(data.completed)
    words = f"Trial {data.best.number} is the best: {data.objective.name} {data.objective.show(data.best.shown)}"
    if middle is not None and n >= 3:
        gain = data.objective.gain(data.best.shown, middle)
        more = f"{data.objective.apart(data.best.shown, middle)} better than" if gain > 0 else "as good as"
        words += f", {more} the median of {count(n, 'completed trial')}"
    yield Hint(f"{words}.", "best")


def _importance(trials: int | None, data: SearchData) -> Iterator[Hint]:
    """trials: of how many the importances were computed."""
    if len(data.importances) < 2:
        return
    (first, most), (second, next_) = list(data.importances.items())[:2]
    if not most:
        return
    if next_ >= _EQUAL * most:
        shares = f"{percent(most, 0)} and {percent(next_, 0)} of the importance"
        words = f"{first} and {second} matter about equally ({shares})"
    else:
        words = f"{first} matters most ({percent(most, 0)} of the importance), then {second} ({percent(next_, 0)})"
    n = int(trials or len(data.completed))
    rough = f"; from {count(n, 'trial')} that is a rough estimate" if n < _ROUGH else ""
    yield Hint(f"{words}{rough}.", "importance")


def _edges(data: SearchData) -> Iterator[Hint]:
    for edge in sorted(edges(data), key=lambda edge: -data.importances.get(edge.axis.name, 0.0)):
        yield Hint(_edge_words(edge), f"slice-{data.axes.index(edge.axis)}")


def _edge_words(edge: Edge) -> str:
    side, way = ("upper", "upwards") if edge.upper else ("lower", "downwards")
    wider = (
        f"{'larger' if edge.upper else 'smaller'} ones too"
        if edge.axis.kind == "categorical"
        else f"the range widened {way}"
    )
    where = (
        f"the {'largest' if edge.upper else 'smallest'} of the values tried"
        if edge.axis.kind == "categorical"
        else f"at the {side} end of its range"
    )
    words = f"The best trial has {edge.axis.name} {value_text(edge.value)}, {where} ({edge.axis.range()})"
    if edge.limit:
        return f"{words}, which can go no {'higher' if edge.upper else 'lower'}."
    others = f" {edge.near} of the {edge.of} best trials lie there." if edge.near > 1 else ""
    return f"{words}: a better one may lie beyond; search again with {wider}.{others}"


def _epochs(data: SearchData) -> Iterator[Hint]:
    """Of a search that has all its trials train for the same number of epochs."""
    if data.best is None or any(axis.name == "epochs" for axis in data.axes):
        return
    metric = data.curve_metric()
    values = [value for row in data.best.epochs if (value := finite(row.get(metric.metric))) is not None]
    if len(values) >= 3 and values[-1] == metric.best(values) and metric.gain(values[-1], values[-2]) > 0:
        yield Hint(f"Trial {data.best.number} was best after its last epoch: more epochs may help.", "learning")


def _cheaper(data: SearchData) -> Iterator[Hint]:
    """A trial that is nearly as good in at most half of the time."""
    best = data.best
    if best is None or best.shown is None or not best.seconds or not data.objective.share:
        return
    near = [
        trial
        for trial in data.completed
        if trial.repeats is None and trial.seconds and trial.seconds <= _CHEAP * best.seconds
        and data.objective.gain(best.shown, trial.shown or 0.0) <= _CLOSE
    ]  # fmt: skip
    if near:
        fastest = min(near, key=lambda trial: trial.seconds or 0.0)
        lag = data.objective.apart(best.shown, fastest.shown or 0.0)
        close = f"comes within {lag} of it" if fastest.shown != best.shown else "is as good"
        took = f"{seconds(fastest.seconds)} instead of {seconds(best.seconds)}"
        yield Hint(f"Trial {fastest.number} {close} in {took}.", f"trial-{fastest.number}")


def _late(data: SearchData) -> Iterator[Hint]:
    n = len(data.trials)
    if data.best is None or len(data.completed) < _LEAST:
        return
    if data.best.number > _LATE * n:
        yield Hint(f"The best came as number {data.best.number} of {n}: more trials may find a better one.", "history")
    elif data.best.number <= _EARLY * n:
        yield Hint(
            f"Nothing better came in the {n - data.best.number} trials after number {data.best.number}: "
            "more trials in the same ranges promise little.",
            "history",
        )


def _front(data: SearchData) -> Iterator[Hint]:
    if len(data.objectives) > 1 and len(data.front) > 1:
        names = " and ".join(objective.name for objective in data.objectives[:2])
        yield Hint(
            f"{len(data.front)} trials are the Pareto front: none is better than they are in {names} at once. "
            f"The first objective alone chose trial {data.best.number if data.best else 0}.",
            "pareto",
        )


def _failed(data: SearchData) -> Iterator[Hint]:
    failed = [trial for trial in data.trials if trial.state == "failed"]
    if failed and data.best is not None:
        which = _range_of(failed, data)
        yield Hint(
            f"{len(failed)} of {count(len(data.trials), 'trial')} failed{which}. "
            f"Trial {failed[0].number}: {sentence(failed[0].reason or 'no reason is known', 200)}",
            "trials",
        )


def _range_of(failed: list[SearchTrial], data: SearchData) -> str:
    """Where all failed trials lie beyond all completed ones, in words."""
    for axis in data.axes:
        bad, good = _numbers(axis, failed), _numbers(axis, data.completed)
        if len(bad) == len(failed) > 1 and len(good) > 2:
            if min(bad) > max(good):
                return f", all with {axis.name} of at least {value_text(min(bad))}, where none was completed"
            if max(bad) < min(good):
                return f", all with {axis.name} of at most {value_text(max(bad))}, where none was completed"
    return ""


def _numbers(axis: ParameterAxis, trials: list[SearchTrial]) -> list[float]:
    values = [trial.values.get(axis.name) for trial in trials]
    return [value for value in values if isinstance(value, int | float)]


def _repeats(data: SearchData) -> Iterator[Hint]:
    n = sum(1 for trial in data.trials if trial.repeats is not None)
    if n:
        verb = "repeats values" if n == 1 else "repeat values"
        yield Hint(
            f"{count(n, 'trial')} {verb} of an earlier one and took over its result: the space has few points.",
            "trials",
        )
