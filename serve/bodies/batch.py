"""The images of one request, and their pixels."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from model.errors import ImageError
from model.preprocess import Preprocess
from serve.admission import Admission
from serve.engines.base import UInt8Array
from serve.errors import RequestError


@dataclass(frozen=True)
class Item:
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

    items: Sequence[Item]
    one: bool = False
    files: Sequence[str] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


def too_many(most: int) -> RequestError:
    """413: the request has more images than `most`."""
    return RequestError(
        413,
        f"the request has more images than the limit of {most}; send fewer at once, or raise KENNEL_MAX_IMAGES",
    )


def load(batch: Batch, preprocess: Preprocess, admission: Admission, pool: Executor) -> UInt8Array:
    """All images as uint8 (N, image_size, image_size, 3), decoded side by side while decoders are free.

    Raises RequestError (400) that names every image that can't be used: none is left out in silence.
    """
    size = preprocess.image_size
    pixels = np.empty((len(batch.items), size, size, 3), np.uint8)

    def load_one(position: int) -> str | None:
        with admission.decoding():
            try:
                pixels[position] = batch.items[position].load(preprocess)
            except ImageError as error:
                return str(error)
        return None

    positions = range(len(batch.items))
    told = list(pool.map(load_one, positions)) if len(positions) > 1 else [load_one(0)]
    bad = [position for position, fault in enumerate(told) if fault is not None]
    if bad:
        faults = "; ".join(f"{batch.items[position].name}: {told[position]}" for position in bad)
        raise RequestError(
            400, f"{len(bad)} of {len(told)} images can't be used, so none was predicted: {faults}", images=bad
        )
    return pixels
