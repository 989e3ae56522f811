"""SageMaker's API for each kind of job: how such jobs are called, asked about, stopped and waited for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from backends.runs import Run
from backends.sagemaker import logs
from backends.sagemaker.account import Account
from backends.sagemaker.errors import none_if_missing, translate_aws_errors
from backends.sagemaker.jobs.polling import Answer, AwsJob

_ENDED: Final = frozenset(("Completed", "Failed", "Stopped", "DeleteFailed"))


@dataclass(frozen=True)
class JobApi:
    """One kind of job. what: in words. stem: of the keys in requests and answers, as in TrainingJob. operation: of the
    calls' names, as in training_job. key: of the job's name in a run's record. log_group: in CloudWatch.
    """

    what: str
    stem: str
    operation: str
    key: str
    log_group: str

    @property
    def name(self) -> str:
        return f"{self.stem}Name"

    @property
    def status(self) -> str:
        return f"{self.stem}Status"

    def has_ended(self, answer: Answer) -> bool:
        """Whether an answer says that the job has ended, somehow."""
        return answer[self.status] in _ENDED

    def ask(self, account: Account, job: str) -> Answer:
        """SageMaker's description of a job. Raises BackendError, also when there is none of that name."""
        with translate_aws_errors(f"asking about {self.what} {job}"):
            answer: Answer = getattr(account.client("sagemaker"), f"describe_{self.operation}")(**{self.name: job})
        return answer

    def describe(self, account: Account, job: str) -> Answer | None:
        """SageMaker's description of a job; None when there is none of that name. Raises BackendError."""
        call = getattr(account.client("sagemaker"), f"describe_{self.operation}")
        return none_if_missing(f"asking about {self.what} {job}", lambda: call(**{self.name: job}))

    def log(self, account: Account, job: str) -> logs.Log:
        """What all hosts of a job print."""
        return logs.Log(account, self.log_group, f"{job}/")

    def stop(self, account: Account, job: str) -> None:
        """Ask a job to stop. Raises BackendError."""
        with translate_aws_errors(f"stopping {self.what} {job}"):
            getattr(account.client("sagemaker"), f"stop_{self.operation}")(**{self.name: job})


TRAINING: Final = JobApi("training job", "TrainingJob", "training_job", "job", logs.TRAINING)
TUNING: Final = JobApi(
    "tuning job", "HyperParameterTuningJob", "hyper_parameter_tuning_job", "tuning_job", logs.TRAINING
)
TRANSFORM: Final = JobApi("transform job", "TransformJob", "transform_job", "transform_job", logs.TRANSFORM)
PROCESSING: Final = JobApi("processing job", "ProcessingJob", "processing_job", "processing_job", logs.PROCESSING)
# By the kind of run that has one.
JOB_APIS: Final = {"training": TRAINING, "tuning": TUNING, "transform": TRANSFORM, "evaluation": PROCESSING}


def job_to_wait_for(
    account: Account, run: Run, job: str, costs: str, ask: Callable[[], Answer] | None = None
) -> AwsJob:
    """The run's job as `wait_for_job` takes it. costs: what it costs while it runs. ask: asks about it, and perhaps
    about more; raises BackendError. Without it a job that was deleted counts as stopped.
    """
    api = JOB_APIS[run.kind]

    def describe() -> Answer:
        answer = api.describe(account, job)
        return {api.status: "Stopped", "FailureReason": "it was deleted"} if answer is None else answer

    return AwsJob(
        f"{api.what} {job}", run.name, ask or describe, api.has_ended, lambda: api.stop(account, job), costs
    )  # fmt: skip
