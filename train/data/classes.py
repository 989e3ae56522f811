"""Which classes there are, in which order, and what the class numbers of some layouts are called."""

from collections.abc import Mapping, Sequence

from contract.errors import DataError
from train.data.listing import Labelled, Listing
from train.data.names import EXPECTED


def settle_classes(listings: Mapping[str, Listing], given: Sequence[str] | None) -> tuple[str, ...]:
    """Replace the listings' class numbers by names where any are known, and return all classes in order.

    Names for numbers come from a classes.txt (a split's own, else another's), else from what the layouts say when that
    is one name a number and one number a name; else a number is its own name. The order is that of the numbers where
    all training labels are numbers, else alphabetical; `given` classes keep theirs.
    Raises DataError for fewer than two classes, a number without a name, or a class that training lacks.
    """
    shared = next((each.numbered for each in listings.values() if each.numbered is not None), None)
    known = _one_to_one({pair for listing in listings.values() for pair in listing.names})
    order: list[str] = []
    for role, listing in listings.items():
        labels = sorted({image.label for image in listing.images})
        numbers = listing.classes is None and all(label.isdecimal() for label in labels)
        names = listing.numbered if listing.numbered is not None else shared
        if numbers:
            labels.sort(key=int)
        called = {} if listing.classes is not None else _called(role, labels, names if numbers else None, known)
        listing.images = [
            Labelled(called.get(each.label, each.label), each.file, each.source) for each in listing.images
        ]
        if role == "train":
            found = list(dict.fromkeys(called.get(label, label) for label in labels))
            order = found if numbers else sorted({*found, *(listing.classes or ())})
    classes = tuple(given) if given is not None else tuple(order)
    if len(classes) < 2:
        which = f" ({classes[0]})" if classes else ""
        place = next(iter(listings.values())).place
        raise DataError(f"{place} holds one class{which}, a classifier needs at least two; {EXPECTED}")
    for role, listing in listings.items():
        _check_known(role, listing, classes)
    return classes


def _called(role: str, labels: Sequence[str], names: Sequence[str] | None, known: Mapping[int, str]) -> dict[str, str]:
    """Label -> name, for the labels that are numbers and have one."""
    if names is not None:
        if missing := [label for label in labels if int(label) >= len(names)]:
            raise DataError(
                f"{role} data: class number {missing[-1]} has no name: classes.txt has {len(names)} lines, the first "
                "for class 0; add the missing ones"
            )
        return {label: names[int(label)] for label in labels}
    return {label: known[int(label)] for label in labels if label.isdecimal() and int(label) in known}


def _one_to_one(pairs: set[tuple[int, str]]) -> dict[int, str]:
    """The names by number; nothing when a number has two names or a name two numbers."""
    numbers, names = {number for number, _ in pairs}, {name for _, name in pairs}
    return dict(pairs) if len(numbers) == len(names) == len(pairs) else {}


def _check_known(role: str, listing: Listing, classes: Sequence[str]) -> None:
    labels = {image.label for image in listing.images} | set(listing.classes or ())
    unknown = sorted(labels - set(classes))
    if not unknown:
        return
    what = "classes" if listing.classes is None else "folders"
    step = "move or rename them"
    if listing.classes is None:
        step = "correct the labels"
        if all(label.isdecimal() for label in unknown):
            step += ", or name the class numbers in a file classes.txt beside the data"
    raise DataError(
        f"{role} data: the training data has no class for {len(unknown)} of its {what} "
        f"({', '.join(unknown[:5])}); {step}"
    )
