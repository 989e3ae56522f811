"""Whose a thing is, by its tags."""

from typing import Final

from backends.cloud.account import Account
from backends.cloud.holdings.calls import listed, unless_gone
from backends.cloud.names import RUN_TAG
from backends.errors import BackendError

_TYPES: Final = (
    "sagemaker:endpoint", "sagemaker:endpoint-config", "sagemaker:model", "sagemaker:training-job",
    "sagemaker:hyper-parameter-tuning-job", "sagemaker:transform-job", "sagemaker:processing-job",
    "sagemaker:model-package-group", "sagemaker:model-card", "cloudwatch:alarm",
)  # fmt: skip


class Tags:
    """The account's index of tags, and each thing's own tags where the index, which lags minutes behind, has none.

    note: why the index wasn't read; empty when it was.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self.note = ""
        self._runs: dict[str, str] = {}
        try:
            self._runs = dict(self._read())
        except BackendError as error:
            self.note = f"only names that begin with kennel- were looked at: {error}"

    def _read(self) -> list[tuple[str, str]]:
        found = listed(
            self._account.client("resourcegroupstaggingapi"), "get_resources", "ResourceTagMappingList",
            TagFilters=[{"Key": RUN_TAG}], ResourceTypeFilters=list(_TYPES),
        )  # fmt: skip
        return [(each["ResourceARN"], _run(each["Tags"])) for each in found]

    def of_type(self, kind: str) -> dict[str, str]:
        """{ARN: run} of what the index has of a type, as in "endpoint-config". It may have gone since."""
        return {arn: run for arn, run in self._runs.items() if arn.split(":", 5)[5].split("/")[0] == kind}

    def run(self, arn: str) -> str:
        """The run that a thing of SageMaker belongs to; empty when it isn't Kennel's."""
        if arn not in self._runs:
            client = self._account.client("sagemaker")
            answer = unless_gone("reading tags", lambda: client.list_tags(ResourceArn=arn)) or {"Tags": []}
            self._runs[arn] = _run(answer["Tags"])
        return self._runs[arn]

    def run_of_alarm(self, arn: str) -> str:
        """The same of an alarm."""
        if arn not in self._runs:
            client = self._account.client("cloudwatch")
            answer = unless_gone("reading tags", lambda: client.list_tags_for_resource(ResourceARN=arn)) or {"Tags": []}
            self._runs[arn] = _run(answer["Tags"])
        return self._runs[arn]


def _run(tags: list[dict[str, str]]) -> str:
    return next((tag["Value"] for tag in tags if tag["Key"] == RUN_TAG), "")
