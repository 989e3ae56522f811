"""How a job ended, as a sentence where it didn't end well."""

from collections.abc import Mapping
from typing import Any, Final

from backends.cloud.account import Account
from backends.cloud.jobs import CALLS
from backends.cloud.logs import Log
from backends.cloud.verdicts import verdict
from backends.console import complain
from backends.errors import BackendError, Stopped
from backends.runs import Run
from backends.stop import Stop

# What a reason says that knows none; the log's end says it, then.
_SEE_LOG: Final = "See job logs for more information"


def ended_well(account: Account, run: Run, job: str, answer: Mapping[str, Any], stop: Stop) -> None:
    """Keep the job's log in the run's, and see that it is completed. answer: the last about it.

    Raises Stopped when that was wished for, else BackendError with the reason, the next step and the log's end.
    """
    calls = CALLS[run.kind]
    lines = keep_log(Log(account, calls.logs, f"{job}/"), run)
    status = answer[calls.status]
    if status == "Completed":
        return
    if stop.requested:
        raise Stopped(f"stopped; {calls.what} {job} has ended")
    # What a processing job's container has said is apart from SageMaker's own reason.
    reason = str(answer.get("ExitMessage") or answer.get("FailureReason") or "").replace(_SEE_LOG, "").strip()
    reason = "" if reason == "ClientError:" else reason
    if status == "Stopped":
        raise BackendError(f"{calls.what} {job} was stopped before its end" + (f": {reason}" if reason else ""))
    raise BackendError(verdict(f"{calls.what} {job}", reason, lines))


def keep_log(log: Log, run: Run) -> list[str]:
    """The job's lines, which are the run's log then; none when they can't be had, for the results are what counts."""
    try:
        lines = log.new_lines()
    except BackendError as error:
        complain(str(error))
        return []
    run.log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return lines
