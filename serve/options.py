"""What a request may ask for beside its images, from the query, SageMaker's header or a form's fields."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from serve import codec
from serve.errors import RequestError
from serve.media_types import OFFER_NAMES, Offer

ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"
_LONGEST_ATTRIBUTES: Final = 1024
_MOST_PARAMETERS: Final = 16


@dataclass(frozen=True)
class Options:
    """top_k: how many classes are predicted at most; threshold: the least probability of each of them.

    format: the answer's form, whatever Accept says; None leaves it to Accept.
    """

    top_k: int = codec.TOP_K
    threshold: float = 0.0
    format: Offer | None = None


DEFAULT: Final = Options()


def read_options(query: str, attributes: str, fields: Mapping[str, str] | None = None) -> Options:
    """The options of a request. The query beats the header, and the header a form's fields.

    query: of the URL; a name that is no option is refused. attributes: the header's text, `NAME=VALUE,...`; other
    software writes into it too, so what names no option is left alone, and so are other fields.
    Raises RequestError (400) for a value that isn't allowed.
    """
    if not query and not attributes and not fields:
        return DEFAULT
    given = {name: value for name, value in (fields or {}).items() if name in _PARSERS}
    given.update(_from_attributes(attributes))
    given.update(_from_query(query))
    values: dict[str, Any] = {}
    for name, text in given.items():
        allowed, parse = _PARSERS[name]
        try:
            values[name] = parse(text.strip())
        except (ValueError, KeyError):
            raise RequestError(400, f"the option {name} must be {allowed}, got {text[:100]!r}") from None
    return Options(**values)


def _from_attributes(text: str) -> dict[str, str]:
    if len(text) > _LONGEST_ATTRIBUTES or not text.isascii() or not text.isprintable():
        raise RequestError(
            400, f"{ATTRIBUTES} must be visible ASCII of at most {_LONGEST_ATTRIBUTES} characters, got {len(text)}"
        )
    pairs = (part.partition("=")[::2] for part in text.split(","))
    return _once((name.strip(), value) for name, value in pairs if name.strip() in _PARSERS)


def _from_query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise RequestError(400, f"the query has more than {_MOST_PARAMETERS} parameters; {_KNOWN}") from None
    for name, _ in pairs:
        if name not in _PARSERS:
            raise RequestError(400, f"unknown query parameter {name[:60]!r}; {_KNOWN}")
    return _once(pairs)


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise RequestError(400, f"the option {name} is given twice; give it once")
        found[name] = value
    return found


def _top_k(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise ValueError
    return int(text)


def _threshold(text: str) -> float:
    if not 0 <= (value := float(text)) <= 1:
        raise ValueError
    return value


# Each option's values in words, and what reads them.
_PARSERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "top_k": ("an integer of 1 or more", _top_k),
    "threshold": ("a probability from 0 to 1", _threshold),
    "format": (f"one of {', '.join(OFFER_NAMES)}", lambda text: OFFER_NAMES[text.lower()]),
}
_KNOWN: Final = f"the options are {', '.join(_PARSERS)}"
