"""Jobs that run, and warm pools that wait for the next one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import PriceKind as Use
from backends.sagemaker.billing.prices import Prices
from backends.sagemaker.jobs.api import PROCESSING, TRAINING, TRANSFORM, TUNING, JobApi
from backends.sagemaker.names import STEM
from backends.sagemaker.resources.resource import Resource, ResourceKind, Tags, paginate

RUNNING: Final = ("InProgress", "Stopping")
_DAY_HOURS: Final = 24


@dataclass(frozen=True)
class JobKind:
    """How jobs of a kind are listed and priced. kind: as a resource. arn: the type in their ARN.

    use: of their instances, by which they are priced; None for a tuning job, whose trainings are jobs themselves.
    resources: keys that lead to instance type and count in a description.
    """

    kind: ResourceKind
    api: JobApi
    arn: str
    use: Use | None
    resources: tuple[str, ...] = ()

    def instances(self, answer: Mapping[str, Any]) -> tuple[str, int]:
        """(type, count) of a job's instances; an empty type where that isn't known."""
        part: Mapping[str, Any] = answer
        for key in self.resources:
            part = part.get(key, {})
        return part.get("InstanceType", ""), part.get("InstanceCount", 1)


JOB_KINDS: Final = {
    kind.kind: kind
    for kind in (
        JobKind("tuning job", TUNING, "hyper-parameter-tuning-job", None),
        JobKind("training job", TRAINING, "training-job", "training", ("ResourceConfig",)),
        JobKind("transform job", TRANSFORM, "transform-job", "transform", ("TransformResources",)),
        JobKind("processing job", PROCESSING, "processing-job", "processing", ("ProcessingResources", "ClusterConfig")),
    )
}


def running_jobs(account: Account, tags: Tags, prices: Prices) -> Iterator[Resource]:
    """Every job of Kennel's that runs, or is asked to stop and still does."""
    for kind in JOB_KINDS.values():
        for name, arn in _candidates(account, tags, kind):
            if not (run := tags.run(arn)):
                continue
            answer = kind.api.describe(account, name)
            if answer is not None and answer[kind.api.status] in RUNNING:
                yield _running(kind, answer, run, prices)


def _candidates(account: Account, tags: Tags, kind: JobKind) -> Iterator[tuple[str, str]]:
    """(name, ARN) of jobs that may run: by name, and those of other names that the index of tags has."""
    client = account.client("sagemaker")
    seen = set()
    for status in RUNNING:
        for each in paginate(
            client, f"list_{kind.api.operation}s", f"{kind.api.stem}Summaries", NameContains=f"{STEM}-",
            StatusEquals=status,
        ):  # fmt: skip
            arn = each[f"{kind.api.stem}Arn"]
            if arn not in seen and each[kind.api.status] in RUNNING:
                seen.add(arn)
                yield each[kind.api.name], arn
    for arn in tags.of_type(kind.arn):
        name = arn.rpartition("/")[2]
        # Finished jobs stay in the index for good; one of Kennel's own names would have been in the list if it ran.
        if arn not in seen and not name.startswith(f"{STEM}-"):
            yield name, arn


def _running(kind: JobKind, answer: Mapping[str, Any], run: str, prices: Prices) -> Resource:
    name = answer[kind.api.name]
    shared: dict[str, Any] = {
        "kind": kind.kind, "name": name, "run": run, "handle": {kind.api.name: name}, "state": answer[kind.api.status],
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
        answer = kind.api.describe(account, name) or {}
        instance_type, count = kind.instances(answer)
        price = prices.instance_hour(instance_type, "training")
        yield Resource(
            "warm pool", name, run, {"TrainingJobName": name}, "Available", _time(each.get("TrainingEndTime")),
            f"{count} x {instance_type}", None if price is None else price * count * _DAY_HOURS,
        )  # fmt: skip


def _time(moment: Any) -> str:
    return moment.isoformat(timespec="seconds") if moment is not None else ""
