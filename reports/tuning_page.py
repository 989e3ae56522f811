"""tuning-report.html: what a search found, how its trials compare, what to search next, and the best trial to copy."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.files import write_atomic
from contract.hyperparameters import without_defaults
from reports.charts.parallel_coordinates import parallel_coordinates
from reports.charts.parameter_axes import value_text
from reports.charts.search import MOST_CURVES, curves, history, importance, pareto, slices, values_axis
from reports.page import render
from reports.rule_table import RunOutcome
from reports.search_data import SearchData, SearchTrial, finite, search_data
from reports.tuning_advice import tuning_advice
from reports.units import clock, seconds, sentence

MOST_ROWS: Final = 1000
_REASON: Final = 400  # letters of a failure's reason
_SIGNS: Final = {"completed": "\u2713", "pruned": "\u2702\ufe0e", "failed": "\u2716", "running": "\u2026"}
_KINDS: Final = {"failed": "error"}


@dataclass(frozen=True)
class TrialCell:
    """A table's cell. key: what it is sorted by."""

    words: str
    key: float | str


@dataclass(frozen=True)
class TrialRow:
    """A trial in the table."""

    number: int
    best: bool
    front: bool
    sign: str
    kind: str
    state: str
    cells: tuple[TrialCell, ...]
    run: str
    note: str


def write_tuning_page(report: Path, document: Mapping[str, Any]) -> Path:
    """Write the page of the tuning document `report` beside it; returns its file. Raises OSError."""
    page = page_file(report)
    write_atomic(page, tuning_page(document))
    return page


def page_file(report: Path) -> Path:
    """tuning-report.html beside tuning.json; NAME.html beside any other NAME.json."""
    return report.with_name("tuning-report.html") if report.name == "tuning.json" else report.with_suffix(".html")


def tuning_page(document: Mapping[str, Any]) -> bytes:
    """The page as UTF-8 HTML, from a tuning document (docs/tuning.md)."""
    data = search_data(document)
    axis = values_axis(data)
    beyond = sum(1 for trial in data.valued if trial.shown is not None and axis.beyond(trial.shown))
    rows = _table_trials(data)
    return render(
        "tuning.html",
        report=document,
        data=data,
        heading=_heading(document, data),
        outcome=_outcome(document),
        facts=_facts(document, data),
        best=best_configuration(document, data),
        best_value=data.objective.show(data.best.shown) if data.best else None,
        others=_others(data),
        spent=seconds(document.get("seconds")),
        median=data.objective.show(data.median()) if len(data.completed) > 1 else None,
        base={name: value for name, value in (document.get("base") or {}).items() if not name.startswith("tune_")},
        states={trial.state for trial in data.trials},
        winner=_winner(document, data),
        advice=tuning_advice(document, data),
        history=history(data),
        beyond=beyond,
        pareto=pareto(data),
        importance=importance(data),
        parallel=parallel_coordinates(data),
        slices=slices(data),
        curves=curves(data),
        curve_metric=data.curve_metric(),
        curves_left_out=max(sum(1 for trial in data.trials if trial.epochs) - MOST_CURVES, 0),
        rows=[_row(trial, data) for trial in rows],
        rows_left_out=len(data.trials) - len(rows),
    )


def _heading(document: Mapping[str, Any], data: SearchData) -> str:
    if document["state"] == "running":
        return "Search is running"
    if document["state"] != "completed":
        return "Search stopped early"
    return "Search completed" if data.best else "Search found nothing"


def _outcome(document: Mapping[str, Any]) -> RunOutcome | None:
    """Why it ended before all trials were made; None when it did not."""
    reason = sentence(str(document.get("reason") or ""))
    if not reason:
        return None
    if document["state"] == "completed":
        return RunOutcome("completed", "\u2713", reason)
    return RunOutcome("stopped", "\u25a0", reason)


def _facts(document: Mapping[str, Any], data: SearchData) -> str:
    pruner = document["pruner"]
    space, objectives = (", ".join(item.name for item in items) for items in (data.axes, data.objectives))
    words = [
        f"{space} for {objectives}",
        f"sampler {document['sampler']}",
        "no pruning" if pruner == "none" else f"pruner {pruner}",
        f"seed {document['seed']}",
    ]
    if data.parallel > 1:
        words.append(f"{data.parallel} trials at a time")
    return "; ".join([*words, f"begun {clock(document.get('started'))}"])


def _others(data: SearchData) -> list[tuple[str, str]]:
    """The best trial's further objectives."""
    if data.best is None:
        return []
    pairs = zip(data.objectives[1:], data.best.objective[1:], strict=False)
    return [(objective.name, objective.show(value)) for objective, value in pairs]


