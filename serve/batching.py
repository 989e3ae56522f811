"""Waiting images, and which of them make the next batch; how many may be held, and how many decoded, at once."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from serve.engines.base import FloatArray, UInt8Array
from serve.errors import unavailable


@dataclass(frozen=True)
class Job:
    """Images (N, H, W, 3) that wait for probabilities (N, classes)."""

    images: UInt8Array
    answer: "Future[FloatArray]" = field(default_factory=Future)


class WaitingLine:
    """Jobs in the order in which they came, taken in batches by `lanes` threads.

    A batch is what waits already, up to `max_batch` images; nobody waits for it to fill. And it is no more than a
    lane's fair share of what waits: the other lanes are free, or will be soon.
    """

    def __init__(self, max_batch: int, lanes: int) -> None:
        self._max_batch = max_batch
        self._lanes = lanes
        self._jobs: deque[Job] = deque()
        self._came = threading.Condition()

    def add(self, images: UInt8Array) -> list[Job]:
        """Put the images into line, in jobs of `max_batch` images at most, so that lanes can share them."""
        jobs = [Job(images[start : start + self._max_batch]) for start in range(0, len(images), self._max_batch)]
        with self._came:
            self._jobs.extend(jobs)
            self._came.notify(len(jobs))
        return jobs

    def take(self) -> list[Job]:
        """The next batch, waiting until there is one; empty when all that would be in it was given up meanwhile."""
        with self._came:
            while not self._jobs:
                self._came.wait()
            waiting = sum(len(job.images) for job in self._jobs) if len(self._jobs) > 1 else 0
            share = min(self._max_batch, -(-waiting // self._lanes))
            batch = [self._jobs.popleft()]
            count = len(batch[0].images)
            while self._jobs and count + len(self._jobs[0].images) <= share:
                batch.append(self._jobs.popleft())
                count += len(batch[-1].images)
        return [job for job in batch if job.answer.set_running_or_notify_cancel()]


def stack(batch: Sequence[Job]) -> UInt8Array:
    """The batch's images as one array; a single job's are not copied."""
    return batch[0].images if len(batch) == 1 else np.concatenate([job.images for job in batch])


def hand_out(batch: Sequence[Job], probabilities: FloatArray) -> None:
    """Give each job its rows."""
    start = 0
    for job in batch:
        job.answer.set_result(probabilities[start : start + len(job.images)])
        start += len(job.images)


def collect(jobs: Sequence[Job], timeout_s: float) -> FloatArray:
    """The jobs' probabilities in one array (N, classes). Raises TimeoutError when they aren't there in time, having
    given up those that nobody has begun, and whatever the engine raised.
    """
    end = time.monotonic() + timeout_s
    try:
        if len(jobs) == 1:
            return jobs[0].answer.result(timeout_s)
        return np.concatenate([job.answer.result(max(0.0, end - time.monotonic())) for job in jobs])
    except BaseException:
        for job in jobs:
            job.answer.cancel()
        raise


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
