"""Options: a dataclass's field declares, in its metadata, what values an option may have and what it means.

An option's value is read from a TOML file, from the text of a flag or an environment variable, or from the JSON in
which SageMaker passes hyperparameters.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import Field, field
from typing import Any, Final

from contract.texts import quoted

_Check = Callable[[Mapping[str, Any], Any], Any]


def _option(
    default: object, kind: str, check: _Check, allowed: str, help: str, variables: str = "", **about: object
) -> Any:
    """check: the typed value, or _Unfit, of what TOML might have for it. allowed: what it may be, in words.

    variables: of the environment, where the option is read from the first of them that is set.
    """
    about |= {"kind": kind, "check": check, "allowed": allowed, "help": help, "variables": tuple(variables.split())}
    return field(default=default, metadata=about)


def text(default: str, form: str, help: str, pattern: str = "", *, json: bool = False, variables: str = "") -> Any:
    """form: what it may be, in words. pattern: a regular expression that the whole text must match, unless empty.

    json: a JSON list or object stands for its own text. The text itself may be empty only where the default is; control
    characters are refused but in JSON.
    """
    return _option(default, "text", _text, form, help, variables, pattern=pattern, json=json, empty=not default)


def choice(default: str, options: tuple[str, ...], help: str, variables: str = "") -> Any:
    """One of `options`."""
    return _option(default, "choice", _choice, f"one of {', '.join(options)}", help, variables, options=options)


def flag(default: bool, help: str) -> Any:
    """True or false."""
    return _option(default, "flag", _flag, "true or false", help)


def number(default: float, low: float, high: float, help: str, above: bool = False, variables: str = "") -> Any:
    """From low to high; the kind, integer or float, follows the default's type. above: low itself is refused."""
    kind, article = ("integer", "an integer") if isinstance(default, int) else ("float", "a number")
    limits = f"above {low:g} and at most {high:.10g}" if above else f"from {low:g} to {high:.10g}"
    return _option(default, kind, _number, f"{article} {limits}", help, variables, low=low, high=high, above=above)


def texts(form: str, help: str, pattern: str = "", most: int = 100) -> Any:
    """A tuple of `most` texts at most, empty by default; in the environment and in flags separated by commas."""
    return _option((), "texts", _texts, f"a list of {form}, {most} at most", help, pattern=pattern, most=most)


def pairs(form: str, help: str, name: str, value: str, most: int) -> Any:
    """A tuple of (name, value), empty by default: a table in kennel.toml, NAME=VALUE,NAME=VALUE elsewhere.

    name, value: regular expressions that the whole of each must match.
    """
    allowed = f"a table of {form}, {most} at most"
    return _option((), "pairs", _pairs, allowed, help, name=name, value=value, most=most)


def parsed(default: str | None, form: str, help: str, parse: Callable[[str], Any], variables: str = "") -> Any:
    """What `parse` makes of a text; it raises ValueError or KeyError for one that isn't allowed. default: as text."""
    typed = None if default is None else parse(default)
    return _option(typed, "parsed", _parsed, form, help, variables, parse=parse, text=default)


def allowed(each: "Field[Any]") -> str:
    """What a setting may be, in words."""
    return str(each.metadata["allowed"])


_YES: Final = ("true", "yes", "on", "1")
_NO: Final = ("false", "no", "off", "0")


def from_toml(each: "Field[Any]", value: object) -> Any:
    """The typed value of a setting. Raises ValueError that says what it must be and what it was."""
    return _typed(each, lambda: _printable(each, value))


def from_text(each: "Field[Any]", text: str) -> Any:
    """The same from text: a list as A,B or as TOML writes it, a table as NAME=VALUE,NAME=VALUE or as TOML writes it."""
    return _typed(each, lambda: _printable(each, _decoded(each.metadata["kind"], text.strip())))


