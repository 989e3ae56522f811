"""Settings in an advice's own words: `name=value`."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_SETTING: Final = re.compile(r"\b([a-z][a-z_0-9]*)=([\w./:-]*\w)")
_SENTENCE: Final = re.compile(r"(?<=[.;])\s+")


def settings_in(advice: str, chosen: Mapping[str, Any]) -> dict[str, str]:
    """The first setting of each sentence that differs from `chosen`; what follows it are alternatives.

    chosen: the present hyperparameters by name; only these names count. Of two values for one name the first counts.
    """
    found: dict[str, str] = {}
    for sentence in _SENTENCE.split(advice):
        for name, value in _SETTING.findall(sentence):
            if name in chosen and not _same(chosen[name], value):
                found.setdefault(name, value)
                break
    return found


def first_of_each(settings: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """All of them together; of two values for one name the first counts."""
    found: dict[str, str] = {}
    for each in settings:
        found = {**each, **found}
    return found


def _same(present: object, value: str) -> bool:
    if isinstance(present, str):
        return present == value
    try:
        return float(str(present)) == float(value)
    except ValueError:
        return False
