"""The findings of doctor's checks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from backends.errors import BackendError
from backends.sagemaker.errors import Refused

# note: worth knowing, and no reason that jobs fail; also what could not be looked at.
State = Literal["ok", "note", "fault"]


@dataclass(frozen=True)
class Finding:
    """subject: what was looked at. message: what was found, and for a fault what to do about it."""

    subject: str
    state: State
    message: str


Check = Callable[[], Iterable[Finding]]


def run_check(subject: str, check: Check, needed: bool = False) -> Iterator[Finding]:
    """The check's findings; a BackendError is a fault, or a note where only the permission to look is missing.

    needed: the permission is one that jobs need, too, so that its lack is a fault.
    """
    try:
        yield from check()
    except BackendError as error:
        if isinstance(error, Refused) and error.denied and not needed:
            yield Finding(subject, "note", f"not looked at, which jobs don't need: {error}")
        else:
            yield Finding(subject, "fault", str(error))