def read_texts(options: "Mapping[str, Field[Any]]", given: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The typed values of options, by the fields' names, and a sentence for each text that can't be one.

    options: by the names that `given`, which has all of them, and the sentences have for them.
    """
    values, faults = {}, []
    for name, option in options.items():
        try:
            values[option.name] = from_text(option, given[name])
        except ValueError:
            faults.append(f"{name} must be {allowed(option)}, got {given[name][:100]!r}")
    return values, faults


def from_json(each: "Field[Any]", value: object) -> Any:
    """The same from JSON, which may be text that was encoded up to twice; None for null."""
    decoded = value
    for _ in range(2):
        if isinstance(decoded, str):
            with suppress(ValueError, RecursionError):
                decoded = json.loads(decoded)
    if decoded is None:
        return None
    if each.metadata["kind"] in ("integer", "float") and isinstance(decoded, str):
        decoded = _as_number(decoded)
    if each.metadata.get("json") and isinstance(decoded, list | dict):
        decoded = json.dumps(decoded)
    return _typed(each, lambda: decoded, value)


class _Unfit(Exception):
    """What can't be the value, or the part of it that can't."""

    def __init__(self, value: object) -> None:
        self.value = value


def _typed(each: "Field[Any]", decode: Callable[[], object], given: object = None) -> Any:
    """given: what the sentence quotes; None: the part that is unfit."""
    try:
        return each.metadata["check"](each.metadata, decode())
    except _Unfit as unfit:
        raise ValueError(f"must be {allowed(each)}, got {quoted(unfit.value if given is None else given)}") from None


def _decoded(kind: str, text: str) -> object:
    """What TOML would have had for the text."""
    match kind:
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


def _require(fits: object, value: object) -> None:
    if not fits:
        raise _Unfit(value)


def _printable(each: "Field[Any]", value: Any) -> object:
    _require(each.metadata["kind"] != "text" or not isinstance(value, str) or value.isprintable(), value)
    return value


def _text(about: Mapping[str, Any], value: Any) -> str:
    _require(isinstance(value, str) and (value or about["empty"]), value)
    _require(not value or re.fullmatch(about["pattern"] or ".*", value, re.DOTALL), value)
    return str(value)


def _choice(about: Mapping[str, Any], value: object) -> object:
    _require(value in about["options"], value)
    return value


def _parsed(about: Mapping[str, Any], value: object) -> Any:
    try:
        return about["parse"](value)
    except (ValueError, KeyError):
        raise _Unfit(value) from None


def _flag(_about: Mapping[str, Any], value: object) -> object:
    _require(isinstance(value, bool), value)
    return value


def _number(about: Mapping[str, Any], value: Any) -> float:
    _require(isinstance(value, int | float) and not isinstance(value, bool), value)
    _require(about["low"] <= value <= about["high"], value)  # which no NaN is
    _require(value > about["low"] or not about["above"], value)
    if about["kind"] == "float":
        return float(value)
    _require(value == int(value), value)
    return int(value)


def _texts(about: Mapping[str, Any], value: Any) -> tuple[str, ...]:
    _require(isinstance(value, list) and len(value) <= about["most"], value)
    for each in value:
        _require(isinstance(each, str) and each.isprintable() and re.fullmatch(about["pattern"] or ".+", each), each)
    return tuple(value)


def _pairs(about: Mapping[str, Any], value: Any) -> tuple[tuple[str, str], ...]:
    _require(isinstance(value, dict), value)
    # From here on only names are quoted: values of environment variables may be secrets.
    _require(len(value) <= about["most"], f"{len(value)} names")
    for name, given in value.items():
        _require(re.fullmatch(about["name"], name), name)
        # A number is written as it stands; 1.0 and true could be meant in more than one way.
        _require(isinstance(given, str | int) and not isinstance(given, bool), f"neither text nor integer for {name}")
        _require(re.fullmatch(about["value"], str(given)), f"a text that is too long or has other signs for {name}")
    return tuple((name, str(given)) for name, given in value.items())


def _as_number(text: str) -> object:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _as_toml(text: str) -> object:
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        raise _Unfit("what is no TOML") from None
    _require(len(document) == 1, "more than one")
    return document["value"]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _as_table(text: str) -> object:
    table: dict[str, str] = {}
    for part in _parts(text):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        _require(sign, "a name without =")
        _require(name not in table, f"{name} twice")
        table[name] = value
    return table
