"""Writes kennel.toml: every setting with what it means, those at their defaults commented out."""

import json
import textwrap
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from backends.errors import BackendError
from backends.settings.read import SECTIONS, TABLE, Name, read
from backends.settings.sections import Settings
from contract.options import allowed

_WIDTH: Final = 110
_HEAD: Final = """\
# Kennel's settings. Take the # off a setting to change it from its default, which is what it shows.
# Environment variables (KENNEL_TRAIN_SPOT=true) go over this file, and flags (-o train.spot=true) over both.
# All of it is explained in docs/configuration.md; `python deploy.py doctor` checks what is set.
"""
_SECTIONS: Final = {
    "kennel": "where jobs run, and where their folders are",
    "sagemaker": "the account, and what all jobs in it have in common; for on = \"sagemaker\", as all below",
    "data": "how photos travel to S3",
    "train": "training jobs, and those of a search; hyperparameters are given with --set",
    "tune": "what a search has besides the command's own options",
    "deploy": "endpoints",
    "transform": "batch transform jobs",
    "evaluate": "evaluations",
    "registry": "model packages",
}  # fmt: skip


def write(file: Path, flags: Sequence[str], force: bool) -> Settings:
    """Write the file with what `flags` set; the settings that it then holds.

    Raises BackendError when a flag is wrong, or when the file is there already, unless `force`.
    """
    reading = read(None, flags, {})
    text = render(reading.settings, reading.origins)
    try:
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise BackendError(f"{file} is there already; give another file, or --force to replace it") from None
    except OSError as error:
        raise BackendError(f"{file} can't be written: {error.strerror}; give another file") from None
    return reading.settings


def render(settings: Settings, shown: Collection[Name]) -> str:
    """The file's text. shown: the settings that are not commented out."""
    parts = [_HEAD]
    for section in SECTIONS:
        parts.append(f"\n{_comment(_SECTIONS[section])}\n[{section}]\n")
        for name, setting in TABLE.items():
            if name.section == section:
                value = getattr(getattr(settings, section), name.key)
                text = _table(value) if setting.metadata["kind"] == "pairs" else _toml(value)
                mark = "" if name in shown else "#"
                about = _comment(f"{allowed(setting)}; {setting.metadata['help']}")
                parts.append(f"{about}\n{mark}{name.key} = {text}\n")
    return "".join(parts)


def _comment(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False))


def _toml(value: Any) -> str:
    """JSON's strings, numbers, lists and words are TOML's as well."""
    return json.dumps(value, ensure_ascii=False)


def _table(pairs: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{_toml(name)} = {_toml(value)}" for name, value in pairs) + "}"
