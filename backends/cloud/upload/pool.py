"""Work on many files, several at a time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

from backends.errors import Stopped
from backends.stop import Stop

Result = TypeVar("Result")

AT_ONCE: Final = 8  # below the ten connections of a client
_POLL_S: Final = 0.2


def each_done(
    keys: Iterable[str], work: Callable[[str], Result], wish: Stop, doing: str
) -> Iterator[tuple[str, Result]]:
    """(key, result) of each as it is done. Raises what the work raised, and Stopped for the wish."""
    running: dict[Future[Result], str] = {}
    waiting = iter(keys)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            while True:
                # No more than are soon begun, so that an end is an end.
                while len(running) < 2 * AT_ONCE and (key := next(waiting, None)) is not None:
                    running[pool.submit(work, key)] = key
                if not running:
                    return
                done, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for each in done:
                    yield running.pop(each), each.result()
                if wish.requested:
                    raise Stopped(f"stopped while {doing}; the same command goes on from here")
        finally:
            for each in running:
                each.cancel()
