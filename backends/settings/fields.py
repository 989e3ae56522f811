"""The kinds of settings: each field of a section says in its metadata what it may be and what it means."""

from dataclasses import field
from typing import Any


def text(default: str, form: str, help: str, pattern: str = "") -> Any:
    """form: what it may be, in words. pattern: a regular expression that the whole text must match, unless empty."""
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


def texts(form: str, help: str, pattern: str = "") -> Any:
    """A tuple of texts, empty by default; in the environment and in flags separated by commas."""
    return field(default=(), metadata={"kind": "texts", "form": form, "help": help, "pattern": pattern})


def pairs(form: str, help: str) -> Any:
    """A tuple of (name, value), empty by default: a table in kennel.toml, NAME=VALUE,NAME=VALUE elsewhere."""
    return field(default=(), metadata={"kind": "pairs", "form": form, "help": help})
