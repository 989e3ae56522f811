"""Pieces of GitHub-flavoured Markdown that any text may go into, and strings for YAML."""

from collections.abc import Sequence

# Every ASCII punctuation mark may have a backslash (CommonMark 0.31, section 2.4); these can mean something in a line.
_SPECIAL = frozenset("\\`*_[]<>|~&#$!@")


def escape(text: str) -> str:
    """`text` as it is, within one line or table cell: nothing in it is markup, HTML or a line break."""
    line = visible(" ".join(text.split()))
    return "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in line)


def visible(text: str) -> str:
    """`text` with control characters, lone surrogates and marks of writing direction as numbers, `u202e` say."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int | None = None) -> str:
    """A table. The cells are Markdown already. Columns from `numbers` on (all but the first) are set to the right."""
    first = 1 if numbers is None else numbers
    rule = ["---" if column < first else "---:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def details(summary: str, body: str) -> str:
    """`body`, Markdown, folded away below `summary`, plain text. Viewers without HTML show both."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def bullets(lines: Sequence[str]) -> str:
    """A list; the lines are Markdown already."""
    return "\n".join(f"- {line}" for line in lines)


def yaml_string(text: str) -> str:
    """`text` as a double-quoted scalar of YAML 1.1 and 1.2, in ASCII; a lone surrogate becomes U+FFFD."""
    return '"' + "".join(_yaml_letter(letter) for letter in text) + '"'


def _yaml_letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter.isascii() and letter.isprintable():
        return letter
    # YAML has no surrogates, alone or in pairs.
    number = 0xFFFD if 0xD800 <= ord(letter) <= 0xDFFF else ord(letter)
    return f"\\U{number:08x}"
