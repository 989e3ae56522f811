"""The files of one split and their classes, before any image is decoded; the order and names of the classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from contract.errors import DataError
from train.data.names import EXPECTED
from train.data.sources import ImageSource


class LabelledImage(NamedTuple):
    """One image file and its class.

    label: the class's name, or its number as text. file: its relative path, with or without the class in front.
    """

    label: str
    file: str
    source: ImageSource


@dataclass(frozen=True)
class Listing:
    """The images of one split as its layout names them.

    layout, location, held: a few words for people; held says what there is, for the error that none of it is an image.
    classes: with class folders, their names, also of empty ones; else None. names: (class number, name) pairs that the
    layout gives. numbered: names by number from a classes.txt. left_out: (file, reason).
    """

    layout: str
    location: str
    images: list[LabelledImage]
    classes: list[str] | None = None
    names: frozenset[tuple[int, str]] = frozenset()
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


def name_classes(
    listings: Mapping[str, Listing], known: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """All classes in order, and the listings with class names instead of numbers where names are known.

    Names for numbers come from a classes.txt (a split's own, else another's), else from the layouts where these give
    one name a number and one number a name; else a number is its own name. The order is that of the numbers where all
    training labels are numbers, else alphabetical; with `known` classes it is theirs.
    Raises DataError for fewer than two classes, a number without a name, or a class that training lacks.
    """
    shared = next((listing.numbered for listing in listings.values() if listing.numbered is not None), None)
    by_number = _one_to_one({pair for listing in listings.values() for pair in listing.names})
    order: list[str] = []
    named: dict[str, Listing] = {}
    for split, listing in listings.items():
        labels = sorted({image.label for image in listing.images})
        numbers = listing.classes is None and all(label.isdecimal() for label in labels)
        names = listing.numbered if listing.numbered is not None else shared
        if numbers:
            labels.sort(key=int)
        called = {}
        if listing.classes is None:
            called = _names_of(split, labels, names if numbers else None, by_number)
        images = [image._replace(label=called.get(image.label, image.label)) for image in listing.images]
        named[split] = replace(listing, images=images)
        if split == "train":
            trained = list(dict.fromkeys(called.get(label, label) for label in labels))
            order = trained if numbers else sorted({*trained, *(listing.classes or ())})
    classes = tuple(order if known is None else known)
    if len(classes) < 2:
        which = f" ({classes[0]})" if classes else ""
        location = next(iter(listings.values())).location
        raise DataError(f"{location} holds one class{which}, a classifier needs at least two; {EXPECTED}")
    for split, listing in named.items():
        _refuse_unknown(split, listing, classes)
    return classes, named


def _names_of(
    split: str, labels: Sequence[str], names: Sequence[str] | None, by_number: Mapping[int, str]
) -> dict[str, str]:
    """Label -> name, for the labels that are numbers and have one."""
    if names is not None:
        if missing := [label for label in labels if int(label) >= len(names)]:
            raise DataError(
                f"{split} data: class number {missing[-1]} has no name: classes.txt has {len(names)} lines, the first "
                "for class 0; add the missing ones"
            )
        return {label: names[int(label)] for label in labels}
    return {label: by_number[int(label)] for label in labels if label.isdecimal() and int(label) in by_number}


def _one_to_one(pairs: set[tuple[int, str]]) -> dict[int, str]:
    """The names by number; nothing when a number has two names or a name two numbers."""
    numbers, names = {number for number, _ in pairs}, {name for _, name in pairs}
    return dict(pairs) if len(numbers) == len(names) == len(pairs) else {}


def _refuse_unknown(split: str, listing: Listing, classes: Sequence[str]) -> None:
    labels = {image.label for image in listing.images} | set(listing.classes or ())
    unknown = sorted(labels - set(classes))
    if not unknown:
        return
    what, step = "folders", "move or rename them"
    if listing.classes is None:
        what, step = "classes", "correct the labels"
        if all(label.isdecimal() for label in unknown):
            step += ", or name the class numbers in a file classes.txt beside the data"
    raise DataError(
        f"{split} data: the training data has no class for {len(unknown)} of its {what} "
        f"({', '.join(unknown[:5])}); {step}"
    )
