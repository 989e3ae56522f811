"""Who may work: how many images are held at once, and how many are decoded at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from serve.errors import RequestError, unavailable


class Admission:
    """places: images held at once, from the request's body to its answer; a request has one at least.

    decoders: images decoded at once; the others wait. Decoding is CPU work that can need 300 MB an image.
    """

    def __init__(self, places: int, decoders: int) -> None:
        self._places = places
        self._taken = 0
        self._lock = threading.Lock()
        self._decoders = threading.BoundedSemaphore(decoders)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A request's place; when all are taken, a quick 503 beats a long wait. Raises RequestError (503)."""
        self._take(1, alone=0)
        try:
            yield
        finally:
            self._give(1)

    @contextmanager
    def further_places(self, count: int) -> Iterator[None]:
        """For a request that has its place, one more for each of `count` further images, or none at all.

        A request that is alone gets them even if there are fewer: it would never be answered otherwise.
        Raises RequestError (503).
        """
        self._take(count, alone=1)
        try:
            yield
        finally:
            self._give(count)

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """A turn to decode one image."""
        with self._decoders:
            yield

    def _take(self, count: int, alone: int) -> None:
        with self._lock:
            if self._taken > alone and self._taken + count > self._places:
                raise _full()
            self._taken += count

    def _give(self, count: int) -> None:
        with self._lock:
            self._taken -= count


def _full() -> RequestError:
    return unavailable("the server has as many images as it can take; try again in a moment", 1)
