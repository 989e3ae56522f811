"""Endpoints and what belongs to them: configurations, models, scaling, alarms."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from backends.sagemaker.account import Account
from backends.sagemaker.billing.estimate import estimate
from backends.sagemaker.billing.items import Item
from backends.sagemaker.billing.prices import MONTH_DAYS, Prices
from backends.sagemaker.endpoints.endpoints import describe_endpoint
from backends.sagemaker.errors import none_if_missing
from backends.sagemaker.names import STEM
from backends.sagemaker.resources.resource import Resource, Tags, paginate

# In these an endpoint has instances, or is getting or changing them.
_PAID: Final = ("Creating", "InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed")
_MEGABYTES: Final = 1024


def endpoints(account: Account, tags: Tags, prices: Prices) -> Iterator[Resource]:
    """Every endpoint of Kennel's, with what its instances cost a day."""
    client = account.client("sagemaker")
    names = {each["EndpointArn"]: each["EndpointName"] for each in _by_name(client, "list_endpoints", "Endpoints")}
    for arn, name in {**_by_tag(tags, "endpoint"), **names}.items():
        if not (run := tags.run(arn)):
            continue
        if (answer := describe_endpoint(account, name)) is None:
            continue
        variants = _variants(client, answer)
        items = [_item(each) for each in variants] if answer["EndpointStatus"] in _PAID else []
        yield Resource(
            "endpoint", answer["EndpointName"], run, {"EndpointName": answer["EndpointName"]}, answer["EndpointStatus"],
            answer["CreationTime"].isoformat(timespec="seconds"), ", ".join(_in_words(each) for each in variants),
            estimate(items, account.region, prices).per_day_usd,
        )  # fmt: skip


def configurations(account: Account, tags: Tags) -> Iterator[Resource]:
    """Every endpoint configuration of Kennel's."""
    client = account.client("sagemaker")
    configs = _by_name(client, "list_endpoint_configs", "EndpointConfigs")
    names = {each["EndpointConfigArn"]: each["EndpointConfigName"] for each in configs}
    for arn, name in {**_by_tag(tags, "endpoint-config"), **names}.items():
        if run := tags.run(arn):
            yield Resource("endpoint configuration", name, run, {"EndpointConfigName": name})


def models(account: Account, tags: Tags) -> Iterator[Resource]:
    """Every model of Kennel's."""
    client = account.client("sagemaker")
    names = {each["ModelArn"]: each["ModelName"] for each in _by_name(client, "list_models", "Models")}
    for arn, name in {**_by_tag(tags, "model"), **names}.items():
        if not (run := tags.run(arn)):
            continue
        answer = none_if_missing(f"asking about model {name}", lambda name=name: client.describe_model(ModelName=name))  # type: ignore[misc]
        if answer is not None:
            yield Resource("model", name, run, {"ModelName": name}, detail=_artifact(answer))


def _artifact(model: Mapping[str, Any]) -> str:
    """Where a model's artifact lies; empty where a model package says so."""
    url: str = model.get("PrimaryContainer", {}).get("ModelDataUrl", "")
    return url


def alarms(account: Account, tags: Tags, prices: Prices) -> Iterator[Resource]:
    """Every alarm of Kennel's."""
    client = account.client("cloudwatch")
    month = prices.month("alarm")
    per_day = None if month is None else month / MONTH_DAYS
    for each in paginate(client, "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{STEM}-"):
        if run := tags.run(each["AlarmArn"]):
            name = each["AlarmName"]
            yield Resource("alarm", name, run, {"AlarmName": name}, each.get("StateValue", ""), usd_per_day=per_day)