def _winner(document: Mapping[str, Any], data: SearchData) -> tuple[str, str] | None:
    """(word, sentence) on the training that followed the search in one job; None if there was to be none."""
    winner = document.get("winner")
    if not winner or (document["state"] == "running" and not winner.get("trained")):
        return None
    if not winner.get("trained"):
        return "none", "the winner was not trained"
    value = finite((winner.get("metrics") or {}).get(data.objective.metric))
    reached = f"{data.objective.name} {data.objective.show(value)}" if value is not None else ""
    match winner.get("reproduced"):
        case True:
            return "reproduced", f"{reached or 'its training'}, as in the trial"
        case False:
            trial = data.objective.show(data.best.shown) if data.best else "other numbers"
            return "not reproduced", f"{reached or 'other numbers'}; the trial had {trial}"
    return "trained", f"{reached or 'its numbers'}; not compared with the trial\u2019s"


def _table_trials(data: SearchData) -> list[SearchTrial]:
    """All trials; of very many the best, the rest filled up with the latest."""
    if len(data.trials) <= MOST_ROWS:
        return list(data.trials)
    ranked = data.ranked()[:MOST_ROWS]
    others = [trial for trial in reversed(data.trials) if not trial.completed]
    return sorted([*ranked, *others[: MOST_ROWS - len(ranked)]], key=lambda trial: trial.number)


def _row(trial: SearchTrial, data: SearchData) -> TrialRow:
    cells = [_value(trial, place, data) for place in range(len(data.objectives))]
    for axis in data.axes:
        value = trial.values.get(axis.name)
        cells.append(TrialCell("\u2013" if value is None else value_text(value), _key(value, axis.place(value))))
    epochs = [finite(row.get("epoch")) or 0.0 for row in trial.epochs]
    cells.append(TrialCell(str(len(epochs)), len(epochs)))
    cells.append(TrialCell(seconds(trial.seconds), _number_key(trial.seconds)))
    return TrialRow(
        number=trial.number,
        best=data.best is not None and trial.number == data.best.number,
        front=len(data.objectives) > 1 and trial.number in data.front,
        sign=_SIGNS.get(trial.state, "?"),
        kind=_KINDS.get(trial.state, "quiet"),
        state=trial.state,
        cells=tuple(cells),
        run=trial.run or "",
        note=_note(trial),
    )


def _value(trial: SearchTrial, place: int, data: SearchData) -> TrialCell:
    objective = data.objectives[place]
    value = trial.objective[place] if place < len(trial.objective) and trial.state == "completed" else None
    missing = "-Infinity" if objective.maximize else "Infinity"
    return TrialCell(objective.show(value), missing if value is None else value)


def _key(value: Any, place: float | None) -> float | str:
    """Numbers by their size, words by their place among the choices."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return _number_key(place)


def _number_key(value: float | None) -> float | str:
    return "-Infinity" if value is None else value


def _note(trial: SearchTrial) -> str:
    words = f"as trial {trial.repeats}" if trial.repeats is not None else ""
    reason = " ".join(trial.reason.split())
    if len(reason) > _REASON:
        reason = f"{reason[: _REASON - 1]}\u2026 (all of it is in the JSON file)"
    return "; ".join(part for part in (words, reason) if part)


@dataclass(frozen=True)
class BestConfiguration:
    """rows: name, range searched, the best trial's value, its place from 0 to 1. options, file: to copy."""

    rows: tuple[tuple[str, str, str, float | None], ...]
    options: str
    file: str


def best_configuration(document: Mapping[str, Any], data: SearchData) -> BestConfiguration | None:
    """None before a trial has completed."""
    if data.best is None:
        return None
    hyperparameters = document.get("hyperparameters") or {**(document.get("base") or {}), **data.best.values}
    rows = []
    for axis in data.axes:
        value = data.best.values.get(axis.name)
        rows.append((axis.name, axis.range(), value_text(value), axis.place(value)))
    return BestConfiguration(tuple(rows), _options(hyperparameters, data), _file(hyperparameters))


def _options(hyperparameters: Mapping[str, Any], data: SearchData) -> str:
    """The values searched, and those of the others that are no defaults."""
    options = {axis.name: hyperparameters[axis.name] for axis in data.axes if axis.name in hyperparameters}
    changed = without_defaults(hyperparameters)
    options |= {name: value for name, value in changed.items() if not name.startswith("tune_")}
    return " ".join(f"--set {shlex.quote(f'{name}={_plain(value)}')}" for name, value in options.items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _file(hyperparameters: Mapping[str, Any]) -> str:
    """hyperparameters.json: every value a JSON-encoded string."""
    values = {name: json.dumps(value) for name, value in hyperparameters.items() if not name.startswith("tune_")}
    return json.dumps(values, indent=2)
