"""What a request may ask for beside its images, from the query, SageMaker's header or a form's fields."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final
from urllib.parse import parse_qsl

from contract.options import number, parsed, read_texts
from serve import codec
from serve.errors import RequestError
from serve.media_types import FORMATS_BY_NAME, ResponseFormat

ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"
_LONGEST_ATTRIBUTES: Final = 1024
_MOST_PARAMETERS: Final = 16


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < 1:
        raise ValueError
    return int(text)


@dataclass(frozen=True)
class Options:
    """What was asked for, or the defaults."""

    top_k: int = parsed(str(codec.TOP_K), "an integer of 1 or more", "how many classes are predicted at most", _count)
    threshold: float = number(0.0, 0, 1, "the least probability of each of them")
    format: ResponseFormat | None = parsed(  # noqa: RUF009 - an immutable default
        None,
        f"one of {', '.join(FORMATS_BY_NAME)}",
        "the answer's form, whatever Accept says; None leaves it to Accept",
        lambda name: FORMATS_BY_NAME[name.lower()],
    )


DEFAULT: Final = Options()
_OPTIONS: Final = {option.name: option for option in fields(Options)}
_KNOWN: Final = f"the options are {', '.join(_OPTIONS)}"


def read_options(query: str, attributes: str, form_fields: Mapping[str, str] | None = None) -> Options:
    """The options of a request. The query beats the header, and the header a form's fields.

    query: of the URL; a name that is no option is refused. attributes: the header's text, `NAME=VALUE,...`; other
    software writes into it too, so what names no option is left alone, and so are other fields.
    Raises RequestError (400) for a value that isn't allowed.
    """
    if not query and not attributes and not form_fields:
        return DEFAULT
    texts = {name: value for name, value in (form_fields or {}).items() if name in _OPTIONS}
    texts |= _from_attributes(attributes) | _from_query(query)
    values, faults = read_texts({name: _OPTIONS[name] for name in texts}, texts)
    if faults:
        raise RequestError(400, f"the option {faults[0]}")
    return Options(**values)


def _from_attributes(text: str) -> dict[str, str]:
    if len(text) > _LONGEST_ATTRIBUTES or not text.isascii() or not text.isprintable():
        raise RequestError(
            400, f"{ATTRIBUTES} must be visible ASCII of at most {_LONGEST_ATTRIBUTES} characters, got {len(text)}"
        )
    pairs = (part.partition("=")[::2] for part in text.split(","))
    return _once((name.strip(), value) for name, value in pairs if name.strip() in _OPTIONS)


def _from_query(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise RequestError(400, f"the query has more than {_MOST_PARAMETERS} parameters; {_KNOWN}") from None
    for name, _ in pairs:
        if name not in _OPTIONS:
            raise RequestError(400, f"unknown query parameter {name[:60]!r}; {_KNOWN}")
    return _once(pairs)


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in pairs:
        if name in options:
            raise RequestError(400, f"the option {name} is given twice; give it once")
        options[name] = value
    return options
