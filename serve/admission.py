"""Who may work: how many images are held at once, and how many are decoded at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serve.errors import unavailable


class Admission:
    """places: images held at once, from the request's body to its answer; a request has one at least.

    decoders: images decoded at once; the others wait. Decoding is CPU work, and the largest image that is taken needs
    up to 1.5 GB (`model.preprocess`).
    """

    def __init__(self, places: int, decoders: int) -> None:
        self._places = places
        self._taken = 0
        self._lock = threading.Lock()
        self._free_decoders = decoders
        self._decoders = threading.BoundedSemaphore(decoders)

    @property
    def free(self) -> int:
        """How many places are free; less than 0 when a request that was alone has more than there are."""
        return self._places - self._taken

    @contextmanager
    def place(self) -> Iterator[Callable[[int], None]]:
        """A request's place; when all are taken, a quick 503 beats a long wait. Raises RequestError (503).

        What it gives, called with a count, takes that many further places for the request's other images, or none:
        then it raises RequestError (503), too. A request that is alone gets them even if there are fewer: it would
        never be answered otherwise.
        """
        held = 0

        def take(count: int) -> None:
            nonlocal held
            with self._lock:
                if self._taken > held and self._taken + count > self._places:
                    raise unavailable("the server has as many images as it can take; try again in a moment", 1)
                self._taken += count
                held += count

        take(1)
        try:
            yield take
        finally:
            with self._lock:
                self._taken -= held

    @property
    def free_decoders(self) -> int:
        """How many more images could be decoded at once now; by the time it is known, others may have begun."""
        return self._free_decoders

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """A turn to decode an image, or a few small ones."""
        with self._decoders:
            with self._lock:
                self._free_decoders -= 1
            try:
                yield
            finally:
                with self._lock:
                    self._free_decoders += 1
