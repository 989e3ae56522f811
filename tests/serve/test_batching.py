"""Which images make a batch. Images are told apart by their first number."""

import threading

import numpy as np
import pytest

from serve.batching import Job, WaitingLine, collect, hand_out, stack
from serve.engines.base import UInt8Array


def images(*numbers: int) -> UInt8Array:
    return np.array(numbers, np.uint8)[:, None, None, None] * np.ones((1, 1, 1, 3), np.uint8)


def numbers(batch: list[Job]) -> list[int]:
    return [int(n) for job in batch for n in job.images[:, 0, 0, 0]]


def test_one_lane_takes_what_waits_up_to_the_largest_batch() -> None:
    line = WaitingLine(max_batch=4, lanes=1)
    for n in range(6):
        line.add(images(n))
    assert numbers(line.take()) == [0, 1, 2, 3]
    assert numbers(line.take()) == [4, 5]


def test_a_lane_leaves_the_others_their_share() -> None:
    line = WaitingLine(max_batch=4, lanes=2)
    for n in range(5):
        line.add(images(n))
    # Of 5 a half is 3; of the 2 left one; then the last.
    assert [numbers(line.take()) for _ in range(3)] == [[0, 1, 2], [3], [4]]


def test_many_images_are_shared_among_lanes_and_come_back_in_order() -> None:
    line = WaitingLine(max_batch=2, lanes=2)
    jobs = line.add(images(5, 6, 7, 8, 9))
    batches = [line.take() for _ in range(3)]
    assert [numbers(batch) for batch in batches] == [[5, 6], [7, 8], [9]]
    for batch in reversed(batches):
        hand_out(batch, stack(batch)[:, 0, 0, :1] / 10)
    assert collect(jobs, 0).tolist() == [[0.5], [0.6], [0.7], [0.8], [0.9]]


def test_a_batch_holds_no_more_than_the_largest() -> None:
    line = WaitingLine(max_batch=4, lanes=1)
    line.add(images(1, 2, 3))
    line.add(images(4, 5))
    assert [numbers(line.take()) for _ in range(2)] == [[1, 2, 3], [4, 5]]


def test_rows_go_to_their_jobs() -> None:
    line = WaitingLine(max_batch=4, lanes=1)
    first, second = line.add(images(1)), line.add(images(2, 3))
    batch = line.take()
    hand_out(batch, np.array([[0.1], [0.2], [0.3]]))
    assert collect(second, 0).tolist() == [[0.2], [0.3]]
    assert collect(first, 0).tolist() == [[0.1]]


def test_what_was_given_up_is_not_predicted() -> None:
    line = WaitingLine(max_batch=4, lanes=1)
    given_up = line.add(images(1))
    line.add(images(2))
    with pytest.raises(TimeoutError):
        collect(given_up, 0)
    assert numbers(line.take()) == [2]


def test_part_of_a_request_that_fails_fails_it_whole() -> None:
    line = WaitingLine(max_batch=1, lanes=1)
    jobs = line.add(images(1, 2, 3))
    (first,), (second,) = line.take(), line.take()
    first.answer.set_result(np.array([[1.0]]))
    second.answer.set_exception(OSError("broken"))
    with pytest.raises(OSError, match="broken"):
        collect(jobs, 60)
    # The third was taken out of the line: what comes next is another request's.
    line.add(images(9))
    assert line.take() == []
    assert numbers(line.take()) == [9]


def test_a_lane_waits_for_work() -> None:
    line = WaitingLine(max_batch=4, lanes=1)
    found: list[int] = []
    lane = threading.Thread(target=lambda: found.extend(numbers(line.take())))
    lane.start()
    line.add(images(7))
    lane.join(60)
    assert found == [7]
