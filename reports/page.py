"""Renders a template to one self-contained HTML file: style, script, charts and pictures are all inside."""

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from reports.units import count, percent, points

_TEMPLATES: Final = Path(__file__).parent / "templates"
# Controls, and what turns the direction of text: harmless in a browser, but a name could pass for another one.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(value: object) -> object:
    """Text with what can't be seen, or isn't Unicode, as a backslash escape; anything else as it is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", value)


def breakable(name: str) -> Markup:
    """A file's name that may break after each of / _ -."""
    parts = re.split(r"(?<=[/_-])(?=.)", str(visible(name)), flags=re.DOTALL)
    return Markup("<wbr>").join(parts)


def environment(finalize: Callable[[object], object], **filters: Callable[..., object]) -> jinja2.Environment:
    """For the templates beside this file. finalize: what a value becomes before it is escaped for HTML."""
    result = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    result.filters.update(filters)
    return result


def render(template: str, **values: Any) -> bytes:
    """The page as UTF-8. Every text among the values is escaped; the page's own policy forbids any other script."""
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    text = (
        environment(visible, percent=percent, points=points, count=count, breakable=breakable)
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704
            style_hash=_hash(style),
            script_hash=_hash(script),
            **values,
        )
    )
    return text.encode("utf-8", "backslashreplace")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
