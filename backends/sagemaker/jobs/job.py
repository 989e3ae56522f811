"""Jobs in the account by their kind: what they are called in SageMaker's calls, and whether they go on.

How a job ended, as a sentence where it didn't end well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backends.cancel import CancelToken
from backends.console import complain
from backends.errors import BackendError, Stopped
from backends.runs import Run
from backends.sagemaker import logs
from backends.sagemaker.account import Account, aws_record
from backends.sagemaker.errors import AwsError, describe_failure, translate_aws_errors
from backends.sagemaker.jobs import training
from backends.sagemaker.jobs.polling import AwsJob
from backends.sagemaker.logs import Log
from backends.sagemaker.sdk import sdk

Answer = Mapping[str, Any]
_OVER: Final = frozenset(("Completed", "Failed", "Stopped", "DeleteFailed"))


@dataclass(frozen=True)
class JobApi:
    """what: in words. name, status: keys of requests and answers. key: of the job's name in the run's record. logs: the
    group in CloudWatch.
    """

    what: str
    describe: str
    stop: str
    name: str
    status: str
    key: str
    logs: str

    def over(self, answer: Answer) -> bool:
        """Whether an answer says that the job has ended, somehow."""
        return answer[self.status] in _OVER


def _job_api(what: str, stem: str, key: str, group: str) -> JobApi:
    name = stem.title().replace("_", "")
    return JobApi(what, f"describe_{stem}", f"stop_{stem}", f"{name}Name", f"{name}Status", key, group)


# By the kind of run that has one.
JOB_APIS: Final = {
    "training": _job_api("training job", "training_job", "job", logs.TRAINING),
    "tuning": _job_api("tuning job", "hyper_parameter_tuning_job", "tuning_job", logs.TRAINING),
    "transform": _job_api("transform job", "transform_job", "transform_job", logs.TRANSFORM),
    "evaluation": _job_api("processing job", "processing_job", "processing_job", logs.PROCESSING),
}


def describe_job(account: Account, kind: str, job: str) -> Answer | None:
    """What SageMaker says of a job; None when there is none of that name. Raises BackendError."""
    calls = JOB_APIS[kind]
    try:
        with translate_aws_errors(f"asking about {calls.what} {job}"):
            answer: Answer = getattr(account.client("sagemaker"), calls.describe)(**{calls.name: job})
    except AwsError as error:
        if error.missing:
            return None
        raise
    return answer


def stop_job(account: Account, kind: str, job: str) -> None:
    """Ask a job to stop. Raises BackendError."""
    calls = JOB_APIS[kind]
    with translate_aws_errors(f"stopping {calls.what} {job}"):
        getattr(account.client("sagemaker"), calls.stop)(**{calls.name: job})


def job_to_wait_for(
    account: Account, run: Run, job: str, costs: str, ask: Callable[[], Answer] | None = None
) -> AwsJob:
    """The run's job as `wait_for` takes it. costs: what it costs while it goes on. ask: asks about it, and perhaps
    about more; raises BackendError.
    """
    calls = JOB_APIS[run.kind]

    def plainly() -> Answer:
        answer = describe_job(account, run.kind, job)
        return {calls.status: "Stopped", "FailureReason": "it was deleted"} if answer is None else answer

    return AwsJob(f"{calls.what} {job}", run.name, ask or plainly, calls.over,
               lambda: stop_job(account, run.kind, job), costs)  # fmt: skip


def volume_key(account: Account, instance_type: str) -> str | None:
    """The key for a job's volume, if one is set and the type has volumes that take it."""
    key = account.settings.sagemaker.kms_key
    return key if key and sdk("utils").instance_supports_kms(instance_type) else None


def job_name(run: Run) -> str | None:
    """The name of the job that the run has, or was to have, in the account."""
    calls = JOB_APIS.get(run.kind)
    name = aws_record(run).get(calls.key) if calls else None
    return str(name) if name else None


def is_alive(account: Account, run: Run) -> bool:
    """Whether the run's job is there and goes on; what a training has left is fetched first. Raises BackendError."""
    if run.kind == "training":
        return training.is_running(account, run)
    job = job_name(run)
    answer = describe_job(account, run.kind, job) if job else None
    return answer is not None and not JOB_APIS[run.kind].over(answer)


def stop(account: Account, run: Run) -> None:
    """Ask the run's job to stop, if it goes on; returns at once, but for a training. Raises BackendError."""
    if run.kind == "training":
        training.stop_job(account, run)
        return
    if (job := job_name(run)) and is_alive(account, run):
        stop_job(account, run.kind, job)


# What a reason says that knows none; the log's end says it, then.
_SEE_LOG: Final = "See job logs for more information"


def check_completed(account: Account, run: Run, job: str, answer: Mapping[str, Any], cancel: CancelToken) -> None:
    """Keep the job's log in the run's, and see that it is completed. answer: the last about it.

    Raises Stopped when cancelled, else BackendError with the reason, the next step and the log's end.
    """
    calls = JOB_APIS[run.kind]
    lines = keep_log(Log(account, calls.logs, f"{job}/"), run)
    status = answer[calls.status]
    if status == "Completed":
        return
    if cancel.requested:
        raise Stopped(f"stopped; {calls.what} {job} has ended")
    # What a processing job's container has said is apart from SageMaker's own reason.
    reason = str(answer.get("ExitMessage") or answer.get("FailureReason") or "").replace(_SEE_LOG, "").strip()
    reason = "" if reason == "ClientError:" else reason
    if status == "Stopped":
        raise BackendError(f"{calls.what} {job} was stopped before its end" + (f": {reason}" if reason else ""))
    raise BackendError(describe_failure(f"{calls.what} {job}", reason, lines))


def keep_log(log: Log, run: Run) -> list[str]:
    """The job's lines, which are the run's log then; none when they can't be had, for the results are what counts."""
    try:
        lines = log.new_lines()
    except BackendError as error:
        complain(str(error))
        return []
    run.log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return lines
