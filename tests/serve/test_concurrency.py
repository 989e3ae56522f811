import pytest

from serve.batching import Admission
from serve.errors import RequestError
from serve.settings import choose_concurrency


@pytest.mark.parametrize(
    ("cpus", "wanted", "found"),
    [
        (1, (0, 0), (1, 1)),
        (2, (0, 0), (1, 2)),
        (15, (0, 0), (1, 15)),
        (16, (0, 0), (2, 8)),
        (36, (0, 0), (4, 9)),
        # What the user says counts; the rest follows.
        (8, (3, 0), (3, 2)),
        (8, (0, 2), (1, 2)),
        (2, (4, 0), (4, 1)),
        (2, (2, 3), (2, 3)),
    ],
)
def test_processes_and_threads(cpus: int, wanted: tuple[int, int], found: tuple[int, int]) -> None:
    assert choose_concurrency(cpus, *wanted) == found


def test_no_more_threads_than_cores() -> None:
    for cpus in range(1, 200):
        workers, threads = choose_concurrency(cpus, 0, 0)
        # At most a worker's share less one core lies idle.
        assert workers * threads <= cpus < workers * (threads + 1)


def test_a_request_of_many_images_takes_many_slots() -> None:
    admission = Admission(slots=4, decoders=1)
    with admission.slot() as acquire:
        acquire(2)
        with admission.slot() as acquire_other:
            # The fourth slot is in use; nothing is left for a fifth.
            with pytest.raises(RequestError, match="as many images") as refused:
                acquire_other(1)
            assert (refused.value.code, refused.value.headers) == (503, {"Retry-After": "1"})
            with pytest.raises(RequestError):
                admission.slot().__enter__()
        # All or none: two are wanted, one is left.
        with admission.slot() as acquire_other, pytest.raises(RequestError):
            acquire_other(2)
        with admission.slot():
            pass
    with admission.slot() as acquire:
        acquire(3)


def test_a_large_request_that_is_alone_is_taken() -> None:
    admission = Admission(slots=4, decoders=1)
    with admission.slot() as acquire:
        acquire(9)
        with pytest.raises(RequestError):
            admission.slot().__enter__()
    with admission.slot() as acquire:
        acquire(3)
