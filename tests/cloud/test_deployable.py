"""Settings that describe no endpoint are refused before anything is asked of AWS, all faults at once."""

from dataclasses import replace
from typing import Any

import pytest

from backends.errors import BackendError
from backends.sagemaker.endpoints.config import check_deploy
from backends.settings.sections import Deploy
from tests.cloud.conftest import settings


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"instance_type": "ml.m5.large", "instance_count": 3},
        {"kind": "serverless", "provisioned_concurrency": 2, "min_instances": 1, "max_instances": 4},
        {"kind": "async", "min_instances": 0, "max_instances": 2},
        {
            "kind": "async",
            "instance_count": 1,
            "min_instances": 0,
            "max_instances": 2,
            "success_topic": "arn:aws:sns:x",
        },
        {"max_instances": 4, "schedule": ("0 7 ? * MON-FRI *=2:4", "0 19 ? * MON-FRI *=1:1")},
        {"shift": "linear", "instance_count": 2},
    ],
)
def test_what_can_be_deployed_is_let_through(chosen: dict[str, Any]) -> None:
    check_deploy(settings(deploy=Deploy(**chosen)))
    assert settings(deploy=Deploy(**chosen)).deploy.kind in {"realtime", "serverless", "async"}


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"instance_count": 3, "max_instances": 2}, "instance_count 3 is above max_instances 2"),
        ({"instance_type": "ml.c7g.large"}, "ARM"),
        ({"shift": "canary"}, "shift canary .* set instance_count to 2"),
        ({"success_topic": "arn:aws:sns:x"}, "success_topic and error_topic need kind async"),
        ({"kind": "serverless", "max_instances": 2}, "set that to 1 or more"),
        (
            {"kind": "serverless", "provisioned_concurrency": 1, "max_instances": 6},
            "max_instances 6 is above max_concurrency 5",
        ),
        ({"kind": "serverless", "capture_percent": 5}, "can't have capture_percent"),
        ({"kind": "serverless", "ami": "al2-x"}, "no GPU, so ami"),
        ({"kind": "serverless", "shift": "canary"}, "updated at once"),
    ],
)
def test_what_cannot_is_told(chosen: dict[str, Any], told: str) -> None:
    with pytest.raises(BackendError, match=told):
        check_deploy(settings(deploy=Deploy(**chosen)))


def test_all_faults_are_told_at_once() -> None:
    chosen = settings(deploy=Deploy(kind="serverless", shift="canary", ami="al2-x", provisioned_concurrency=4))
    network = replace(chosen.sagemaker, subnets=("subnet-1",), security_groups=("sg-1",), network_isolation=True)
    with pytest.raises(BackendError) as caught:
        check_deploy(replace(chosen, sagemaker=network))
    assert str(caught.value).split(" | ") == [
        "3 settings: a serverless endpoint has no GPU, so ami must be auto or none",
        "a serverless endpoint is updated at once; set shift to all, not canary",
        "a serverless endpoint can't have network_isolation, subnets; leave it out, or set kind to realtime",
    ]
