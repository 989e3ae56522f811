"""Which class an image belongs to, by the name of the folder that it is in."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backends.errors import BackendError

MANIFEST: Final = "kennel.json"
# 001.Affenpinscher: an order number; n02085620-Chihuahua: a WordNet synset. Labels are made without them.
_BEFORE: Final = re.compile(r"^(?:\d+[._\-\s]+(?=\D)|n\d{8}[._\-\s]+(?=\S))+")


@dataclass(frozen=True)
class Artifact:
    """What an artifact's manifest says of it, read as a file. id: as the server's log names it. sha256: of the manifest
    itself, which changes with whatever changes an answer.
    """

    id: str
    sha256: str
    names: tuple[str, ...]
    labels: tuple[str, ...]


def folder_of(file: str) -> str:
    """The name of the folder that a file is in."""
    return os.path.basename(os.path.dirname(os.path.abspath(file)))  # noqa: PTH100, PTH119, PTH120 - a million times


class Truth:
    """Folder names -> classes' labels."""

    def __init__(self, labels: Sequence[str], names: Sequence[str] = ()) -> None:
        """labels: as answers have them. names: of the folders in training, in the same order, where they are known."""
        self._exactly: dict[str, str] = {**{label: label for label in labels}, **dict(zip(names, labels, strict=False))}
        alike: dict[str, set[str]] = {}
        for name, label in self._exactly.items():
            alike.setdefault(_plain(name), set()).add(label)
        self._nearly = {name: next(iter(each)) for name, each in alike.items() if len(each) == 1}

    def label(self, folder: str) -> str | None:
        """The class of a folder of that name: by its exact name, by its label, or by a name that differs only in
        number, case or underscores; None where there is none, or more than one.
        """
        return self._exactly.get(folder) or self._nearly.get(_plain(folder))


def labels_told(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every label that occurs in answers: all that is known of the classes without the artifact."""
    found = {str(each["label"]): None for row in rows for each in row.get("predictions", ())}
    return list(found)


def read_artifact(folder: Path) -> Artifact:
    """Raises BackendError when its manifest can't be made out."""
    try:
        content = (folder / MANIFEST).read_bytes()
        values = json.loads(content)
        entries = values["classes"]
        names, labels = (tuple(str(entry[key]) for entry in entries) for key in ("name", "label"))
        return Artifact(str(values["weights"]["sha256"])[:12], hashlib.sha256(content).hexdigest(), names, labels)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f"{folder / MANIFEST} can't be read ({error!r}); copy the artifact's folder again"
        ) from error


def _plain(name: str) -> str:
    return re.sub(r"[_\s]+", " ", _BEFORE.sub("", name)).strip().casefold()
