"""From the folders and files of the splits to a checked data set: every image is decoded once before training."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import DataError, ImageError
from contract.progress import Progress
from model.machine import available_cpus
from model.preprocess import decode
from train.data.classes import settle_classes
from train.data.dataset import DataSet, Sample, Skipped, Split
from train.data.layouts import Place, read_place
from train.data.listing import Listing
from train.data.names import EXPECTED, printable
from train.data.sources import FileSource, Source


@dataclass(frozen=True)
class Found:
    """The images of all roles in order, not yet decoded, over one list of classes."""

    classes: tuple[str, ...]
    samples: dict[str, tuple[Sample, ...]]
    listings: dict[str, Listing]


def find_images(roles: Mapping[str, Place | Path], classes: Sequence[str] | None = None) -> Found:
    """The labelled files of each role, ordered by class and file name, whatever layout they are in.

    Raises DataError when a place is in no known layout, or a class was never trained on.
    """
    places = {role: roles[role] for role in ("train", "valid", "test") if role in roles}
    listings = {}
    for role, place in places.items():
        try:
            listings[role] = read_place(Place(place) if isinstance(place, Path) else place, classes or ())
        except DataError as error:
            raise DataError(f"{role} data: {error}") from error
    names = settle_classes(listings, classes)
    return Found(names, {role: _samples(listing, names) for role, listing in listings.items()}, listings)


def _samples(listing: Listing, classes: Sequence[str]) -> tuple[Sample, ...]:
    index = {name: number for number, name in enumerate(classes)}
    # By the parts of the path, as folders are walked: the same photos give the same order in every layout.
    images = sorted(
        ((index[each.label], _below_class(each.label, each.file), each.source) for each in listing.images),
        key=lambda image: (image[0], image[1].split("/")),
    )
    samples, used = [], set()
    for label, file, source in images:
        name = plain = printable(f"{classes[label]}/{file}")
        number = 1
        while name in used:
            number += 1
            name = f"{plain}~{number}"
        used.add(name)
        samples.append(Sample(source, label, name))
    return tuple(samples)


def _below_class(label: str, file: str) -> str:
    return file.removeprefix(f"{label}/")


def load_data(roles: Mapping[str, Place | Path], progress: Progress, classes: Sequence[str] | None = None) -> DataSet:
    """Find and check every image in the roles' places (role -> folder or `Place`).

    Every file is decoded once; those that can't be are left out and reported. The classes are the training data's,
    or `classes` when given. Raises DataError when a place is in no known layout, a class has no readable image
    left, or a class was never trained on.
    """
    found = find_images(roles, classes)
    todo = [(role, sample) for role, samples in found.samples.items() for sample in samples]
    reasons = check_images([sample.source for _, sample in todo], progress)
    left_out = [
        Skipped(f"{role}/{printable(file)}", why)
        for role, listing in found.listings.items()
        for file, why in listing.left_out
    ]
    good: dict[str, list[Sample]] = {role: [] for role in found.samples}
    skipped = []
    for (role, sample), reason in zip(todo, reasons, strict=True):
        if reason is None:
            good[role].append(sample)
        else:
            skipped.append(Skipped(f"{role}/{sample.name}", reason))
    data = DataSet(
        found.classes,
        {role: Split(role, tuple(samples), str(roles[role])) for role, samples in good.items()},
        (*skipped, *left_out),
    )
    notes = [
        f"{role} data: {listing.layout}"
        for role, listing in found.listings.items()
        if listing.layout != "class folders"
    ]
    return DataSet(data.classes, data.splits, data.skipped, (*notes, *_check_classes(found, data)))


def _check_classes(found: Found, data: DataSet) -> list[str]:
    notes = []
    for role, split in data.splits.items():
        present = {sample.label for sample in split.samples}
        lost = [number for number in range(len(data.classes)) if number not in present]
        if role == "train" or not split.samples:
            _refuse_lost(role, found, data, lost)
        if lost:
            names = ", ".join(data.classes[number] for number in lost[:5])
            notes.append(f"{role} data has no image of {len(lost)} classes: {names}")
    if data.skipped:
        kinds = Counter(each.file.split("/", 1)[0] for each in data.skipped)
        notes.append("skipped unreadable files: " + ", ".join(f"{n} in {role}" for role, n in kinds.items()))
    return notes


def _refuse_lost(role: str, found: Found, data: DataSet, lost: Sequence[int]) -> None:
    """Raises DataError when none of the role's files is an image, or a class that the role has is without any."""
    if not lost:
        return
    listing, samples = found.listings[role], found.samples[role]
    if samples and not data.splits[role].samples and listing.held:
        held = f"{listing.place} holds {listing.held}, none an image that can be read"
        raise DataError(f"{role} data: {held}; {EXPECTED}")
    own = set(listing.classes or ())
    number = next((each for each in lost if data.classes[each] in own), lost[0])
    name = data.classes[number]
    first = next((each for each in data.skipped if each.file.startswith(f"{role}/{printable(name)}/")), None)
    why = f" (for example {first.file}: {first.reason})" if first else ""
    files = sum(sample.label == number for sample in samples)
    step = "put images in that folder or remove it" if own else "add images of it or leave it out"
    raise DataError(f"{role} data: class {name} has no readable image among its {files} files{why}; {step}")


# 100 megapixels, the most that are decoded, are 400 MB uncompressed with transparency.
MAX_BYTES: Final = 512 * 2**20


def check_images(sources: Sequence[Source], progress: Progress) -> list[str | None]:
    """Why each image can't be used; None where it can. Pillow decodes outside Python's lock, so threads do."""
    reasons: list[str | None] = []
    with ThreadPoolExecutor(available_cpus()) as pool:
        for reason in pool.map(_fault, sources):
            reasons.append(reason)
            progress.update("checking images", len(reasons), len(sources), "images")
    return reasons


def _fault(source: Source) -> str | None:
    try:
        if source.size == 0:
            return "empty file"
        # A file is read as far as the decoder asks; an archive's entry is read whole.
        if source.size > MAX_BYTES and not isinstance(source, FileSource):
            return f"larger than {MAX_BYTES // 2**20} MiB"
        # Smallest scale: truncation and corruption show all the same, at a fraction of the cost.
        decode(source.encoded(), min_size=8)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return None
