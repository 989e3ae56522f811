"""A rule's declaration: its name, parameters and words. Values come as strings, as SageMaker hands them over."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """One parameter. default: its type is the parameter's; None: a number (or text) that has to be given.

    low, high: the bounds of a number, both allowed.
    """

    default: float | int | bool | str | None
    help: str
    low: float = -math.inf
    high: float = math.inf

    def parse(self, given: object) -> float | int | bool | str:
        """The typed value. Raises ValueError that says what is allowed."""
        if isinstance(self.default, bool):
            return self._bool(given)
        if isinstance(self.default, str):
            return str(given)
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise ValueError(f"must be {self._allowed()}")
        try:
            number = float(given)
        except ValueError:
            raise ValueError(f"must be {self._allowed()}") from None
        whole = isinstance(self.default, int)
        if not math.isfinite(number) or not self.low <= number <= self.high or (whole and number != int(number)):
            raise ValueError(f"must be {self._allowed()}")
        return int(number) if whole else number

    @staticmethod
    def _bool(given: object) -> bool:
        word = str(given).strip().lower()
        if word in ("true", "1", "yes", "on"):
            return True
        if word in ("false", "0", "no", "off"):
            return False
        raise ValueError("must be true or false")

    def _allowed(self) -> str:
        kind = "an integer" if isinstance(self.default, int) else "a number"
        if self.low > -math.inf and self.high < math.inf:
            return f"{kind} from {self.low:g} to {self.high:g}"
        if self.low > -math.inf:
            return f"{kind} of at least {self.low:g}"
        return kind if self.high == math.inf else f"{kind} of at most {self.high:g}"


@dataclass(frozen=True)
class RuleSpec:
    """A rule. fires: when it does; advice: what helps, in general; on: whether it is part of the default set.

    severity: "error" (the training is broken), "warning" (it could be better), or "info" (only reported).
    """

    name: str
    fires: str
    advice: str
    severity: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    on: bool = True

    def defaults(self) -> dict[str, Any]:
        """Every parameter's default."""
        return {name: each.default for name, each in self.parameters.items()}
