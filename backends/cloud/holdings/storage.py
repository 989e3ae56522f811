"""What stays when nothing runs: objects in S3, endpoints' logs, model packages and cards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backends.cloud.account import Account
from backends.cloud.errors import told
from backends.cloud.holdings.calls import listed, unless_gone
from backends.cloud.holdings.tags import Tags
from backends.cloud.holdings.things import Thing
from backends.cloud.money.estimate import size
from backends.cloud.money.prices import MONTH_DAYS, Prices
from backends.cloud.names import RUN_TAG, STEM, Place
from backends.errors import BackendError

# As it is billed.
_GB: Final = 2**30
# As many as one request may name.
AT_ONCE: Final = 1000


@dataclass
class _Pile:
    """Objects below one prefix, all their versions."""

    count: int = 0
    size: int = 0


def bucket_name(account: Account) -> str:
    """The bucket, which may not be there: looking makes none."""
    return account.settings.sagemaker.bucket or f"sagemaker-{account.region}-{account.identity['Account']}"


def root(account: Account) -> Place:
    """Where everything of Kennel's lies."""
    return Place(bucket_name(account), account.settings.sagemaker.prefix.strip("/"))


def objects(account: Account, prices: Prices, run: str = "") -> Iterator[Thing]:
    """What lies in S3, one thing a run and a data set, and what uploads that were cut off have left.

    run: that run's alone.
    """
    place = root(account)
    client = account.client("s3")
    below = {"Bucket": place.bucket, "Prefix": f"{place.key}/runs/{run}/" if run else f"{place.key}/"}
    price = prices.month("s3")
    piles: dict[str, _Pile] = {}
    for each in _or_nothing(lambda: list(listed(client, "list_object_versions", "Versions", **below))):
        pile = piles.setdefault(_group(place, each["Key"]), _Pile())
        pile.count += 1
        pile.size += each["Size"]
    for key, pile in sorted(piles.items()):
        per_day = None if price is None else pile.size / _GB * price / MONTH_DAYS
        detail = f"{pile.count} object{'s' * (pile.count != 1)}, {size(pile.size)}"
        yield Thing(
            "objects", Place(place.bucket, key).url, _run_of(place, key), {"Bucket": place.bucket, "Prefix": key},
            detail=detail, usd_per_day=per_day,
        )  # fmt: skip
    for each in _or_nothing(lambda: list(listed(client, "list_multipart_uploads", "Uploads", **below))):
        key = each["Key"]
        handle = {"Bucket": place.bucket, "Key": key, "UploadId": each["UploadId"]}
        yield Thing("unfinished upload", Place(place.bucket, key).url, _run_of(place, key), handle)


def remove_objects(account: Account, below: Mapping[str, str]) -> None:
    """Remove every version of every object. below: {"Bucket", "Prefix"}."""
    client = account.client("s3")
    found = [
        {"Key": each["Key"], "VersionId": each["VersionId"]}
        for key in ("Versions", "DeleteMarkers")
        for each in _or_nothing(lambda key=key: list(listed(client, "list_object_versions", key, **below)))
    ]
    for start in range(0, len(found), AT_ONCE):
        part = found[start : start + AT_ONCE]
        with told(f"removing s3://{below['Bucket']}/{below['Prefix']}"):
            answer = client.delete_objects(Bucket=below["Bucket"], Delete={"Objects": part, "Quiet": True})
        if faults := answer.get("Errors"):
            first = faults[0]
            raise BackendError(
                f"{len(faults)} objects of s3://{below['Bucket']}/{below['Prefix']} couldn't be removed "
                f"({first.get('Code')}: {first.get('Message')})"
            )


def _group(place: Place, key: str) -> str:
    """PREFIX/runs/NAME/ or PREFIX/data/NAME/; what lies elsewhere goes by its first folder, or by itself."""
    inside = key.removeprefix(f"{place.key}/").split("/")
    depth = 2 if inside[0] in ("runs", "data") and len(inside) > 2 else 1
    if len(inside) <= depth:
        return key
    return f"{place.key}/{'/'.join(inside[:depth])}/"


def _run_of(place: Place, key: str) -> str:
    inside = key.removeprefix(f"{place.key}/").split("/")
    return inside[1] if inside[0] == "runs" and len(inside) > 2 else ""


def _or_nothing(ask: Any) -> list[dict[str, Any]]:
    """A list's items; none where there is no bucket."""
    try:
        found: list[dict[str, Any]] = ask()
    except BackendError as error:
        cause = error.__cause__
        if getattr(cause, "response", {}).get("Error", {}).get("Code") == "NoSuchBucket":
            return []
        raise
    return found


def log_groups(account: Account, prices: Prices) -> Iterator[Thing]:
    """The logs of endpoints, which outlive them. Those of jobs lie in groups that all jobs of an account share."""
    stem = "/aws/sagemaker/Endpoints/"
    price = prices.month("logs")
    found = listed(account.client("logs"), "describe_log_groups", "logGroups", logGroupNamePrefix=f"{stem}{STEM}-")
    for each in found:
        name, stored = each["logGroupName"], each.get("storedBytes", 0)
        per_day = None if price is None else stored / _GB * price / MONTH_DAYS
        yield Thing(
            "log group", name, name.removeprefix(stem), {"logGroupName": name}, detail=size(stored), usd_per_day=per_day
        )


def packages(account: Account, tags: Tags) -> Iterator[Thing]:
    """Model packages, their group and model cards. They cost nothing; the artifacts in S3 that they name do."""
    client = account.client("sagemaker")
    group = account.settings.registry.group
    for each in listed(client, "list_model_package_groups", "ModelPackageGroupSummaryList", NameContains=group):
        name = each["ModelPackageGroupName"]
        if not (own := tags.run(each["ModelPackageGroupArn"])):
            continue
        versions = list(listed(client, "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=name))
        runs = set()
        for version in versions:
            thing = _package(account, version)
            runs.add(thing.run)
            yield thing
        # The group goes with the last run that has a version in it.
        whose = next(iter(runs)) if len(runs) == 1 else "" if runs else own
        yield Thing(
            "model package group", name, whose, {"ModelPackageGroupName": name}, detail=f"{len(versions)} versions"
        )
    for each in listed(client, "list_model_cards", "ModelCardSummaries", NameContains=STEM):
        if run := tags.run(each["ModelCardArn"]):
            name = each["ModelCardName"]
            yield Thing("model card", name, run, {"ModelCardName": name}, each.get("ModelCardStatus", ""))


def _package(account: Account, version: dict[str, Any]) -> Thing:
    """A version bears no tags of its own: its metadata says whose it is, else where its artifact lies."""
    arn = version["ModelPackageArn"]
    client = account.client("sagemaker")
    answer = (
        unless_gone("asking about a model package", lambda: client.describe_model_package(ModelPackageName=arn)) or {}
    )
    containers = answer.get("InferenceSpecification", {}).get("Containers", [{}])
    artifact = Place.parse(containers[0].get("ModelDataUrl", "s3:///"))
    run = answer.get("CustomerMetadataProperties", {}).get(RUN_TAG) or _run_of(root(account), artifact.key)
    name = arn.partition(":model-package/")[2]
    return Thing(
        "model package",
        name,
        run,
        {"ModelPackageName": arn},
        version.get("ModelApprovalStatus", ""),
        detail=artifact.url,
    )
