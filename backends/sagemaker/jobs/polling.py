"""Waiting for something in the account: asked about every few seconds, through failures that pass, and what becomes of
it when the person at the terminal has had enough.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backends.cancel import CancelToken
from backends.console import say
from backends.errors import BackendError, StillRunning

Answer = Mapping[str, Any]

_VARIABLE: Final = "KENNEL_POLL_S"
_POLL_S: Final = 5.0
_NAP_S: Final = 0.1
# Questions that may fail in a row, ten minutes of them: a laptop without its network must not lose a job of hours.
_PATIENCE: Final = 120


@dataclass(frozen=True)
class AwsJob:
    """A job in the account.

    what: in words, as in "training job kennel-first-1a2b3c". run: name of the run folder that it belongs to.
    describe: asks about it. ended: whether an answer says that it is over. stop: asks it to end. costs: what it costs
    as long as it goes on, in words. Both calls raise BackendError.
    """

    what: str
    run: str
    describe: Callable[[], Answer]
    ended: Callable[[Answer], bool]
    stop: Callable[[], None]
    costs: str

    def still_running(self, why: str) -> StillRunning:
        """The error that leaves it alone."""
        return StillRunning(
            f"{why}; {self.what} goes on and {self.costs}; follow it with: python deploy.py attach {self.run}, "
            f"end it with: python deploy.py delete {self.run}"
        )


def poll_seconds() -> float:
    """Seconds between two questions; KENNEL_POLL_S says otherwise. Raises BackendError when that is no number."""
    value = os.environ.get(_VARIABLE, "")
    try:
        seconds = float(value or _POLL_S)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 600:
        raise BackendError(f"{_VARIABLE} must be a number of seconds from 0 to 600, got {value!r}")
    return seconds


def pause(cancel: CancelToken | None = None) -> None:
    """Let the time between two questions pass; a new cancellation, or a forced one, ends it at once."""
    before = (cancel.requested, cancel.forced) if cancel else None
    end = time.monotonic() + poll_seconds()
    while (left := end - time.monotonic()) > 0:
        if cancel and (cancel.requested, cancel.forced) != before:
            return
        time.sleep(min(left, _NAP_S))


def poll(ask: Callable[[], Answer], cancel: CancelToken | None = None) -> Iterator[Answer]:
    """What is answered, again and again, with a pause before each question but the first.

    Questions that fail are asked again, ten minutes long; then, and when the very first fails, BackendError is raised.
    """
    answer = ask()
    while True:
        yield answer
        pause(cancel)
        answer = _ask_with_retries(ask, cancel)


def _ask_with_retries(ask: Callable[[], Answer], cancel: CancelToken | None) -> Answer:
    for failed in range(_PATIENCE):
        try:
            return ask()
        except BackendError as error:
            if cancel and cancel.forced:
                raise
            if not failed:
                say(f"{error}; asking again")
            pause(cancel)
    return ask()


def wait_for_job(job: AwsJob, cancel: CancelToken, on_answer: Callable[[Answer], None]) -> Answer:
    """Wait until a job is over; returns the last answer. on_answer: called with every answer, the last one too.

    Cancelled, it asks the job to stop, once, and waits for its end. Raises StillRunning when that is forced, and
    when the job can't be asked about or stopped any more; BackendError when the very first question fails.
    """
    stop_requested = False
    first = True
    try:
        for answer in poll(job.describe, cancel):
            first = False
            on_answer(answer)
            if job.ended(answer):
                return answer
            if cancel.forced:
                raise job.still_running("left alone" if not stop_requested else "it was asked to stop and hasn't yet")
            if cancel.requested and not stop_requested:
                stop_requested = True
                _stop(job)
    except StillRunning:
        raise
    except BackendError as error:
        raise error if first else job.still_running(str(error)) from error
    raise AssertionError("answers never end")


def _stop(job: AwsJob) -> None:
    try:
        job.stop()
    except BackendError as error:
        # It may have ended between the answer and the cancellation.
        if not job.ended(job.describe()):
            raise job.still_running(str(error)) from error
    else:
        say(f"{job.what} is asked to stop; Ctrl-C once more leaves it alone")
