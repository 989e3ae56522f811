"""The images of one request, and their pixels."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from contract.errors import ImageError
from model.preprocess import Preprocess
from serve.batching import Admission
from serve.engines.base import UInt8Array
from serve.errors import RequestError

# How long a thread that got a turn to decode keeps it: small images take 2 ms, and a new turn for each of them would
# cost as much as HTTP does.
_TURN_S: Final = 0.01


@dataclass(frozen=True)
class BatchItem:
    """One image. name: how a fault names it, such as `instances[3]`.

    load: makes the network's input, uint8 (image_size, image_size, 3); raises ImageError.
    """

    name: str
    load: Callable[[Preprocess], UInt8Array]


@dataclass(frozen=True)
class Batch:
    """A request's images, in order. one: the body is one image, not a list that may have one.

    files: the images' file names, where they have any. fields: what a form says besides.
    """

    items: Sequence[BatchItem]
    one: bool = False
    files: Sequence[str] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


def too_many(most: int) -> RequestError:
    """413: the request has more images than `most`."""
    return RequestError(
        413, f"the request has more images than the limit of {most}; send fewer at once, or raise KENNEL_MAX_IMAGES"
    )


def load(batch: Batch, preprocess: Preprocess, admission: Admission, pool: Executor) -> UInt8Array:
    """All images as uint8 (N, image_size, image_size, 3), decoded by this thread, and by others while there is nobody
    else to decode for.

    Raises RequestError (400) that names every image that can't be used: none is skipped silently.
    """
    size = preprocess.image_size
    pixels = np.empty((len(batch.items), size, size, 3), np.uint8)

    faults: dict[int, str] = {}
    # Each thread takes the next one from it.
    positions = iter(range(len(pixels)))

    def decode_in_turns() -> None:
        left = True
        while left:
            with admission.decoding():
                end = time.monotonic() + _TURN_S
                for position in positions:
                    try:
                        pixels[position] = batch.items[position].load(preprocess)
                    except ImageError as error:
                        faults[position] = str(error)
                    if time.monotonic() > end:
                        break
                else:
                    left = False

    helpers = [pool.submit(decode_in_turns) for _ in range(min(len(pixels), admission.free_decoders) - 1)]
    try:
        decode_in_turns()
    finally:
        # All that have begun must have ended, for they write into the same array.
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    if error := next(filter(None, errors), None):
        raise error
    if faults:
        bad = sorted(faults)
        reasons = "; ".join(f"{batch.items[position].name}: {faults[position]}" for position in bad)
        raise RequestError(
            400, f"{len(bad)} of {len(pixels)} images can't be used, so none was predicted: {reasons}", images=bad
        )
    return pixels
