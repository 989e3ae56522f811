"""Keeps images in memory, decoded once: what comes before the random part of their preprocessing."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from model.machine import available_cpus, available_memory
from model.preprocess import UInt8Array
from train.loader import Images, Kept
from train.run import Run

SHARE: Final = 0.5  # of the available memory; the rest is for network, batches and the system
_PROBES: Final = 16


def keep_images(run: Run, available: int | None = None) -> None:
    """With cache=memory, decode the images of training and validation into `run.kept`, if they fit.

    available: bytes of memory, instead of this machine's. One line says what is kept, or why nothing is. Processes
    that load images share the memory, as forked ones do; where they are started in another way nothing is kept.
    Raises DataError when an image can't be read any more.
    """
    if run.hyperparameters.cache != "memory":
        return
    if run.workers and multiprocessing.get_start_method() != "fork":
        _say("each of the processes that load images would need a copy on this system; it stays off (set workers=0)")
        return
    budget = int(SHARE * (available_memory() if available is None else available))
    sets = {("train", True): run.images("train", augmented=True), ("valid", False): run.images("valid", False)}
    estimate = sum(_estimate(images) for images in sets.values())
    if estimate > budget:
        _say(f"the images need about {_size(estimate)}, and {_size(budget)} can be spared; it stays off")
        return
    total = sum(len(images) for images in sets.values())
    done = used = 0
    kept: dict[tuple[str, bool], Kept] = {}
    for key, images in sets.items():
        kept[key] = []
        for pixels in _decoded(images):
            kept[key].append(pixels)
            done += 1
            used += pixels.nbytes
            run.progress.update("decoding images into memory", done, total, "images")
            if used > budget:
                _say(f"{done} of {total} images need {_size(used)}, and {_size(budget)} can be spared; it stays off")
                return
    run.kept = kept
    _say(f"{total} decoded images in memory, {_size(used)}")


def _estimate(images: Images) -> int:
    """Bytes, from a few images evenly spread."""
    count = len(images)
    probes = range(0, count, max(1, count // _PROBES))
    return sum(images.fixed(index).nbytes for index in probes) * count // len(probes)


def _decoded(images: Images) -> Iterator[UInt8Array]:
    """Every image's fixed part, in order, by as many threads as there are cores, and not far ahead."""
    threads = available_cpus()
    with ThreadPoolExecutor(threads) as pool:
        numbers = iter(range(len(images)))
        running = [pool.submit(images.fixed, index) for index in islice(numbers, 4 * threads)]
        while running:
            yield running.pop(0).result()
            running += [pool.submit(images.fixed, index) for index in islice(numbers, 1)]


def _say(text: str) -> None:
    print(f"cache: {text}", flush=True)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
