"""Waiting images, and which of them make the next batch."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from serve.engines.base import FloatArray, UInt8Array


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
