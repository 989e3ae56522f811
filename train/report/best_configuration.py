"""The best trial's hyperparameters, ready to be used: as a table, as options, as the file that train takes."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from contract.hyperparameters import Hyperparameters
from train.report.parameter_axes import shown
from train.report.search_data import SearchData


@dataclass(frozen=True)
class Best:
    """rows: name, range searched, the best trial's value, its place from 0 to 1. options, file: to copy."""

    rows: tuple[tuple[str, str, str, float | None], ...]
    options: str
    file: str


def best_configuration(document: Mapping[str, Any], data: SearchData) -> Best | None:
    """None before a trial has completed."""
    if data.best is None:
        return None
    every = document.get("hyperparameters") or {**(document.get("base") or {}), **data.best.values}
    rows = []
    for axis in data.axes:
        value = data.best.values.get(axis.name)
        rows.append((axis.name, axis.range(), shown(value), axis.place(value)))
    return Best(tuple(rows), _options(every, data), _file(every))


def _options(every: Mapping[str, Any], data: SearchData) -> str:
    """The values searched, and those of the others that are no defaults."""
    defaults = {each.name: each.default for each in fields(Hyperparameters)}
    searched = [axis.name for axis in data.axes]
    chosen = {name: every[name] for name in searched if name in every}
    chosen |= {
        name: value
        for name, value in every.items()
        if name not in chosen and not name.startswith("tune_") and (name not in defaults or value != defaults[name])
    }
    return " ".join(f"--set {shlex.quote(f'{name}={_plain(value)}')}" for name, value in chosen.items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _file(every: Mapping[str, Any]) -> str:
    """hyperparameters.json: every value a JSON-encoded string."""
    kept = {name: json.dumps(value) for name, value in every.items() if not name.startswith("tune_")}
    return json.dumps(kept, indent=2)
