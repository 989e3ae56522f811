"""SageMaker's quotas of instances, by which an account may start jobs and endpoints of each type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from backends.sagemaker.account import Account
from backends.sagemaker.errors import translate_aws_errors

QuotaKind = Literal["training", "spot", "warm", "processing", "transform", "hosting"]

_NAMES: Final[Mapping[QuotaKind, str]] = {
    "training": "{} for training job usage",
    "spot": "{} for spot training job usage",
    "warm": "{} for training warm pool usage",
    "processing": "{} for processing job usage",
    "transform": "{} for transform job usage",
    "hosting": "{} for endpoint usage",
}


@dataclass(frozen=True)
class Quota:
    """instances: that may be in use at once. code: by which it is raised."""

    name: str
    code: str
    instances: int
    adjustable: bool

    def remedy(self, wanted: int, region: str) -> str:
        """How to get `wanted` instances."""
        if not self.adjustable:
            return "it can't be raised; choose another instance type"
        return (
            "ask for more with: aws service-quotas request-service-quota-increase --service-code sagemaker "
            f"--quota-code {self.code} --desired-value {wanted} --region {region}"
        )


def quota_name(kind: QuotaKind, instance_type: str) -> str:
    """What AWS calls the quota of instances of a type for a kind of job."""
    return _NAMES[kind].format(instance_type)


def quotas(account: Account, names: set[str]) -> dict[str, Quota]:
    """By name: the account's own in its region, else AWS's default; those that there are. Raises BackendError."""
    known: dict[str, Quota] = {}
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        if names <= known.keys():
            break
        with translate_aws_errors("asking for the account's quotas"):
            pages = account.client("service-quotas").get_paginator(operation).paginate(ServiceCode="sagemaker")
            for page in pages:
                known = {**_quotas(page, names), **known}
    return known


def _quotas(page: Mapping[str, Any], names: set[str]) -> dict[str, Quota]:
    return {
        each["QuotaName"]: Quota(each["QuotaName"], each["QuotaCode"], int(each["Value"]), each.get("Adjustable", True))
        for each in page["Quotas"]
        if each["QuotaName"] in names
    }
