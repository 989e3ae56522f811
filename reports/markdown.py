"""Values in Markdown and YAML: whatever a name holds, it stays text."""

from typing import Final

from markupsafe import Markup

from reports.page import visible

# Every ASCII punctuation mark may have a backslash (CommonMark 0.31, section 2.4); these can mean something in a line.
_SPECIAL: Final = frozenset("\\`*_[]<>|~&#$!@")


def escape(text: str) -> str:
    """`text` as it is, within one line or table cell: nothing in it is markup, HTML or a line break."""
    line = str(visible(" ".join(text.split())))
    return "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in line)


def markdown(value: object) -> Markup:
    """A template's value: floats in six significant digits, None as a dash, text escaped; Markup stays as it is."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup("-")
    return Markup(escape(f"{value:.6g}" if isinstance(value, float) else str(value)))  # noqa: S704 - escaped


def percent(share: float | None) -> str | None:
    """`98.3 %`; None for None."""
    return None if share is None else f"{100 * share:.1f} %"


def code(name: str) -> Markup:
    """An identifier as code; any other name as text."""
    return Markup(f"`{name}`") if name.isidentifier() else markdown(name)  # noqa: S704 - an identifier has no markup


def yaml_string(text: str) -> Markup:
    """`text` as a double-quoted scalar of YAML 1.1 and 1.2, in ASCII; a lone surrogate becomes U+FFFD."""
    return Markup('"' + "".join(_yaml_letter(letter) for letter in text) + '"')  # noqa: S704 - YAML, not Markdown


def _yaml_letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter.isascii() and letter.isprintable():
        return letter
    # YAML has no surrogates, alone or in pairs.
    number = 0xFFFD if 0xD800 <= ord(letter) <= 0xDFFF else ord(letter)
    return f"\\U{number:08x}"
