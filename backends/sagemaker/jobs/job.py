"""Jobs in the account by their kind: what they are called in SageMaker's api, and whether they go on.

How a job ended, as a sentence where it didn't end well.
"""

from typing import Final

from backends.cancel import CancelToken
from backends.console import complain
from backends.errors import BackendError, Stopped
from backends.runs import Run
from backends.sagemaker.account import Account, aws_record
from backends.sagemaker.errors import describe_failure
from backends.sagemaker.jobs import training
from backends.sagemaker.jobs.api import JOB_APIS
from backends.sagemaker.jobs.polling import Answer
from backends.sagemaker.logs import Log


def job_name(run: Run) -> str | None:
    """The name of the job that the run has, or was to have, in the account."""
    api = JOB_APIS.get(run.kind)
    name = aws_record(run).get(api.key) if api else None
    return str(name) if name else None


def is_alive(account: Account, run: Run) -> bool:
    """Whether the run's job is there and goes on; what a training has left is fetched first. Raises BackendError."""
    if run.kind == "training":
        return training.is_running(account, run)
    job = job_name(run)
    api = JOB_APIS[run.kind]
    answer = api.describe(account, job) if job else None
    return answer is not None and not api.has_ended(answer)


# What a reason says that knows none; the log's end says it, then.
_SEE_LOG: Final = "See job logs for more information"


def check_completed(account: Account, run: Run, job: str, answer: Answer, cancel: CancelToken) -> None:
    """Keep the job's log in the run's, and see that it is completed. answer: the last about it.

    Raises Stopped when cancelled, else BackendError with the reason, the next step and the log's end.
    """
    api = JOB_APIS[run.kind]
    lines = keep_log(api.log(account, job), run)
    status = answer[api.status]
    if status == "Completed":
        return
    if cancel.requested:
        raise Stopped(f"stopped; {api.what} {job} has ended")
    # What a processing job's container has said is apart from SageMaker's own reason.
    reason = str(answer.get("ExitMessage") or answer.get("FailureReason") or "").replace(_SEE_LOG, "").strip()
    reason = "" if reason == "ClientError:" else reason
    if status == "Stopped":
        raise BackendError(f"{api.what} {job} was stopped before its end" + (f": {reason}" if reason else ""))
    raise BackendError(describe_failure(f"{api.what} {job}", reason, lines))


def keep_log(log: Log, run: Run) -> list[str]:
    """The job's lines, which are the run's log then; none when they can't be had, for the results are what counts."""
    try:
        lines = log.new_lines()
    except BackendError as error:
        complain(str(error))
        return []
    run.log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return lines
