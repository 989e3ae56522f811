"""Options: a dataclass's field declares, in its metadata, what values an option may have and what it means.

An option's value is read from a TOML file, from the text of a flag or an environment variable, or from the JSON in
which SageMaker passes hyperparameters.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, field
from typing import Any, Final

from contract.texts import quoted


def text(default: str, form: str, help: str, pattern: str = "", *, printable: bool = True, json: bool = False) -> Any:
    """form: what it may be, in words. pattern: a regular expression that the whole text must match, unless empty.

    printable: control characters are refused. json: a JSON list or object stands for its own text.
    The text itself may be empty only where the default is.
    """
    about = {"kind": "text", "form": form, "help": help, "pattern": pattern, "printable": printable, "json": json}
    return field(default=default, metadata=about)


def choice(default: str, options: tuple[str, ...], help: str) -> Any:
    """One of `options`."""
    return field(default=default, metadata={"kind": "choice", "options": options, "help": help})


def flag(default: bool, help: str) -> Any:
    """True or false."""
    return field(default=default, metadata={"kind": "flag", "help": help})


def number(default: float, low: float, high: float, help: str, above: bool = False) -> Any:
    """From low to high; the kind, integer or float, follows the default's type. above: low itself is refused."""
    kind = "integer" if isinstance(default, int) else "float"
    return field(default=default, metadata={"kind": kind, "low": low, "high": high, "above": above, "help": help})


def texts(form: str, help: str, pattern: str = "", most: int = 100) -> Any:
    """A tuple of `most` texts at most, empty by default; in the environment and in flags separated by commas."""
    about = {"kind": "texts", "form": form, "help": help, "pattern": pattern, "most": most}
    return field(default=(), metadata=about)


def pairs(form: str, help: str, name: str, value: str, most: int) -> Any:
    """A tuple of (name, value), empty by default: a table in kennel.toml, NAME=VALUE,NAME=VALUE elsewhere.

    name, value: regular expressions that the whole of each must match.
    """
    about = {"kind": "pairs", "form": form, "help": help, "name": name, "value": value, "most": most}
    return field(default=(), metadata=about)


def parsed(default: str | None, form: str, help: str, parse: Callable[[str], Any]) -> Any:
    """What `parse` makes of a text; it raises ValueError or KeyError for one that isn't allowed. default: as text."""
    about = {"kind": "parsed", "form": form, "help": help, "parse": parse, "text": default}
    return field(default=None if default is None else parse(default), metadata=about)


def allowed(each: "Field[Any]") -> str:
    """What a setting may be, in words."""
    about = each.metadata
    match about["kind"]:
        case "choice":
            return "one of " + ", ".join(about["options"])
        case "flag":
            return "true or false"
        case "text" | "parsed":
            return str(about["form"])
        case "texts":
            return f"a list of {about['form']}, {about['most']} at most"
        case "pairs":
            return f"a table of {about['form']}, {about['most']} at most"
        case kind:
            article = "an integer" if kind == "integer" else "a number"
            lower = f"above {about['low']:g} and at most" if about["above"] else f"from {about['low']:g} to"
            return f"{article} {lower} {about['high']:.10g}"


_YES: Final = ("true", "yes", "on", "1")
_NO: Final = ("false", "no", "off", "0")


def from_toml(each: "Field[Any]", value: object) -> Any:
    """The typed value of a setting. Raises ValueError that says what it must be and what it was."""
    return _worded(each, lambda: _typed(each, value))


def from_text(each: "Field[Any]", text: str) -> Any:
    """The same from text: a list as A,B or as TOML writes it, a table as NAME=VALUE,NAME=VALUE or as TOML writes it."""
    return _worded(each, lambda: _typed(each, _decoded(each, text.strip())))


def from_json(each: "Field[Any]", value: object) -> Any:
    """The same from JSON, which may be text that was encoded up to twice; None for null."""
    decoded = value
    for _ in range(2):
        if not isinstance(decoded, str):
            break
        try:
            decoded = json.loads(decoded)
        except (ValueError, RecursionError):
            break
    if decoded is None:
        return None
    if each.metadata["kind"] in ("integer", "float") and isinstance(decoded, str):
        decoded = _as_number(decoded)
    if each.metadata.get("json") and isinstance(decoded, list | dict):
        decoded = json.dumps(decoded)
    return _worded(each, lambda: _typed(each, decoded), value)


