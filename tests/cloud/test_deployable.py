"""Settings that describe no endpoint are refused before anything is asked of AWS, all faults at once."""

from dataclasses import replace
from typing import Any

import pytest

from backends.cloud.deployable import check_deploy
from backends.errors import BackendError
from backends.settings.sections import Deploy
from tests.cloud.conftest import settings


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"instance_type": "ml.m5.large", "instance_count": 3},
        {"kind": "serverless", "provisioned_concurrency": 2, "min_instances": 1, "max_instances": 4},
        {"kind": "async", "instance_count": 0, "min_instances": 0, "max_instances": 2},
        {
            "kind": "async",
            "instance_count": 1,
            "min_instances": 0,
            "max_instances": 2,
            "success_topic": "arn:aws:sns:x",
        },
        {"max_instances": 4, "schedule": ("0 7 ? * MON-FRI *=2:4", "0  19 ? * MON-FRI *=1:1")},
        {"shift": "linear", "instance_count": 2},
    ],
)
def test_what_can_be_deployed_is_let_through(chosen: dict[str, Any]) -> None:
    check_deploy(settings(deploy=Deploy(**chosen)))
    assert settings(deploy=Deploy(**chosen)).deploy.kind in {"realtime", "serverless", "async"}


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"instance_count": 0}, "instance_count 0 needs kind async"),
        ({"kind": "async", "instance_count": 0}, "instance_count 0 needs kind async"),
        ({"min_instances": 3, "max_instances": 2}, "min_instances 3 is above max_instances 2"),
        ({"min_instances": 0, "max_instances": 2}, "min_instances 0 is for asynchronous endpoints"),
        ({"instance_count": 3, "max_instances": 2}, "instance_count 3 is above max_instances 2"),
        ({"instance_type": "ml.c7g.large"}, "ARM"),
        ({"shift": "canary"}, "shift canary .* set instance_count to 2"),
        ({"success_topic": "arn:aws:sns:x"}, "success_topic and error_topic need kind async"),
        ({"schedule": ("0 7 ? * MON-FRI *=2:4",)}, "schedule .* set max_instances"),
        ({"schedule": ("at dawn=2:4",), "max_instances": 4}, "schedule must be CRON=MIN:MAX .*, got 'at dawn=2:4'"),
        ({"schedule": ("0 7 ? * MON-FRI *=4:2",), "max_instances": 4}, "4:2 at 0 7"),
        ({"schedule": ("0 7 ? * MON-FRI *=0:2",), "max_instances": 4}, "MIN of 1 or more"),
        ({"kind": "serverless", "memory_mb": 3000}, "memory_mb must be 1024, .*, got 3000"),
        ({"kind": "serverless", "provisioned_concurrency": 6}, "provisioned_concurrency 6 is above max_concurrency 5"),
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
    chosen = settings(deploy=Deploy(kind="serverless", memory_mb=3000, provisioned_concurrency=6))
    network = replace(chosen.sagemaker, subnets=("subnet-1",), network_isolation=True)
    with pytest.raises(BackendError) as caught:
        check_deploy(replace(chosen, sagemaker=network))
    assert str(caught.value).split(" | ") == [
        "4 settings: subnets are set and security_groups aren't; a VPC needs both",
        "memory_mb must be 1024, 2048, 3072, 4096, 5120 or 6144, got 3000",
        "provisioned_concurrency 6 is above max_concurrency 5",
        "a serverless endpoint can't have network_isolation, subnets; leave it out, or set kind to realtime",
    ]
