"""Where a search space is written: in a text, a mapping, a TOML file, options of a command, or under a name of ours.

Nothing is judged here. Standard library only.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PRESETS: Final[dict[str, dict[str, str]]] = {
    "default": {"lr": "0.001:0.1:log", "batch_size": "16,32,64,128", "epochs": "2:5"},
    "wide": {
        "lr": "0.0001:0.1:log",
        "batch_size": "16,32,64,128",
        "epochs": "2:15",
        "optimizer": "adamw,sgd",
        "weight_decay": "0.0001:0.1:log",
        "warmup_ratio": "0:0.3",
        "label_smoothing": "0:0.2",
        "head": "linear,mlp",
    },
}

_SPEED = "it changes how fast a trial runs, not what comes of it"
_OBSERVER = "it watches the training and has no part in it"
# Of every other hyperparameter the table in contract.hyperparameters has all that a range needs.
_NOT_SEARCHED: Final[dict[str, str]] = {
    "pretrained": "all trials start from the same weights",
    "seed": "trials would differ by chance, and the luckiest would win",
    "validation_fraction": "it changes the data by which trials are compared",
    "feature_precision": _SPEED,
    "workers": _SPEED,
    "cache": _SPEED,
    "device": _SPEED,
    "tensorboard": _OBSERVER,
    "debug": _OBSERVER,
    "debug_interval": _OBSERVER,
    "profile": _OBSERVER,
    "profile_interval": _OBSERVER,
    "profile_steps": _OBSERVER,
    "rules": _OBSERVER,
    "rule_action": _OBSERVER,
    "callbacks": _OBSERVER,
    "export": "it comes after the training",
}


def why_not_searched(name: str) -> str | None:
    """The reason why a search can't vary this hyperparameter; None when it can."""
    return "it describes the search itself" if name.startswith("tune_") else _NOT_SEARCHED.get(name)


_FORM = "NAME=RANGE, as in lr=0.001:0.1:log or batch_size=16,32,64"


@dataclass(frozen=True)
class Entries:
    """(name, range) as written, and what can't even be split into these."""

    pairs: list[tuple[str, object]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def changed_by(self, other: "Entries") -> "Entries":
        """`other`'s ranges, each in the place of one of the same name, if there is one."""
        theirs = {_plain(name) for name, _ in other.pairs}
        mine = [pair for pair in self.pairs if _plain(pair[0]) not in theirs]
        return Entries(mine + other.pairs, self.faults + other.faults)


def _plain(name: str) -> str:
    return name.replace("-", "_")


def split_space(given: object) -> Entries:
    """A preset's name, `NAME=RANGE; NAME=RANGE`, a JSON object as text, or a mapping."""
    if isinstance(given, Mapping):
        return Entries([(str(name), about) for name, about in given.items()])
    if not isinstance(given, str):
        return Entries(faults=[f"a search space must be a text or a mapping, got {json.dumps(given, default=repr)}"])
    text = given.strip()
    if text in PRESETS:
        return Entries(list(PRESETS[text].items()))
    if text.startswith(("{", "[")):
        return _json(text)
    return split_params([each for each in text.split(";") if each.strip()])


def split_params(params: Sequence[str]) -> Entries:
    """Each `NAME=RANGE`."""
    found = Entries()
    for each in params:
        name, equals, about = each.partition("=")
        if equals and name.strip():
            found.pairs.append((name.strip(), about.strip()))
        elif not equals and name.strip().isidentifier():
            presets = ", ".join(PRESETS)
            found.faults.append(f"{name.strip()}: neither a preset of the search space ({presets}) nor {_FORM}")
        else:
            found.faults.append(f"{each.strip() or 'an empty range'}: must be {_FORM}")
    return found


def read_entries(file_or_preset: str) -> Entries:
    """Those of a preset, or of a TOML file."""
    if file_or_preset in PRESETS:
        return Entries(list(PRESETS[file_or_preset].items()))
    try:
        content = tomllib.loads(Path(file_or_preset).read_text(encoding="utf-8"))
    except FileNotFoundError:
        presets = " or ".join(PRESETS)
        return Entries(faults=[f"{file_or_preset}: no such file; a search space is a TOML file, {presets}"])
    except OSError as error:
        return Entries(faults=[f"{file_or_preset} can't be read ({error.strerror})"])
    except ValueError as error:
        return Entries(faults=[f"{file_or_preset} can't be read as TOML ({error})"])
    return Entries(list(content.items()))


def _json(text: str) -> Entries:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Entries(faults=[f"the search space can't be read as JSON ({error})"])
    if not isinstance(content, dict):
        return Entries(faults=["the search space must be a JSON object of names and ranges, got a list"])
    return Entries(list(content.items()))
