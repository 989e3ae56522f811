"""The kinds of settings: each field of a section says in its metadata what it may be and what it means."""

from dataclasses import Field, field
from typing import Any


def text(default: str, form: str, help: str, pattern: str = "") -> Any:
    """form: what it may be, in words. pattern: a regular expression that the whole text must match, unless empty.

    The text itself may be empty only where the default is.
    """
    return field(default=default, metadata={"kind": "text", "form": form, "help": help, "pattern": pattern})


def choice(default: str, options: tuple[str, ...], help: str) -> Any:
    """One of `options`."""
    return field(default=default, metadata={"kind": "choice", "options": options, "help": help})


def flag(default: bool, help: str) -> Any:
    """True or false."""
    return field(default=default, metadata={"kind": "flag", "help": help})


def number(default: float, low: float, high: float, help: str) -> Any:
    """From low to high; the kind, integer or float, follows the default's type."""
    kind = "integer" if isinstance(default, int) else "float"
    return field(default=default, metadata={"kind": kind, "low": low, "high": high, "help": help})


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


def allowed(each: "Field[Any]") -> str:
    """What a setting may be, in words."""
    about = each.metadata
    match about["kind"]:
        case "choice":
            return "one of " + ", ".join(about["options"])
        case "flag":
            return "true or false"
        case "text":
            return str(about["form"])
        case "texts":
            return f"a list of {about['form']}, {about['most']} at most"
        case "pairs":
            return f"a table of {about['form']}, {about['most']} at most"
        case kind:
            article = "an integer" if kind == "integer" else "a number"
            return f"{article} from {about['low']:g} to {about['high']:.10g}"
