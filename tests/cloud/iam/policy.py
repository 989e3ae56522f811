"""Policies of IAM, evaluated as IAM does: an explicit deny, else an allow, else no."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "docs" / "iam"
# In place of the words that a person fills in.
FILLED = {"ACCOUNT": "123456789012", "BUCKET": "the-bucket"}


@dataclass(frozen=True)
class Need:
    """A permission that something wants: an action on a resource, with what is known of the request."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}" + (f" with {dict(self.context)}" if self.context else "")


Statement = dict[str, Any]


def read(name: str) -> list[Statement]:
    """The statements of a file of docs/iam, filled in."""
    text = (FOLDER / name).read_text()
    for word, value in FILLED.items():
        text = text.replace(word, value)
    document = json.loads(text)
    assert document["Version"] == "2012-10-17"
    statements: list[Statement] = document["Statement"]
    return statements


def allows(statements: Sequence[Statement], need: Need) -> bool:
    """Whether they allow it."""
    effects = {each["Effect"] for each in statements if _is_for(each, need)}
    assert effects <= {"Allow", "Deny"}
    return effects == {"Allow"}


def actions(statements: Sequence[Statement]) -> Iterator[str]:
    """Every action that they name."""
    for each in statements:
        yield from _listed(each["Action"])


def _is_for(statement: Statement, need: Need) -> bool:
    unknown = set(statement) - {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
    assert not unknown, f"this evaluator doesn't know {unknown}"
    return (
        _named(statement, "Action", need.action.lower(), str.lower)
        and _named(statement, "Resource", need.resource, str)
        and all(
            _holds(operator, key, _listed(values), need.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _named(statement: Statement, part: str, value: str, fold: Any) -> bool:
    if part in statement:
        return any(_like(fold(pattern), value) for pattern in _listed(statement[part]))
    return not any(_like(fold(pattern), value) for pattern in _listed(statement[f"Not{part}"]))


def _holds(operator: str, key: str, values: Sequence[str], context: Mapping[str, str]) -> bool:
    """A condition on a key of one value. A key that the request hasn't fails, unless the operator says IfExists."""
    test = {"StringEquals": str.__eq__, "StringLike": _like, "ArnLike": _like}[operator.removesuffix("IfExists")]
    if key not in context:
        return operator.endswith("IfExists")
    return any(test(value, context[key]) for value in values)


def _like(pattern: str, value: str) -> bool:
    """`*` is any text, `?` any character."""
    return _expression(pattern).fullmatch(value) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    told = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.compile(told, re.DOTALL)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
