"""What stays when nothing runs: objects in S3, endpoints' logs, model packages and cards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.billing.estimate import size
from backends.sagemaker.billing.prices import MONTH_DAYS, Prices
from backends.sagemaker.errors import none_if_missing, translate_aws_errors
from backends.sagemaker.names import STEM, S3Location
from backends.sagemaker.resources.resource import Resource, Tags, paginate, paginate_if_exists

# As it is billed.
_GB: Final = 2**30
# As many as one request may name.
AT_ONCE: Final = 1000


@dataclass
class _ObjectGroup:
    """Objects below one prefix, all their versions; and the runs whose models use them."""

    count: int = 0
    size: int = 0
    runs: set[str] = field(default_factory=set)


def root(account: Account) -> S3Location:
    """Where everything of Kennel's lies."""
    return S3Location(account.bucket_name, account.settings.sagemaker.prefix.strip("/"))


def objects(account: Account, prices: Prices, users: Mapping[str, set[str]]) -> Iterator[Resource]:
    """What lies in S3, one thing a run, a data set and an artifact; and what uploads that were cut off have left.

    users: {an artifact's URL: the runs whose models use it}. An artifact that one run alone uses is that run's.
    """
    location = root(account)
    client = account.client("s3")
    below = {"Bucket": location.bucket, "Prefix": f"{location.key}/"}
    price = prices.month("s3")
    piles: dict[str, _ObjectGroup] = {}
    for each in paginate_if_exists(client, "list_object_versions", "Versions", **below):
        pile = piles.setdefault(_group(location, each["Key"]), _ObjectGroup())
        pile.count += 1
        pile.size += each["Size"]
        pile.runs |= users.get(S3Location(location.bucket, each["Key"]).url, set())
    for key, pile in sorted(piles.items()):
        per_day = None if price is None else pile.size / _GB * price / MONTH_DAYS
        run = _run_of(location, key) or (next(iter(pile.runs)) if len(pile.runs) == 1 else "")
        detail = f"{pile.count} object{'s' * (pile.count != 1)}, {size(pile.size)}"
        handle = {"Bucket": location.bucket, "Prefix": key}
        yield Resource("objects", S3Location(location.bucket, key).url, run, handle, detail=detail, usd_per_day=per_day)
    for each in paginate_if_exists(client, "list_multipart_uploads", "Uploads", **below):
        key = each["Key"]
        handle = {"Bucket": location.bucket, "Key": key, "UploadId": each["UploadId"]}
        yield Resource("unfinished upload", S3Location(location.bucket, key).url, _run_of(location, key), handle)


def remove_all_versions(account: Account, below: Mapping[str, str]) -> None:
    """Remove every version of every object. below: {"Bucket", "Prefix"}."""
    client = account.client("s3")
    versions = [
        {"Key": each["Key"], "VersionId": each["VersionId"]}
        for key in ("Versions", "DeleteMarkers")
        for each in paginate_if_exists(client, "list_object_versions", key, **below)
    ]
    for start in range(0, len(versions), AT_ONCE):
        part = versions[start : start + AT_ONCE]
        with translate_aws_errors(f"removing s3://{below['Bucket']}/{below['Prefix']}"):
            answer = client.delete_objects(Bucket=below["Bucket"], Delete={"Objects": part, "Quiet": True})
        if faults := answer.get("Errors"):
            first = faults[0]
            raise BackendError(
                f"{len(faults)} objects of s3://{below['Bucket']}/{below['Prefix']} couldn't be removed "
                f"({first.get('Code')}: {first.get('Message')})"
            )


def _group(location: S3Location, key: str) -> str:
    """PREFIX/runs/NAME/, PREFIX/data/NAME/ or PREFIX/models/NAME/; what lies elsewhere goes by its first folder, or by
    itself.
    """
    inside = key.removeprefix(f"{location.key}/").split("/")
    depth = 2 if inside[0] in ("runs", "data", "models") and len(inside) > 2 else 1
    if len(inside) <= depth:
        return key
    return f"{location.key}/{'/'.join(inside[:depth])}/"


def _run_of(location: S3Location, key: str) -> str:
    inside = key.removeprefix(f"{location.key}/").split("/")
    return inside[1] if inside[0] == "runs" and len(inside) > 2 else ""


def log_groups(account: Account, prices: Prices) -> Iterator[Resource]:
    """The logs of endpoints, which outlive them. Those of jobs lie in groups that all jobs of an account share."""
    stem = "/aws/sagemaker/Endpoints/"
    price = prices.month("logs")
    client = account.client("logs")
    for each in paginate(client, "describe_log_groups", "logGroups", logGroupNamePrefix=f"{stem}{STEM}-"):
        name, stored = each["logGroupName"], each.get("storedBytes", 0)
        per_day = None if price is None else stored / _GB * price / MONTH_DAYS
        yield Resource(
            "log group", name, name.removeprefix(stem), {"logGroupName": name}, detail=size(stored), usd_per_day=per_day
        )


def packages(account: Account, tags: Tags) -> Iterator[Resource]:
    """Model packages and their group, which are no run's. They cost nothing; the artifacts that they name do."""
    client = account.client("sagemaker")
    group = account.settings.registry.group
    for each in paginate(client, "list_model_package_groups", "ModelPackageGroupSummaryList", NameContains=group):
        name = each["ModelPackageGroupName"]
        if name != group or not tags.kind(each["ModelPackageGroupArn"]):
            continue
        versions = list(paginate(client, "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=name))
        for version in versions:
            arn = version["ModelPackageArn"]
            state = version.get("ModelApprovalStatus", "")
            number = arn.partition(":model-package/")[2]
            yield Resource(
                "model package", number, "", {"ModelPackageName": arn}, state, detail=_artifact_of(account, arn)
            )
        detail = f"{len(versions)} version{'s' * (len(versions) != 1)}"
        yield Resource("model package group", name, "", {"ModelPackageGroupName": name}, detail=detail)


def _artifact_of(account: Account, arn: str) -> str:
    client = account.client("sagemaker")
    answer = (
        none_if_missing("asking about a model package", lambda: client.describe_model_package(ModelPackageName=arn))
        or {}
    )
    containers = answer.get("InferenceSpecification", {}).get("Containers") or [{}]
    url: str = containers[0].get("ModelDataUrl", "")
    return url