class _Unfit(Exception):
    """What can't be the value, or the part of it that can't."""

    def __init__(self, value: object) -> None:
        self.value = value


def _worded(each: "Field[Any]", make: Callable[[], Any], value: object = None) -> Any:
    """value: what the sentence quotes; None: the part that is unfit."""
    try:
        return make()
    except _Unfit as unfit:
        wrong = unfit.value if value is None else value
        raise ValueError(f"must be {allowed(each)}, got {quoted(wrong)}") from None


def _typed(each: "Field[Any]", value: object) -> Any:
    match each.metadata["kind"]:
        case "text" | "choice":
            return _text(each, value)
        case "parsed":
            return _parsed(each.metadata, value)
        case "flag":
            return _flag(value)
        case "texts":
            return _texts(each.metadata, value)
        case "pairs":
            return _pairs(each.metadata, value)
        case _:
            return _number(each.metadata, value)


def _decoded(each: "Field[Any]", text: str) -> object:
    """What TOML would have had for the text."""
    match each.metadata["kind"]:
        case "flag":
            word = text.lower()
            return word in _YES if word in (*_YES, *_NO) else text
        case "integer" | "float":
            return _as_number(text)
        case "texts":
            return _as_toml(text) if text.startswith("[") else _parts(text)
        case "pairs":
            return _as_toml(text) if text.startswith("{") else _as_table(text)
        case _:
            return text


def _text(each: "Field[Any]", value: object) -> str:
    about = each.metadata
    if not isinstance(value, str) or (about["kind"] == "choice" and value not in about["options"]):
        raise _Unfit(value)
    if not value:
        if each.default:
            raise _Unfit(value)
        return value
    unprintable = about.get("printable", True) and not value.isprintable()
    if unprintable or not re.fullmatch(about.get("pattern") or ".*", value, re.DOTALL):
        raise _Unfit(value)
    return value


def _parsed(about: Mapping[str, Any], value: object) -> Any:
    try:
        return about["parse"](value)
    except (ValueError, KeyError):
        raise _Unfit(value) from None


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Unfit(value)
    return value


def _number(about: Mapping[str, Any], value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unfit(value)
    too_low = about["above"] and value <= about["low"]
    if too_low or not about["low"] <= value <= about["high"]:  # which no NaN is
        raise _Unfit(value)
    if about["kind"] == "float":
        return float(value)
    if value != int(value):
        raise _Unfit(value)
    return int(value)


def _texts(about: Mapping[str, Any], value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > about["most"]:
        raise _Unfit(value)
    for each in value:
        if not isinstance(each, str) or not each.isprintable() or not re.fullmatch(about["pattern"] or ".+", each):
            raise _Unfit(each)
    return tuple(value)


def _pairs(about: Mapping[str, Any], value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise _Unfit(value)
    # From here on only names are quoted: values of environment variables may be secrets.
    if len(value) > about["most"]:
        raise _Unfit(f"{len(value)} names")
    found = []
    for name, given in value.items():
        if not re.fullmatch(about["name"], name):
            raise _Unfit(name)
        # A number is written as it stands; 1.0 and true could be meant in more than one way.
        if not isinstance(given, str | int) or isinstance(given, bool):
            raise _Unfit(f"neither text nor integer for {name}")
        if not re.fullmatch(about["value"], str(given)):
            raise _Unfit(f"a text that is too long or has other signs for {name}")
        found.append((name, str(given)))
    return tuple(found)


def _as_number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _as_toml(text: str) -> object:
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        raise _Unfit("what is no TOML") from None
    if len(document) > 1:
        raise _Unfit("more than one")
    return document["value"]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _as_table(text: str) -> object:
    table: dict[str, str] = {}
    for part in _parts(text):
        name, sign, value = part.partition("=")
        if not sign:
            raise _Unfit("a name without =")
        if name.strip() in table:
            raise _Unfit(f"{name.strip()} twice")
        table[name.strip()] = value.strip()
    return table