def scaling(account: Account, whose: Mapping[str, str]) -> Iterator[Resource]:
    """What changes the number of instances of Kennel's endpoints, or did, and was left when they went.

    whose: {endpoint's name: run}. A policy or an action bears no tags: it is known by the endpoint that it names.
    """
    client = account.client("application-autoscaling")
    runs = dict(whose)
    for kind, operation, key, own in _SCALING:
        for each in paginate(client, operation, key, ServiceNamespace="sagemaker"):
            endpoint = each["ResourceId"].removeprefix("endpoint/").partition("/")[0]
            if endpoint not in runs:
                runs[endpoint] = endpoint if _was_kennels(account, endpoint) else ""
            if run := runs[endpoint]:
                named = {own: each[own]} if own else {}
                where = {name: each[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
                limits = f"{each['MinCapacity']} to {each['MaxCapacity']}" if "MinCapacity" in each else ""
                yield Resource(kind, each.get(own, each["ResourceId"]), run, {**where, **named}, detail=limits)


def _was_kennels(account: Account, endpoint: str) -> bool:
    """Whether an endpoint that isn't there any more has had a name of Kennel's making."""
    own = re.fullmatch(rf"{STEM}-.+-[0-9a-f]{{6}}", endpoint)
    return own is not None and describe_endpoint(account, endpoint) is None


_SCALING: Final[Sequence[tuple[Any, str, str, str]]] = (
    ("scheduled action", "describe_scheduled_actions", "ScheduledActions", "ScheduledActionName"),
    ("scaling policy", "describe_scaling_policies", "ScalingPolicies", "PolicyName"),
    ("scaling target", "describe_scalable_targets", "ScalableTargets", ""),
)


def _by_name(client: Any, operation: str, key: str) -> Iterator[dict[str, Any]]:
    return paginate(client, operation, key, NameContains=f"{STEM}-")


def _by_tag(tags: Tags, kind: str) -> dict[str, str]:
    """{ARN: name} of what the index has under other names; Kennel's own are in the lists, if they are there at all."""
    names = {arn: arn.rpartition("/")[2] for arn in tags.of_type(kind)}
    return {arn: name for arn, name in names.items() if not name.startswith(f"{STEM}-")}


def _variants(client: Any, answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The endpoint's variants as they run, each with its instance type; during an update the new fleet's, too."""
    variants = []
    for part in (answer, answer.get("PendingDeploymentSummary") or {}):
        running = [*part.get("ProductionVariants", []), *part.get("ShadowProductionVariants", [])]
        name = part.get("EndpointConfigName")
        if not name:
            continue
        config = (
            none_if_missing(
                f"asking about endpoint configuration {name}",
                lambda name=name: client.describe_endpoint_config(EndpointConfigName=name),  # type: ignore[misc]
            )
            or {}
        )
        declared = {
            each["VariantName"]: each
            for each in [*config.get("ProductionVariants", []), *config.get("ShadowProductionVariants", [])]
        }
        # An endpoint that is still being made names no variants.
        merged = [{**declared.get(each["VariantName"], {}), **each} for each in running] or list(declared.values())
        variants += merged or [{"VariantName": "unknown"}]
    return variants


def _item(variant: Mapping[str, Any]) -> Item:
    name = variant["VariantName"]
    serverless = variant.get("CurrentServerlessConfig") or variant.get("ServerlessConfig")
    if serverless:
        warm = serverless.get("ProvisionedConcurrency", 0)
        return Item(name, "serverless", gigabytes=serverless["MemorySizeInMB"] / _MEGABYTES, waits=warm)
    return Item(name, "hosting", variant.get("InstanceType", ""), _count(variant))


def _count(variant: Mapping[str, Any]) -> int:
    count: int = variant.get("CurrentInstanceCount", variant.get("InitialInstanceCount", 1))
    return count


def _in_words(variant: Mapping[str, Any]) -> str:
    item = _item(variant)
    if item.kind == "serverless":
        return f"serverless, {item.gigabytes:g} GB" + (f", {item.waits} kept warm" if item.waits else "")
    return f"{item.count} x {item.instance_type or 'an unknown type'}"
