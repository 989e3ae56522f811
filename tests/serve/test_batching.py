"""Which images make a batch. Images are told apart by their first number."""

import threading

import numpy as np
import pytest

from serve.batching import BatchQueue, PredictionJob, gather, scatter, stack
from serve.engines.base import UInt8Array


def images(*numbers: int) -> UInt8Array:
    return np.array(numbers, np.uint8)[:, None, None, None] * np.ones((1, 1, 1, 3), np.uint8)


def numbers(batch: list[PredictionJob]) -> list[int]:
    return [int(n) for job in batch for n in job.images[:, 0, 0, 0]]


def test_one_worker_takes_what_waits_up_to_the_largest_batch() -> None:
    queue = BatchQueue(max_batch=4, threads=1)
    for n in range(6):
        queue.add(images(n))
    assert numbers(queue.take()) == [0, 1, 2, 3]
    assert numbers(queue.take()) == [4, 5]


def test_a_worker_leaves_the_others_their_share() -> None:
    queue = BatchQueue(max_batch=4, threads=2)
    for n in range(5):
        queue.add(images(n))
    # Of 5 a half is 3; of the 2 left one; then the last.
    assert [numbers(queue.take()) for _ in range(3)] == [[0, 1, 2], [3], [4]]


def test_many_images_are_shared_among_workers_and_come_back_in_order() -> None:
    queue = BatchQueue(max_batch=2, threads=2)
    jobs = queue.add(images(5, 6, 7, 8, 9))
    batches = [queue.take() for _ in range(3)]
    assert [numbers(batch) for batch in batches] == [[5, 6], [7, 8], [9]]
    for batch in reversed(batches):
        scatter(batch, stack(batch)[:, 0, 0, :1] / 10)
    assert gather(jobs, 0).tolist() == [[0.5], [0.6], [0.7], [0.8], [0.9]]


def test_a_batch_holds_no_more_than_the_largest() -> None:
    queue = BatchQueue(max_batch=4, threads=1)
    queue.add(images(1, 2, 3))
    queue.add(images(4, 5))
    assert [numbers(queue.take()) for _ in range(2)] == [[1, 2, 3], [4, 5]]


def test_rows_go_to_their_jobs() -> None:
    queue = BatchQueue(max_batch=4, threads=1)
    first, second = queue.add(images(1)), queue.add(images(2, 3))
    batch = queue.take()
    scatter(batch, np.array([[0.1], [0.2], [0.3]]))
    assert gather(second, 0).tolist() == [[0.2], [0.3]]
    assert gather(first, 0).tolist() == [[0.1]]


def test_what_was_given_up_is_not_predicted() -> None:
    queue = BatchQueue(max_batch=4, threads=1)
    given_up = queue.add(images(1))
    queue.add(images(2))
    with pytest.raises(TimeoutError):
        gather(given_up, 0)
    assert numbers(queue.take()) == [2]


def test_part_of_a_request_that_fails_fails_it_whole() -> None:
    queue = BatchQueue(max_batch=1, threads=1)
    jobs = queue.add(images(1, 2, 3))
    (first,), (second,) = queue.take(), queue.take()
    first.answer.set_result(np.array([[1.0]]))
    second.answer.set_exception(OSError("broken"))
    with pytest.raises(OSError, match="broken"):
        gather(jobs, 60)
    # The third was taken out of the queue: what comes next is another request's.
    queue.add(images(9))
    assert queue.take() == []
    assert numbers(queue.take()) == [9]


def test_a_worker_waits_for_work() -> None:
    queue = BatchQueue(max_batch=4, threads=1)
    found: list[int] = []
    worker = threading.Thread(target=lambda: found.extend(numbers(queue.take())))
    worker.start()
    queue.add(images(7))
    worker.join(60)
    assert found == [7]
