"""A thing in the account: whose it is, by its tags, how such things are listed, and the order in which they go."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.errors import AwsError, none_if_missing, translate_aws_errors
from backends.sagemaker.names import KIND_TAG, RUN_TAG

ResourceKind = Literal[
    "scheduled action", "scaling policy", "scaling target", "tuning job", "training job", "warm pool", "transform job",
    "processing job", "endpoint", "endpoint configuration", "model", "alarm", "model package", "model package group",
    "log group", "unfinished upload", "objects",
]  # fmt: skip

# Scaling first, which would change what is being removed; what others refer to last.
ORDER: Final[tuple[ResourceKind, ...]] = (
    "scheduled action", "scaling policy", "scaling target", "tuning job", "training job", "warm pool", "transform job",
    "processing job", "endpoint", "endpoint configuration", "model", "alarm", "model package", "model package group",
    "log group", "unfinished upload", "objects",
)  # fmt: skip
# What somebody may still want when nothing runs any more.
DATA: Final[frozenset[ResourceKind]] = frozenset(
    ("model package", "model package group", "log group", "unfinished upload", "objects")
)
JOBS: Final[frozenset[ResourceKind]] = frozenset(("tuning job", "training job", "transform job", "processing job"))


@dataclass(frozen=True)
class Resource:
    """One thing that Kennel made.

    run: whose it is, by its resource name; empty for what belongs to none. since: when it was made, ISO 8601, where
    that is known. usd_per_day: what it costs as it is now; None when no price is known. handle: the parameters by
    which its removal is asked for.
    """

    kind: ResourceKind
    name: str
    run: str
    handle: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    since: str = ""
    detail: str = ""
    usd_per_day: float | None = 0.0

    @property
    def is_data(self) -> bool:
        """Whether it only goes when its data are to go, too."""
        return self.kind in DATA


def in_removal_order(resources: list[Resource]) -> list[Resource]:
    """The order of removal."""
    return sorted(resources, key=lambda resource: (ORDER.index(resource.kind), resource.name))


_TYPES: Final = (
    "sagemaker:endpoint", "sagemaker:endpoint-config", "sagemaker:model", "sagemaker:training-job",
    "sagemaker:hyper-parameter-tuning-job", "sagemaker:transform-job", "sagemaker:processing-job",
    "cloudwatch:alarm",
)  # fmt: skip


class Tags:
    """The account's index of tags, and each thing's own tags where the index, which lags minutes behind, has none.

    note: why the index wasn't read; empty when it was.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self.note = ""
        self._known: dict[str, dict[str, str]] = {}
        try:
            self._known = dict(self._read())
        except BackendError as error:
            self.note = f"only names that begin with kennel- were looked at: {error}"

    def _read(self) -> Iterator[tuple[str, dict[str, str]]]:
        resources = paginate(
            self._account.client("resourcegroupstaggingapi"), "get_resources", "ResourceTagMappingList",
            TagFilters=[{"Key": RUN_TAG}], ResourceTypeFilters=list(_TYPES),
        )  # fmt: skip
        for each in resources:
            yield each["ResourceARN"], _as_mapping(each["Tags"])

    def of_type(self, kind: str) -> dict[str, str]:
        """{ARN: run} of what the index has of a type, as in "endpoint-config". It may have gone since."""
        return {arn: self.run(arn) for arn in self._known if arn.split(":", 5)[5].split("/")[0] == kind}

    def run(self, arn: str) -> str:
        """The run that a thing of SageMaker or an alarm belongs to; empty when it is no run's of Kennel's."""
        return self._of(arn).get(RUN_TAG, "")

    def kind(self, arn: str) -> str:
        """What kind of thing of Kennel's it is; empty when it isn't Kennel's."""
        return self._of(arn).get(KIND_TAG, "")

    def _of(self, arn: str) -> dict[str, str]:
        if arn not in self._known:
            service = arn.split(":")[2]
            client = self._account.client(service)
            if service == "cloudwatch":
                answer = none_if_missing("reading tags", lambda: client.list_tags_for_resource(ResourceARN=arn))
            else:
                answer = none_if_missing("reading tags", lambda: client.list_tags(ResourceArn=arn))
            self._known[arn] = _as_mapping((answer or {}).get("Tags", []))
        return self._known[arn]


def _as_mapping(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def paginate(client: Any, operation: str, key: str, **request: Any) -> Iterator[dict[str, Any]]:
    """Every item of a list's pages. operation: as in "list_endpoints"; key: under which a page has its items."""
    with translate_aws_errors(f"listing {operation.removeprefix('list_').removeprefix('describe_').replace('_', ' ')}"):
        for page in client.get_paginator(operation).paginate(**request):
            yield from page.get(key, [])


def paginate_if_exists(client: Any, operation: str, key: str, **request: Any) -> list[dict[str, Any]]:
    """The same; nothing where there is no such bucket, say."""
    try:
        return list(paginate(client, operation, key, **request))
    except AwsError as refused:
        if refused.missing:
            return []
        raise
