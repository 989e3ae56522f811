"""A tuner's training jobs as trials: what SageMaker answers, in sequence, and what is made of it."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from backends.sagemaker.account import Account
from backends.sagemaker.jobs.tuning_trials import TunerJobs, metric_rows
from contract.hyperparameters import Hyperparameters
from tests.cloud.conftest import settings
from tests.cloud.searches import DEFAULTS
from tuning.settings import SearchSettings

BEGAN = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
TUNING = "kennel-search-1a2b3c"
GROUP = "/aws/sagemaker/TrainingJobs"
ANSWER = {"CreationTime": BEGAN}


class Stubs:
    """SageMaker and CloudWatch Logs, which answer what they are told to, in that order, and nothing else."""

    def __init__(self, stack: ExitStack, account: Account) -> None:
        self.sagemaker = stack.enter_context(Stubber(account.client("sagemaker")))
        self.logs = stack.enter_context(Stubber(account.client("logs")))

    def list(self, *summaries: dict[str, Any], more: str = "", since: str = "") -> None:
        expected: dict[str, Any] = {
            "HyperParameterTuningJobName": TUNING, "SortBy": "CreationTime", "SortOrder": "Ascending",
            "MaxResults": 100,
        }  # fmt: skip
        answer: dict[str, Any] = {"TrainingJobSummaries": list(summaries), **({"NextToken": more} if more else {})}
        self.sagemaker.add_response(
            "list_training_jobs_for_hyper_parameter_tuning_job", answer,
            {**expected, **({"NextToken": since} if since else {})},
        )  # fmt: skip

    def describe(self, number: int, metrics: dict[str, float] | None = None, billed: int = 60) -> None:
        answer: dict[str, Any] = {
            "TrainingJobName": name(number), "TrainingJobArn": arn(number), "TrainingJobStatus": "Completed",
            "ModelArtifacts": {"S3ModelArtifacts": "s3://bucket/model.tar.gz"}, "SecondaryStatus": "Completed",
            "AlgorithmSpecification": {"TrainingInputMode": "File"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60}, "CreationTime": BEGAN, "BillableTimeInSeconds": billed,
            "FinalMetricDataList": [
                {"MetricName": each, "Value": value, "Timestamp": BEGAN} for each, value in (metrics or {}).items()
            ],
        }  # fmt: skip
        self.sagemaker.add_response("describe_training_job", answer, {"TrainingJobName": name(number)})

    def log(self, number: int, *lines: str, token: str = "t1", before: str = "") -> None:
        """Lines that are new, and then that there are no more."""
        stream = f"{name(number)}/algo-1-1"
        self.logs.add_response(
            "describe_log_streams", {"logStreams": [{"logStreamName": stream}]},
            {"logGroupName": GROUP, "logStreamNamePrefix": f"{name(number)}/"},
        )  # fmt: skip
        events = [{"timestamp": each, "message": line, "ingestionTime": 1} for each, line in enumerate(lines)]
        begin: dict[str, Any] = {"nextToken": before} if before else {"startFromHead": True}
        for found, since in ((events, begin), ([], {"nextToken": token})):
            if found is events and before == token:
                continue
            self.logs.add_response(
                "get_log_events", {"events": found, "nextForwardToken": token, "nextBackwardToken": "b"},
                {"logGroupName": GROUP, "logStreamName": stream, **since},
            )  # fmt: skip

    def no_log(self, number: int) -> None:
        self.logs.add_client_error(
            "describe_log_streams", "ResourceNotFoundException", "The specified log group does not exist.",
            expected_params={"logGroupName": GROUP, "logStreamNamePrefix": f"{name(number)}/"},
        )  # fmt: skip

    def done(self) -> None:
        self.sagemaker.assert_no_pending_responses()
        self.logs.assert_no_pending_responses()


@pytest.fixture
def stubs(account_alone: Account) -> Iterator[Stubs]:
    with ExitStack() as stack:
        made = Stubs(stack, account_alone)
        yield made
        made.done()


@pytest.fixture
def account_alone(monkeypatch: pytest.MonkeyPatch) -> Account:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "none")
    return Account(settings(), lambda _: None)


def name(number: int) -> str:
    return f"{TUNING}-{number:03d}-0a1b2c3d"


def arn(number: int) -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name(number)}"


def summary(number: int, status: str, lr: str = "0.01", value: float | None = None, **more: Any) -> dict[str, Any]:
    start = BEGAN + timedelta(seconds=10 * number)
    ended = {} if status == "InProgress" else {"TrainingEndTime": start + timedelta(seconds=95)}
    final = {} if value is None else {
        "FinalHyperParameterTuningJobObjectiveMetric": {"MetricName": "validation_accuracy", "Value": value}
    }  # fmt: skip
    return {
        "TrainingJobName": name(number), "TrainingJobArn": arn(number), "CreationTime": start,
        "TrainingStartTime": start + timedelta(seconds=5), "TrainingJobStatus": status,
        "TunedHyperParameters": {"lr": lr, "batch_size": "16"}, **ended, **final, **more,
    }  # fmt: skip


def epoch(number: int, accuracy: float) -> str:
    return f"epoch={number}; train_loss=0.5; validation_loss=0.4; validation_accuracy={accuracy:.6f};"


def jobs(account: Account, **chosen: object) -> TunerJobs:
    search = SearchSettings.of(Hyperparameters.parse({**DEFAULTS, **chosen}))
    return TunerJobs(account, TUNING, search)


def test_a_job_from_its_creation_to_its_end(account_alone: Account, stubs: Stubs) -> None:
    found = jobs(account_alone)
    waiting = summary(1, "InProgress")
    del waiting["TrainingStartTime"]
    stubs.list(waiting)
    first = found.refresh(ANSWER)
    assert ([each.number for each in first.running], first.finished) == ([1], [])
    assert first.running[0].values == {"lr": 0.01, "batch_size": 16}
    # It trains, and tells its first epoch.
    stubs.list(summary(1, "InProgress"))
    stubs.log(1, "loading data", epoch(1, 0.5))
    second = found.refresh(ANSWER)
    assert list(second.running[0].epochs) == [1]
    # Nothing new, which costs two questions.
    stubs.list(summary(1, "InProgress"))
    stubs.log(1, token="t1", before="t1")
    assert list(found.refresh(ANSWER).running[0].epochs) == [1]
    # The end: described once, whatever is asked later.
    stubs.list(summary(1, "Completed", value=0.75))
    stubs.log(1, epoch(2, 0.75), token="t2", before="t1")
    stubs.describe(1, {"validation_accuracy": 0.75, "train_loss": 0.25})
    stubs.list(summary(1, "Completed", value=0.75))
    found.refresh(ANSWER)
    last = found.refresh(ANSWER)
    (record,) = last.finished
    assert (record.state, record.objective, record.seconds) == ("completed", (0.75,), 90.0)
    assert (record.started, record.ended, last.seconds) == (10.0, 105.0, 105.0)
    assert list(record.epochs) == [1, 2]
    assert record.metrics == {
        "validation_accuracy": 0.75, "train_loss": 0.5, "validation_loss": 0.4,
    }  # fmt: skip
    assert last.jobs == {1: name(1)}
    assert "SageMaker bills 60 s of training" in last.notes
    assert f"searched by SageMaker's tuner, as tuning job {TUNING}" in last.notes


def test_lists_of_several_pages(account_alone: Account, stubs: Stubs) -> None:
    waiting = [summary(number, "InProgress") for number in (1, 2, 3)]
    for each in waiting:
        del each["TrainingStartTime"]
    stubs.list(*waiting[:2], more="page2")
    stubs.list(waiting[2], since="page2")
    assert [each.number for each in jobs(account_alone).refresh(ANSWER).running] == [1, 2, 3]


def test_a_job_that_the_tuner_ended_early(account_alone: Account, stubs: Stubs) -> None:
    stubs.list(summary(1, "Stopped", value=0.5))
    stubs.log(1, epoch(1, 0.5))
    stubs.describe(1)
    found = jobs(account_alone).refresh({**ANSWER, "BestTrainingJob": {"TrainingJobName": name(1)}})
    (record,) = found.finished
    assert (record.state, record.objective, found.interrupted) == ("pruned", None, 0)
    assert "SageMaker's own best is trial 1, which it ended early" in found.notes
    assert record.metrics["validation_accuracy"] == 0.5


def test_without_a_pruner_a_stopped_job_was_cut_off(account_alone: Account, stubs: Stubs) -> None:
    stubs.list(summary(1, "Stopped", value=0.5))
    stubs.no_log(1)
    stubs.describe(1)
    found = jobs(account_alone, tune_pruner="none").refresh(ANSWER)
    assert (found.finished, found.running, found.interrupted) == ([], [], 1)


def test_a_job_without_the_objective_has_failed(account_alone: Account, stubs: Stubs) -> None:
    stubs.list(summary(1, "Completed"))
    stubs.log(1, "epoch=1; train_loss=nan; validation_loss=nan; validation_accuracy=nan;")
    stubs.describe(1)
    (record,) = jobs(account_alone).refresh(ANSWER).finished
    assert (record.state, record.objective) == ("failed", None)
    assert record.reason == f"the tuner found no validation_accuracy in the log of {name(1)}"
    # JSON has no NaN.
    assert record.epochs[1]["train_loss"] is None


def test_the_objective_from_the_log_where_the_list_has_none_yet(account_alone: Account, stubs: Stubs) -> None:
    stubs.list(summary(1, "Completed"))
    stubs.log(1, epoch(1, 0.625))
    stubs.describe(1)
    (record,) = jobs(account_alone).refresh(ANSWER).finished
    assert record.objective == (0.625,)


def test_a_failure_and_what_may_not_be(account_alone: Account, stubs: Stubs) -> None:
    stubs.list(
        summary(1, "Failed", FailureReason="CapacityError: Unable to provision requested ML compute capacity."),
        summary(2, "Failed"),
        summary(3, "Completed", lr="-1", value=0.9),
    )
    for number in (1, 2, 3):
        stubs.no_log(number)
        stubs.describe(number)
    first, second, third = jobs(account_alone).refresh(ANSWER).finished
    assert first.reason == "CapacityError: Unable to provision requested ML compute capacity."
    assert second.reason == "without a reason"
    assert third.state == "failed"
    assert third.reason is not None
    assert third.reason.startswith("lr: ")


def test_logs_that_came_late(account_alone: Account, stubs: Stubs) -> None:
    found = jobs(account_alone)
    stubs.list(summary(1, "Completed", value=0.75))
    stubs.log(1, epoch(1, 0.5))
    stubs.describe(1)
    assert list(found.refresh(ANSWER).finished[0].epochs) == [1]
    stubs.log(1, epoch(2, 0.75), token="t2", before="t1")
    found.catch_up()
    stubs.list(summary(1, "Completed", value=0.75))
    assert list(found.refresh(ANSWER).finished[0].epochs) == [1, 2]


def test_a_warm_start_is_told(account_alone: Account, stubs: Stubs) -> None:
    stubs.list()
    parents = [{"HyperParameterTuningJobName": each} for each in ("old-1", "old-2")]
    found = jobs(account_alone).refresh({**ANSWER, "WarmStartConfig": {"ParentHyperParameterTuningJobs": parents}})
    assert "it began with the results of old-1, old-2" in found.notes
    assert found.seconds == 0.0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epoch=3; train_loss=1.5e-05; learning_rate=0.5;", {"epoch": 3, "train_loss": 1.5e-05, "learning_rate": 0.5}),
        ("test_loss=0.5; average test loss=0.5;", {"test_loss": 0.5, "average test loss": 0.5}),
        ("algo-1: epoch=1; validation_accuracy=0.5;", {"epoch": 1, "validation_accuracy": 0.5}),
        ("trial 1 of 4: lr 0.01: validation_accuracy 0.5", None),
        ("other=1.5; validation_accuracy=high;", None),
        ("", None),
    ],
)  # fmt: skip
def test_rows_of_a_log(line: str, expected: dict[str, float] | None) -> None:
    assert list(metric_rows([line])) == ([] if expected is None else [expected])
