"""Whose a thing is, by its tags."""

from collections.abc import Iterator
from typing import Final

from backends.cloud.account import Account
from backends.cloud.holdings.calls import listed
from backends.cloud.missing import found
from backends.cloud.names import KIND_TAG, RUN_TAG
from backends.errors import BackendError

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
        resources = listed(
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
                answer = found("reading tags", lambda: client.list_tags_for_resource(ResourceARN=arn))
            else:
                answer = found("reading tags", lambda: client.list_tags(ResourceArn=arn))
            self._known[arn] = _as_mapping((answer or {}).get("Tags", []))
        return self._known[arn]


def _as_mapping(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}
