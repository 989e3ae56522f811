"""The search space: which hyperparameters a search varies, and within which limits. Standard library only.

What a hyperparameter may be comes from the table in contract.hyperparameters; a space only narrows it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from train.search.parameters import Categorical, Continuous, Integer, Parameter, Scale, Value
from train.search.parse import parse_parameters
from train.search.source import Entries, read_entries, split_params, split_space

__all__ = ["Categorical", "Continuous", "Integer", "Parameter", "Scale", "Space", "Value", "read_space"]


@dataclass(frozen=True)
class Space:
    """What a search varies, in the order in which it was written."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def parse(cls, given: object) -> "Space":
        """The space that a text or a mapping describes. Raises ConfigError that tells all faults at once.

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
    Raises ConfigError that tells all faults at once.
    """
    if file_or_preset is None and not params:
        return Space.parse("default")
    base = Entries() if file_or_preset is None else read_entries(file_or_preset)
    return Space(parse_parameters(base.changed_by(split_params(params))))
