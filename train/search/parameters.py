"""What one hyperparameter may be in a search. Standard library only."""

from dataclasses import dataclass
from typing import Any, Literal

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
