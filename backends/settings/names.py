"""What settings are called, in a file, in the environment and in flags, and what a wrong name may have meant."""

import difflib
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields
from typing import Any, Final

from backends.settings.sections import Settings
from contract.hyperparameters import table_rows

# Names that a sentence lists; of more it says where they are.
_FEW: Final = 12


@dataclass(frozen=True)
class Name:
    """Of one setting: `key` below [section] of kennel.toml, section.key in flags."""

    section: str
    key: str

    def __str__(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """In the environment: KENNEL_SECTION_KEY, of [kennel] KENNEL_KEY."""
        return "_".join(part.upper() for part in ("kennel", self.section, self.key)[self.section == "kennel" :])


SECTIONS: Final = tuple(each.name for each in fields(Settings))
# Every setting, in order.
TABLE: Final[dict[Name, "Field[Any]"]] = {
    Name(section.name, each.name): each
    for section in fields(Settings)
    for each in fields(section.type)  # type: ignore[arg-type] # each section is a dataclass
}


def of_variable(variable: str) -> Name | None:
    """What an environment variable would set, whether there is such a setting or not.

    None for those that begin as [kennel]'s do: training and serving have such variables, too.
    """
    for section in SECTIONS:
        stem = f"KENNEL_{section.upper()}_"
        if section != "kennel" and variable.startswith(stem):
            return Name(section, variable.removeprefix(stem).lower())
    return None


def named(text: str) -> Name:
    """The setting of a flag: SECTION.NAME, or NAME where one section alone has it. Raises ValueError for others."""
    plain = text.replace("-", "_")
    found = [name for name in TABLE if plain in (str(name), name.key)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"is in several sections; say which: {' or '.join(map(str, found))}")
    if same := [str(name) for name in TABLE if name.key == plain.rpartition(".")[2]]:
        raise ValueError(f"no such setting; did you mean {' or '.join(same)}?")
    known = [str(name) if "." in plain else name.key for name in TABLE]
    raise ValueError(f"no such setting; {hint(plain, known, 'settings')}")


def unknown(name: Name) -> str:
    """What to say of a name that its section doesn't have."""
    keys = [each.key for each in TABLE if each.section == name.section]
    if elsewhere := [f"[{each.section}]" for each in TABLE if each.key == name.key]:
        return f"no such setting there; it is in {' and '.join(elsewhere)}"
    return f"no such setting; {hint(name.key, keys, 'names')}"


def outside(key: str) -> str:
    """What to say of a name that stands above all sections of a file."""
    if key in SECTIONS:
        return f"is a section; write [{key}], and its settings below it"
    if places := [f"[{each.section}]" for each in TABLE if each.key == key]:
        return f"stands outside of all sections; put it below {' or '.join(places)}"
    return f"no such setting; {hint(key, [each.key for each in TABLE], 'settings')}"


def hint(wrong: str, known: Sequence[str], what: str) -> str:
    """The name that was meant, if one is alike; else where they all are."""
    key = wrong.rpartition(".")[2]
    if key in {row[0] for row in table_rows()}:
        return f"{key} is a hyperparameter, which --set gives"
    if close := difflib.get_close_matches(wrong, known, n=1, cutoff=0.6):
        return f"did you mean {close[0]}?"
    if len(known) <= _FEW:
        return f"the {what} are {', '.join(known)}"
    return f"docs/configuration.md has all {what}"
