"""WebDataset layout: files that share a key are one example, 000001.jpg with its class in 000001.cls or 000001.json.

The key is everything before the first dot of the base name, folders included, as in the webdataset library.
"""

import json
from collections.abc import Sequence
from typing import Final

from contract.errors import ImageError
from train.data.archives import Index, Member
from train.data.contents import CLASSES_FILE
from train.data.folders import unique_names
from train.data.listing import LabelledImage, Listing
from train.data.names import IMAGE_SUFFIXES, printable, suffix

_JSON_KEYS: Final = ("label", "class")
# A class is a word or two; more would be another file by mistake.
_MOST_BYTES: Final = 65536


def is_webdataset(index: Index) -> bool:
    """Whether the classes are in .cls files, or in .json files beside images that are in no folder."""
    if any(suffix(member.path) == "cls" for member in index.members):
        return True
    loose = {suffix(member.path) for member in index.members if "/" not in member.path}
    return "json" in loose and bool(loose & IMAGE_SUFFIXES)


def list_webdataset(index: Index, location: str) -> Listing:
    """One image a key, with the class (number or name, as text) that the key's .cls or .json file holds."""
    examples: dict[tuple[str, str], list[Member]] = {}
    for member in index.members:
        folder, slash, base = member.path.rpartition("/")
        if base != CLASSES_FILE:
            examples.setdefault((member.archive, f"{folder}{slash}{base.split('.', 1)[0]}"), []).append(member)
    left_out = list(index.left_out)
    labelled: list[tuple[Member, str]] = []
    for (_, key), members in examples.items():
        pictures = [member for member in members if suffix(member.path) in IMAGE_SUFFIXES]
        pictures.sort(key=lambda member: member.path)
        label, fault = _label(members)
        if not pictures:
            left_out.append((key, "no image has this key"))
        elif fault:
            left_out.append((pictures[0].path, fault))
        else:
            labelled.append((pictures[0], label))
            left_out += [(image.path, f"a second image with the key {key}") for image in pictures[1:]]
    named = unique_names([member for member, _ in labelled])
    images = [
        LabelledImage(label, name, member.source) for (member, name), (_, label) in zip(named, labelled, strict=True)
    ]
    return Listing("WebDataset layout", location, images, left_out=left_out)


def _label(members: Sequence[Member]) -> tuple[str, str]:
    """(class, "") of one example, or ("", the reason why it has none)."""
    for kind in ("cls", "json"):
        for member in members:
            if suffix(member.path) == kind:
                return _read_label(member, kind)
    return "", "no .cls or .json file has its key"


def _read_label(member: Member, kind: str) -> tuple[str, str]:
    name = member.path.rpartition("/")[2]
    try:
        text = member_text(member)
    except ImageError:
        return "", f"{name} is damaged"
    if text is None:
        return "", f"{name} is no UTF-8 text"
    value: object = text.strip()
    if kind == "json":
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return "", f"{name} is no JSON"
        values = [content[key] for key in _JSON_KEYS if key in content] if isinstance(content, dict) else []
        value = values[0] if values else ""
    label = label_text(value)
    return (label, "") if label else ("", f"{name} holds no class")


def label_text(value: object) -> str:
    """A class name, or a class number as text; empty for anything else. A number may be written as 1.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    return printable(str(value).strip())


def member_text(member: Member) -> str | None:
    """A small text file of an archive; None when it is none."""
    if member.source.size > _MOST_BYTES:
        return None
    data = member.source.encoded()
    try:
        return data.decode("utf-8-sig") if isinstance(data, bytes) else None
    except UnicodeDecodeError:
        return None
