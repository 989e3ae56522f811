"""Who may work: how many requests are held at once, and how many images are decoded at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from serve.errors import unavailable


class Admission:
    """places: requests held at once; one more is refused. decoders: images decoded at once; the others wait.

    Decoding is CPU work that can need 300 MB an image.
    """

    def __init__(self, places: int, decoders: int) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._decoders = threading.BoundedSemaphore(decoders)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among the requests that are worked on; when all are taken, a quick 503 beats a long wait.

        Raises RequestError (503).
        """
        if not self._places.acquire(blocking=False):
            raise unavailable("the server has as many requests as it can take; try again in a moment", 1)
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """A turn to decode one image."""
        with self._decoders:
            yield
