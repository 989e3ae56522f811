"""Many questions under way at once, their answers in the order of the questions."""

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from backends.transform.ask import Asker, Closed, Conversation

# Answers that wait for an earlier one, for each image under way: so that one that is asked again holds up nobody soon.
_WINDOW: Final = 16
# Fewer at once would leave the server without work while the next is on its way.
_REQUESTS: Final = 4
# Answers are gathered so often: to be woken for each one would take as long as all else that is done for it here.
_SWEEP_S: Final = 0.02


@dataclass
class _Slot:
    """Files on their way. outcome: the answers, or what was raised."""

    files: list[str]
    outcome: list[dict[str, Any]] | BaseException | None = None


def answers(files: Iterator[str], conversation: Conversation, goes_on: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """The answer to each file, in order, from threads that together have as many under way as the server wants.

    Memory is bounded, however many files there are. Ends early when `goes_on` says no; raises what an asker raises,
    after the answers before it.
    """
    images = conversation.parameters.concurrent
    # Where that is enough for several requests, images share one.
    together = max(1, min(conversation.parameters.together, images // _REQUESTS))
    count = -(-images // together)
    waiting: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
    # Daemons: one that waits for an answer nobody wants any more must not keep the process from ending.
    for _ in range(count):
        threading.Thread(target=_work, args=(conversation, waiting), daemon=True).start()
    window: deque[_Slot] = deque()
    try:
        while goes_on():
            while len(window) < _WINDOW * count and (some := list(itertools.islice(files, together))):
                window.append(_Slot(some))
                waiting.put(window[-1])
            if not window:
                return
            if window[0].outcome is None:
                time.sleep(_SWEEP_S)
                continue
            while window and (outcome := window[0].outcome) is not None:
                if isinstance(outcome, BaseException):
                    raise outcome
                yield from outcome
                window.popleft()
    finally:
        conversation.closed.set()
        for _ in range(count):
            waiting.put(None)


def _work(conversation: Conversation, waiting: "queue.SimpleQueue[_Slot | None]") -> None:
    asker = Asker(conversation)
    while (slot := waiting.get()) is not None and not conversation.closed.is_set():
        try:
            slot.outcome = asker.ask(slot.files)
        except Closed:
            break
        except BaseException as error:  # noqa: BLE001 - handed on
            slot.outcome = error
    asker.close()
