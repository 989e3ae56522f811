"""What a check finds."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from backends.errors import BackendError
from backends.sagemaker.errors import Refused

# note: worth knowing, and no reason that jobs fail; also what could not be looked at.
State = Literal["ok", "note", "fault"]


@dataclass(frozen=True)
class Finding:
    """what: was looked at. said: what was found, and for a fault what to do about it."""

    what: str
    state: State
    said: str


Check = Callable[[], Iterable[Finding]]


def checked(what: str, check: Check, needed: bool = False) -> Iterator[Finding]:
    """The check's rows; what it raises is a fault, or a note where the person only may not look.

    needed: what is asked for has to be allowed, for jobs ask the same.
    """
    try:
        yield from check()
    except BackendError as error:
        if isinstance(error, Refused) and error.denied and not needed:
            yield Finding(what, "note", f"not looked at, which jobs don't need: {error}")
        else:
            yield Finding(what, "fault", str(error))
