"""The search space: which hyperparameters a search varies, and within which limits. Standard library only.

What a hyperparameter may be comes from the table in contract.hyperparameters; a space only narrows it, and is judged
by it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, cast, get_args

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters, describe_faults
from contract.options import allowed
from contract.texts import quoted
from tuning.space_source import Entries, read_entries, split_params, split_space, why_not_searched

Value = int | float | str
Scale = Literal["linear", "log", "reverse_log"]


@dataclass(frozen=True)
class Continuous:
    """Real numbers from `low` to `high`. reverse_log: logarithmic in 1 - value, for values close below 1."""

    name: str
    low: float
    high: float
    scale: Scale = "linear"

    def contains(self, value: object) -> bool:
        """Whether the search may try this value; numbers given as text are none."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    @property
    def points(self) -> int | None:
        """How many different values there are; None: more than can be counted."""
        return 1 if self.low == self.high else None

    def to_dict(self) -> dict[str, Any]:
        """The limits and the scale."""
        return {"low": self.low, "high": self.high, "scale": self.scale}


@dataclass(frozen=True)
class Integer:
    """Whole numbers from `low` to `high`, both included."""

    name: str
    low: int
    high: int
    scale: Scale = "linear"

    def contains(self, value: object) -> bool:
        """Whether the search may try this value."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    @property
    def points(self) -> int:
        """How many different values there are."""
        return self.high - self.low + 1

    def to_dict(self) -> dict[str, Any]:
        """The limits and the scale."""
        return {"low": self.low, "high": self.high, "scale": self.scale}


@dataclass(frozen=True)
class Categorical:
    """One of `values`, which have no order."""

    name: str
    values: tuple[Value, ...]

    def contains(self, value: object) -> bool:
        """Whether the search may try this value."""
        return not isinstance(value, bool) and value in self.values

    @property
    def points(self) -> int:
        """How many different values there are."""
        return len(self.values)

    def to_dict(self) -> dict[str, Any]:
        """The values."""
        return {"values": list(self.values)}


Parameter = Continuous | Integer | Categorical


__all__ = ["Categorical", "Continuous", "Integer", "Parameter", "Scale", "Space", "Value", "read_space"]


@dataclass(frozen=True)
class Space:
    """What a search varies, in the order in which it was written."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def parse(cls, given: object) -> "Space":
        """The space that a text or a mapping describes. Raises ConfigError that names all faults at once.

        A text is a preset's name, ranges as in `lr=0.001:0.1:log; batch_size=16,32; epochs=2:5`, or a JSON object.
        A mapping, and so the JSON object, has a range for each name: {"low", "high", "scale"}, {"values"}, a list,
        one value, or the text behind the name's `=`.
        """
        return cls(parse_parameters(split_space(given)))

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters that vary."""
        return tuple(each.name for each in self.parameters)

    def contains(self, values: Mapping[str, object]) -> bool:
        """Whether these are values of all the space's hyperparameters and of no other, each within its limits."""
        return set(values) == set(self.names) and all(each.contains(values[each.name]) for each in self.parameters)

    @property
    def points(self) -> int | None:
        """How many different points the space has; None when it has a continuous range."""
        counts = [each.points for each in self.parameters]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The mapping that `parse` reads back as an equal space."""
        return {each.name: each.to_dict() for each in self.parameters}

    def to_json(self) -> str:
        """The same as the hyperparameter tune_space takes it."""
        return json.dumps(self.to_dict())


def read_space(params: Sequence[str], file_or_preset: str | None) -> Space:
    """The space of a command line.

    params: each `NAME=RANGE`; they add to what `file_or_preset` has, or take its place. file_or_preset: a TOML file
    or a preset's name; None: `params` are all there is, and without any it is the preset `default`.
    Raises ConfigError that names all faults at once.
    """
    if file_or_preset is None and not params:
        return Space.parse("default")
    base = Entries() if file_or_preset is None else read_entries(file_or_preset)
    return Space(parse_parameters(base.changed_by(split_params(params))))


_TABLE = {each.name: each for each in fields(Hyperparameters)}
_SCALES: tuple[str, ...] = get_args(Scale)


class _Faults(Exception):
    """What is wrong with one range, a sentence each."""


def parse_parameters(entries: Entries) -> tuple[Parameter, ...]:
    """One parameter for each entry. Raises ConfigError that names all faults at once."""
    faults = list(entries.faults)
    found: dict[str, Parameter] = {}
    seen: set[str] = set()
    for key, about in entries.pairs:
        name = key.replace("-", "_")
        if name in seen:
            faults.append(f"{name}: given twice in the search space; give one range")
            continue
        seen.add(name)
        try:
            found[name] = _parameter(key, name, about)
        except _Faults as several:
            faults += several.args
    if not seen and not faults:
        faults.append("the search space is empty; name at least one hyperparameter, as in lr=0.001:0.1:log")
    if faults:
        raise ConfigError(describe_faults("search space", faults))
    return tuple(found.values())


def _parameter(key: str, name: str, about: object) -> Parameter:
    if name not in _TABLE:
        _typed(key, 0)  # raises, with the name that was meant
    reason = why_not_searched(name)
    if reason:
        raise _Faults(f"{name}: can't be searched, as {reason}; set it for all trials")
    if isinstance(about, str):
        about = _from_text(name, about)
    if isinstance(about, Mapping):
        return _from_mapping(name, about)
    return _categorical(name, list(about) if isinstance(about, list | tuple) else [about])


def _from_text(name: str, text: str) -> object:
    """The mapping or list that a range as on a command line stands for."""
    if ":" not in text:
        return [each.strip() for each in text.split(",")]
    parts = [each.strip() for each in text.split(":")]
    if len(parts) > 3 or "" in parts or "," in text:
        raise _Faults(f"{name}: must be LOW:HIGH, LOW:HIGH:SCALE or values with commas between, got {quoted(text)}")
    return dict(zip(("low", "high", "scale"), parts, strict=False))


def _from_mapping(name: str, about: Mapping[Any, object]) -> Parameter:
    keys = set(about)
    if keys == {"values"}:
        values = about["values"]
        if not isinstance(values, list | tuple):
            raise _Faults(f"{name}: values must be a list, got {quoted(values)}")
        return _categorical(name, list(values))
    if not {"low", "high"} <= keys <= {"low", "high", "scale"}:
        raise _Faults(f"{name}: must have low, high and perhaps scale, or values alone, got {quoted(about)}")
    return _range(name, about["low"], about["high"], about.get("scale", "linear"))


def _categorical(name: str, given: list[object]) -> Categorical:
    faults: list[str] = []
    values: list[Value] = []
    for each in given:
        value = _attempt(name, each, faults)
        if value is None:
            continue
        if value in values:
            faults.append(f"{name}: the value {value} is there twice")
        values.append(value)
    if not given:
        faults.append(f"{name}: the list is empty; give at least one value")
    if faults:
        raise _Faults(*faults)
    return Categorical(name, tuple(values))


def _range(name: str, given_low: object, given_high: object, given_scale: object) -> Parameter:
    kind = _TABLE[name].metadata["kind"]
    if kind not in ("integer", "float"):
        options = ",".join(_TABLE[name].metadata["options"])
        raise _Faults(
            f"{name}: {quoted(given_low)}:{quoted(given_high)} is a range, and its values have no order; "
            f"list those to try, as in {name}={options}"
        )
    faults: list[str] = []
    low, high = _attempt(name, given_low, faults), _attempt(name, given_high, faults)
    scale = given_scale.replace("-", "_") if isinstance(given_scale, str) else ""
    if scale not in _SCALES:
        faults.append(f"{name}: the scale must be {', '.join(_SCALES)}, got {quoted(given_scale)}")
    if isinstance(low, int | float) and isinstance(high, int | float):
        faults += _range_faults(name, low, high, scale)
        if kind == "integer" and low < high:
            # What may be 0 or from some number on has a gap just above its lowest value.
            _attempt(name, low + 1, faults)
    if faults:
        raise _Faults(*dict.fromkeys(faults))
    parameter = Integer if kind == "integer" else Continuous
    return parameter(name, cast("Any", low), cast("Any", high), cast("Scale", scale))


def _range_faults(name: str, low: float, high: float, scale: str) -> list[str]:
    faults = []
    if low > high:
        faults.append(f"{name}: low must not be above high, got {low:.10g}:{high:.10g}")
    if scale == "log" and low <= 0:
        faults.append(f"{name}: the scale log needs a low above 0, got {low:.10g}; use linear")
    if scale == "reverse_log" and _TABLE[name].metadata["kind"] == "integer":
        faults.append(f"{name}: the scale reverse_log is for numbers below 1, and it is an integer; use linear or log")
    elif scale == "reverse_log" and (low < 0 or max(low, high) >= 1):
        faults.append(f"{name}: the scale reverse_log needs 0 <= low and high < 1, got {low:.10g}:{high:.10g}")
    return faults


def _attempt(name: str, given: object, faults: list[str]) -> Value | None:
    """The typed value; None after a fault, which is noted."""
    try:
        return _typed(name, given)
    except _Faults as several:
        faults += several.args
        return None


def _typed(name: str, given: object) -> Value:
    """The value as Hyperparameters would have it."""
    # There a null means the default, and what a list or a TOML date means nobody knows.
    blank = isinstance(given, str) and given.strip().strip('"') in ("", "null")
    if blank or not isinstance(given, str | int | float):
        raise _Faults(f"{name}: must be {allowed(_TABLE[name])}, got {'nothing' if given == '' else quoted(given)}")
    try:
        value: Value = getattr(Hyperparameters.parse({name: given}), name.replace("-", "_"))
    except ConfigError as error:
        raise _Faults(str(error)) from None
    return value
