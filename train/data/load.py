"""From the folders and files of the splits to a checked data set: every image is decoded once before training."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from contract.errors import DataError, ImageError
from contract.progress import Progress
from model.machine import available_cpus
from model.preprocess import decode
from train.data.dataset import DataSet, Sample, Skipped, Split
from train.data.layouts import DataLocation, read_listing
from train.data.listing import Listing, name_classes
from train.data.names import EXPECTED, printable
from train.data.sources import FileSource, ImageSource

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class FoundImages:
    """The images of all splits in order, not yet decoded, over one list of classes."""

    classes: tuple[str, ...]
    samples: dict[str, tuple[Sample, ...]]
    listings: dict[str, Listing]


def find_images(splits: Mapping[str, DataLocation | Path], classes: Sequence[str] | None = None) -> FoundImages:
    """The labelled files of each split, ordered by class and file name, in any layout.

    Raises DataError when a location is in no known layout, or a class has no training images.
    """
    listings = {}
    for split in ("train", "valid", "test"):
        if split in splits:
            location = splits[split]
            location = DataLocation(location) if isinstance(location, Path) else location
            try:
                listings[split] = read_listing(location, classes or ())
            except DataError as error:
                raise DataError(f"{split} data: {error}") from error
    names, listings = name_classes(listings, classes)
    return FoundImages(names, {split: _samples(listing, names) for split, listing in listings.items()}, listings)


def _samples(listing: Listing, classes: Sequence[str]) -> tuple[Sample, ...]:
    index = {name: number for number, name in enumerate(classes)}
    # By the parts of the path, as folders are walked: the same photos give the same order in every layout.
    images = sorted(
        ((index[image.label], image.file.removeprefix(f"{image.label}/"), image.source) for image in listing.images),
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


def load_data(
    splits: Mapping[str, DataLocation | Path], progress: Progress, classes: Sequence[str] | None = None
) -> DataSet:
    """Find and check every image of the splits (split -> folder or `DataLocation`).

    Every file is decoded once; those that can't be are left out and reported. The classes are the training data's
    unless `classes` are given. Raises DataError when a location is in no known layout, a class has no readable image
    left, or a class has no training images.
    """
    images = find_images(splits, classes)
    samples = [(split, sample) for split, own in images.samples.items() for sample in own]
    reasons = check_images([sample.source for _, sample in samples], progress)
    good: dict[str, list[Sample]] = {split: [] for split in images.samples}
    skipped = []
    for (split, sample), reason in zip(samples, reasons, strict=True):
        if reason is None:
            good[split].append(sample)
        else:
            skipped.append(Skipped(f"{split}/{sample.name}", reason))
    notes = []
    for split, listing in images.listings.items():
        skipped += [Skipped(f"{split}/{printable(file)}", reason) for file, reason in listing.left_out]
        if listing.layout != "class folders":
            notes.append(f"{split} data: {listing.layout}")
    data = DataSet(
        images.classes,
        {split: Split(split, tuple(own), str(splits[split])) for split, own in good.items()},
        tuple(skipped),
    )
    return replace(data, notes=(*notes, *_check_classes(images, data)))


def _check_classes(images: FoundImages, data: DataSet) -> list[str]:
    notes = []
    for name, split in data.splits.items():
        present = {sample.label for sample in split.samples}
        lost = [number for number in range(len(data.classes)) if number not in present]
        if name == "train" or not split.samples:
            _refuse_lost(name, images, data, lost)
        if lost:
            examples = ", ".join(data.classes[number] for number in lost[:5])
            notes.append(f"{name} data has no image of {len(lost)} classes: {examples}")
    if data.skipped:
        kinds = Counter(skipped.file.split("/", 1)[0] for skipped in data.skipped)
        notes.append("skipped unreadable files: " + ", ".join(f"{n} in {split}" for split, n in kinds.items()))
    return notes


def _refuse_lost(split: str, images: FoundImages, data: DataSet, lost: Sequence[int]) -> None:
    """Raises DataError when none of the split's files is an image, or a class that the split has is without any."""
    if not lost:
        return
    listing, samples = images.listings[split], images.samples[split]
    if samples and not data.splits[split].samples and listing.held:
        held = f"{listing.location} holds {listing.held}, none an image that can be read"
        raise DataError(f"{split} data: {held}; {EXPECTED}")
    own = set(listing.classes or ())
    number = next((number for number in lost if data.classes[number] in own), lost[0])
    name = data.classes[number]
    first = next((skipped for skipped in data.skipped if skipped.file.startswith(f"{split}/{printable(name)}/")), None)
    why = f" (for example {first.file}: {first.reason})" if first else ""
    files = sum(sample.label == number for sample in samples)
    step = "put images in that folder or remove it" if own else "add images of it or leave it out"
    raise DataError(f"{split} data: class {name} has no readable image among its {files} files{why}; {step}")


# 100 megapixels, the most that are decoded, are 400 MB uncompressed with transparency.
MAX_BYTES: Final = 512 * 2**20


def check_images(sources: Sequence[ImageSource], progress: Progress) -> list[str | None]:
    """For each image why it can't be used; None where it can."""
    reasons: list[str | None] = []
    for reason in map_in_threads(_fault, sources, ahead=4 * available_cpus()):
        reasons.append(reason)
        progress.update("checking images", len(reasons), len(sources), "images")
    return reasons


def map_in_threads(function: Callable[[_T], _R], items: Iterable[_T], ahead: int) -> Iterator[_R]:
    """function(item) for each item, in order, by as many threads as there are cores, up to `ahead` items in advance.

    Pillow decodes and resizes outside of Python's lock, so threads run at the same time.
    """
    remaining = iter(items)
    with ThreadPoolExecutor(available_cpus()) as pool:
        running = deque(pool.submit(function, item) for item in islice(remaining, ahead))
        while running:
            yield running.popleft().result()
            running.extend(pool.submit(function, item) for item in islice(remaining, 1))


def _fault(source: ImageSource) -> str | None:
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
