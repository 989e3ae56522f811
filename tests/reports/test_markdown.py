"""Any text can go into Markdown and YAML."""

import pytest
import yaml

from reports.markdown import escape, yaml_string


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("German shepherd", "German shepherd"),
        ("a_b*c", "a\\_b\\*c"),
        ("a\r\n b\t", "a b"),
        ("\udcfc\u202e\x07", "\\\\udcfc\\\\u202e\\\\u0007"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@pytest.mark.parametrize("text", ["", "yes", "a: b", "'", '"\\', "a\nb\t\x85\u2028", "犬 🐕", "- x", "\x00\x7f"])
def test_yaml_strings_are_read_back(text: str) -> None:
    assert yaml.safe_load(yaml_string(text)) == text
    assert yaml_string(text).isascii()
