"""Jobs that run, and warm pools that wait for the next one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import PriceKind as Use
from backends.sagemaker.billing.prices import Prices
from backends.sagemaker.errors import none_if_missing
from backends.sagemaker.names import STEM
from backends.sagemaker.resources.resource import Resource, ResourceKind, Tags, paginate

RUNNING: Final = ("InProgress", "Stopping")
_DAY_HOURS: Final = 24


@dataclass(frozen=True)
class JobKind:
    """How jobs of a kind are listed, asked about and stopped. stem: of the words in requests and answers.

    use: how their instances are priced; none for a tuning job, whose trainings are jobs themselves.
    """

    kind: ResourceKind
    stem: str
    operation: str
    arn: str
    use: Use | None
    instances: Callable[[Mapping[str, Any]], tuple[str, int]]

    @property
    def name(self) -> str:
        return f"{self.stem}Name"

    @property
    def status(self) -> str:
        return f"{self.stem}Status"

    @property
    def stop(self) -> str:
        return f"stop_{self.operation}"

    def describe(self, account: Account, name: str) -> dict[str, Any] | None:
        """What the service says of a job; None when there is none of that name."""
        ask = getattr(account.client("sagemaker"), f"describe_{self.operation}")
        return none_if_missing(f"asking about {self.kind} {name}", lambda: ask(**{self.name: name}))


def _of_training(answer: Mapping[str, Any]) -> tuple[str, int]:
    chosen = answer.get("ResourceConfig", {})
    return chosen.get("InstanceType", ""), chosen.get("InstanceCount", 1)


def _of_transform(answer: Mapping[str, Any]) -> tuple[str, int]:
    chosen = answer.get("TransformResources", {})
    return chosen.get("InstanceType", ""), chosen.get("InstanceCount", 1)


def _of_processing(answer: Mapping[str, Any]) -> tuple[str, int]:
    chosen = answer.get("ProcessingResources", {}).get("ClusterConfig", {})
    return chosen.get("InstanceType", ""), chosen.get("InstanceCount", 1)


JOB_KINDS: Final = {
    kind.kind: kind
    for kind in (
        JobKind(
            "tuning job", "HyperParameterTuningJob", "hyper_parameter_tuning_job", "hyper-parameter-tuning-job", None,
            lambda _: ("", 0),
        ),
        JobKind("training job", "TrainingJob", "training_job", "training-job", "training", _of_training),
        JobKind("transform job", "TransformJob", "transform_job", "transform-job", "transform", _of_transform),
        JobKind("processing job", "ProcessingJob", "processing_job", "processing-job", "processing", _of_processing),
    )
}  # fmt: skip


def running_jobs(account: Account, tags: Tags, prices: Prices) -> Iterator[Resource]:
    """Every job of Kennel's that runs, or is asked to stop and still does."""
    for kind in JOB_KINDS.values():
        for name, arn in _candidates(account, tags, kind):
            if not (run := tags.run(arn)):
                continue
            answer = kind.describe(account, name)
            if answer is not None and answer[kind.status] in RUNNING:
                yield _running(kind, answer, run, prices)


def _candidates(account: Account, tags: Tags, kind: JobKind) -> Iterator[tuple[str, str]]:
    """(name, ARN) of jobs that may run: by name, and those of other names that the index of tags has."""
    client = account.client("sagemaker")
    seen = set()
    for status in RUNNING:
        for each in paginate(
            client, f"list_{kind.operation}s", f"{kind.stem}Summaries", NameContains=f"{STEM}-", StatusEquals=status
        ):
            arn = each[f"{kind.stem}Arn"]
            if arn not in seen and each[kind.status] in RUNNING:
                seen.add(arn)
                yield each[kind.name], arn
    for arn in tags.of_type(kind.arn):
        name = arn.rpartition("/")[2]
        # Finished jobs stay in the index for good; one of Kennel's own names would have been in the list if it ran.
        if arn not in seen and not name.startswith(f"{STEM}-"):
            yield name, arn


def _running(kind: JobKind, answer: Mapping[str, Any], run: str, prices: Prices) -> Resource:
    name = answer[kind.name]
    shared: dict[str, Any] = {
        "kind": kind.kind, "name": name, "run": run, "handle": {kind.name: name}, "state": answer[kind.status],
        "since": _time(answer.get("CreationTime")),
    }  # fmt: skip
    if kind.use is None:
        counters = answer.get("TrainingJobStatusCounters", {})
        return Resource(
            detail=f"{counters.get('InProgress', 0)} trainings run, {counters.get('Completed', 0)} done", **shared
        )
    instance_type, count = kind.instances(answer)
    spot = " (spot)" if answer.get("EnableManagedSpotTraining") else ""
    price = prices.instance_hour(instance_type, kind.use)
    per_day = None if price is None else price * count * _DAY_HOURS
    return Resource(detail=f"{count} x {instance_type}{spot}", usd_per_day=per_day, **shared)


def warm_pools(account: Account, tags: Tags, prices: Prices) -> Iterator[Resource]:
    """Instances that a finished training keeps for the next one."""
    kind = JOB_KINDS["training job"]
    summaries = paginate(
        account.client("sagemaker"), "list_training_jobs", "TrainingJobSummaries", NameContains=f"{STEM}-",
        WarmPoolStatusEquals="Available",
    )  # fmt: skip
    for each in summaries:
        name = each["TrainingJobName"]
        if each.get("WarmPoolStatus", {}).get("Status") != "Available" or not (run := tags.run(each["TrainingJobArn"])):
            continue
        answer = kind.describe(account, name) or {}
        instance_type, count = kind.instances(answer)
        price = prices.instance_hour(instance_type, "training")
        yield Resource(
            "warm pool", name, run, {"TrainingJobName": name}, "Available", _time(each.get("TrainingEndTime")),
            f"{count} x {instance_type}", None if price is None else price * count * _DAY_HOURS,
        )  # fmt: skip


def _time(moment: Any) -> str:
    return moment.isoformat(timespec="seconds") if moment is not None else ""
