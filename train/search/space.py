"""The search space: which hyperparameters a search varies, and within which limits. Standard library only."""

from dataclasses import dataclass
from typing import Literal

Value = int | float | str
Scale = Literal["linear", "log", "reverse_log"]


@dataclass(frozen=True)
class Continuous:
    """Real numbers from `low` to `high`. reverse_log: logarithmic in 1 - value, for values close below 1."""

    name: str
    low: float
    high: float
    scale: Scale = "linear"


@dataclass(frozen=True)
class Integer:
    """Whole numbers from `low` to `high`, both included."""

    name: str
    low: int
    high: int
    scale: Scale = "linear"


@dataclass(frozen=True)
class Categorical:
    """One of `values`, which have no order."""

    name: str
    values: tuple[Value, ...]


Parameter = Continuous | Integer | Categorical


@dataclass(frozen=True)
class Space:
    """What a search varies."""

    parameters: tuple[Parameter, ...]
