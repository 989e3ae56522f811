"""The queue of images and its batches; how many images may be held, and how many decoded, at once."""

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
class PredictionJob:
    """Images (N, H, W, 3) that wait for probabilities (N, classes)."""

    images: UInt8Array
    answer: "Future[FloatArray]" = field(default_factory=Future)


class BatchQueue:
    """A first-in, first-out queue of jobs, read in batches by `threads` worker threads.

    A batch is what is queued already, up to `max_batch` images; nobody waits for it to fill. And it is no more than a
    worker's fair share of the queue: the other workers are free, or will be soon.
    """

    def __init__(self, max_batch: int, threads: int) -> None:
        self._max_batch = max_batch
        self._threads = threads
        self._jobs: deque[PredictionJob] = deque()
        self._not_empty = threading.Condition()

    def add(self, images: UInt8Array) -> list[PredictionJob]:
        """Queue the images, in jobs of `max_batch` images at most, so that workers can share them."""
        jobs = [
            PredictionJob(images[start : start + self._max_batch]) for start in range(0, len(images), self._max_batch)
        ]
        with self._not_empty:
            self._jobs.extend(jobs)
            self._not_empty.notify(len(jobs))
        return jobs

    def take(self) -> list[PredictionJob]:
        """The next batch, waiting until there is one; empty when all its jobs were cancelled meanwhile."""
        with self._not_empty:
            while not self._jobs:
                self._not_empty.wait()
            waiting = sum(len(job.images) for job in self._jobs) if len(self._jobs) > 1 else 0
            share = min(self._max_batch, -(-waiting // self._threads))
            batch = [self._jobs.popleft()]
            count = len(batch[0].images)
            while self._jobs and count + len(self._jobs[0].images) <= share:
                batch.append(self._jobs.popleft())
                count += len(batch[-1].images)
        return [job for job in batch if job.answer.set_running_or_notify_cancel()]


def stack(batch: Sequence[PredictionJob]) -> UInt8Array:
    """The batch's images as one array; a single job's are not copied."""
    return batch[0].images if len(batch) == 1 else np.concatenate([job.images for job in batch])


def scatter(batch: Sequence[PredictionJob], probabilities: FloatArray) -> None:
    """Set each job's rows as its answer."""
    start = 0
    for job in batch:
        job.answer.set_result(probabilities[start : start + len(job.images)])
        start += len(job.images)


def gather(jobs: Sequence[PredictionJob], timeout_s: float) -> FloatArray:
    """The jobs' probabilities in one array (N, classes).

    Raises whatever the engine raised, and TimeoutError when they aren't there in time. It cancels those that no worker
    has begun then.
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
    """slots: images held at once, from the request's body to its answer; a request has one at least.

    decoders: images decoded at once; the others wait. Decoding is CPU work, and the largest image that is accepted
    needs up to 1.5 GB (`model.preprocess`).
    """

    def __init__(self, slots: int, decoders: int) -> None:
        self._slots = slots
        self._used = 0
        self._lock = threading.Lock()
        # How many more images could be decoded at once now; others may begin at any time.
        self.free_decoders = decoders
        self._decoders = threading.BoundedSemaphore(decoders)

    @property
    def free_slots(self) -> int:
        """How many slots are free; less than 0 when a request that was alone has more than there are."""
        return self._slots - self._used

    @contextmanager
    def slot(self) -> Iterator[Callable[[int], None]]:
        """Reserves a request's slot; when all are in use, a quick 503 beats a long wait. Raises RequestError (503).

        Yields acquire(n), which reserves n more slots for the request's other images, or raises RequestError (503) and
        reserves none. A request that is alone gets them even if there are fewer: it would never be answered otherwise.
        """
        held = 0

        def acquire(count: int) -> None:
            nonlocal held
            with self._lock:
                if self._used > held and self._used + count > self._slots:
                    raise unavailable("the server has as many images as it can take; try again in a moment", 1)
                self._used += count
                held += count

        acquire(1)
        try:
            yield acquire
        finally:
            with self._lock:
                self._used -= held

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """A turn to decode an image, or a few small ones."""
        with self._decoders:
            with self._lock:
                self.free_decoders -= 1
            try:
                yield
            finally:
                with self._lock:
                    self.free_decoders += 1
