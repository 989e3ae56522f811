"""What one role's data turned out to hold, before any image is decoded."""

from dataclasses import dataclass, field
from typing import NamedTuple

from contract.errors import DataError
from train.data.sources import Source


class Labelled(NamedTuple):
    """One image file and its class.

    label: the class's name, or its number as text. file: its relative path, with or without the class in front.
    """

    label: str
    file: str
    source: Source


@dataclass
class Listing:
    """The images of one role as its layout tells them.

    layout: in a few words. classes: with class folders, their names, empty ones too; else None. names: what the class
    numbers are called, so far as the layout says. numbered: names by number from a classes.txt. left_out: file -> why.
    held: what there is in a few words, for the sentence that says none of it is an image.
    """

    layout: str
    place: str
    images: list[Labelled]
    classes: list[str] | None = None
    names: set[tuple[int, str]] = field(default_factory=set)
    numbered: list[str] | None = None
    left_out: list[tuple[str, str]] = field(default_factory=list)
    held: str = ""


def parse_classes(text: str, where: str) -> list[str]:
    """The names in a classes.txt: one a line, the first for class 0. Raises DataError for an empty or repeated one."""
    names = [line.strip() for line in text.rstrip().split("\n")]
    for number, name in enumerate(names):
        if not name:
            raise DataError(f"{where}: line {number + 1} is empty; write one class name a line, the first for class 0")
        if name in names[:number]:
            raise DataError(f"{where}: {name} stands in it twice (again in line {number + 1}); name each class once")
    return names
