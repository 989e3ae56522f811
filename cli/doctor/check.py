"""The results of doctor's checks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from backends.errors import BackendError
from backends.sagemaker.errors import AwsError

# note: worth knowing, and no reason that jobs fail; also what could not be looked at.
State = Literal["ok", "note", "fault"]


@dataclass(frozen=True)
class CheckResult:
    """subject: what was looked at. message: what was found, and for a fault what to do about it."""

    subject: str
    state: State
    message: str


def ok(subject: str, message: str) -> CheckResult:
    """Nothing is wrong."""
    return CheckResult(subject, "ok", message)


def note(subject: str, message: str) -> CheckResult:
    """Worth knowing, and no reason that jobs fail."""
    return CheckResult(subject, "note", message)


def fault(subject: str, message: str) -> CheckResult:
    """What keeps jobs from running."""
    return CheckResult(subject, "fault", message)


Check = Callable[[], Iterable[CheckResult]]


def run_check(subject: str, check: Check, needed: bool = False) -> Iterator[CheckResult]:
    """The check's results; a BackendError is a fault, or a note where only the permission to look is missing.

    needed: the permission is one that jobs need, too, so that its lack is a fault.
    """
    try:
        yield from check()
    except BackendError as error:
        if isinstance(error, AwsError) and error.denied and not needed:
            yield CheckResult(subject, "note", f"not looked at, which jobs don't need: {error}")
        else:
            yield CheckResult(subject, "fault", str(error))
