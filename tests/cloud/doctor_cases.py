"""An account for `doctor`: its quotas, and its image with the configuration that ECR keeps of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from backends.sagemaker.account import Account
from cli.doctor.check import CheckResult
from tests.cloud.simulator.server import Simulator

QUOTAS = {
    "ml.g4dn.xlarge for training job usage": 2,
    "ml.g4dn.xlarge for spot training job usage": 0,
    "ml.g4dn.xlarge for training warm pool usage": 0,
    "ml.m5.large for endpoint usage": 4,
    "ml.m5.xlarge for transform job usage": 4,
    "ml.m5.xlarge for processing job usage": 4,
}
LABELS = {"ai.kennel.cuda": "13.0", "ai.kennel.pretrained": "resnet18"}
CONFIG = {"architecture": "amd64", "os": "linux", "config": {"Labels": LABELS}}
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def give_quotas(cloud: Simulator, own: dict[str, int], defaults: dict[str, int]) -> None:
    """The account's quotas and AWS's defaults: those of the account on two pages."""

    def quota(name: str, value: int) -> dict[str, Any]:
        return {"QuotaName": name, "QuotaCode": f"L-{len(name):08d}", "Value": float(value), "Adjustable": True}

    pages = [[quota(name, value) for name, value in part] for part in (list(own.items())[:2], list(own.items())[2:])]
    cloud.answer("ListServiceQuotas", lambda request: (
        {"Quotas": pages[1]} if request.get("NextToken") else {"Quotas": pages[0], "NextToken": "more"}
    ))  # fmt: skip
    cloud.answer(
        "ListAWSDefaultServiceQuotas", lambda _request: {"Quotas": [quota(*each) for each in defaults.items()]}
    )


def give_config(cloud: Simulator, config: dict[str, Any]) -> None:
    """What ECR hands out as the image's configuration, for the one digest that its manifest names."""
    cloud.objects.write("s3://kennel-bucket/layers/config", json.dumps(config).encode())
    place = {"Bucket": "kennel-bucket", "Key": "layers/config"}
    url = cloud.client("s3").generate_presigned_url("get_object", Params=place)
    cloud.answer("GetDownloadUrlForLayer", lambda request: {
        "downloadUrl": url if request["layerDigest"] == f"sha256:{'1' * 64}" else "", "layerDigest": "-",
    })  # fmt: skip


def in_order(cloud: Simulator) -> None:
    """Nothing is missing."""
    give_quotas(cloud, QUOTAS, {})
    give_config(cloud, CONFIG)
    cloud.fail("SimulatePrincipalPolicy", "AccessDenied", "User: me is not authorized.", status=403, times=100)


def changed(account: Account, /, **values: Any) -> Account:
    """The same with other values in [sagemaker]."""
    settings = account.settings
    return Account(replace(settings, sagemaker=replace(settings.sagemaker, **values)), account.consent)


def fault(*parts: str) -> tuple[str, str]:
    """As `only` gives a fault; parts: of the sentence."""
    return "fault", "".join(parts)


def only(rows: Iterator[CheckResult]) -> tuple[str, str]:
    """(state, said) of the one row."""
    (row,) = rows
    return row.state, row.message
