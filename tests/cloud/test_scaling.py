"""Autoscaling: what is asked of Application Auto Scaling and CloudWatch, field by field."""

from pathlib import Path
from typing import Any

import pytest

from backends.runs import Run
from backends.sagemaker.endpoints.scaling import apply_scaling, remove_scaling, virtual_cpus
from backends.settings.sections import Deploy
from tests.cloud.conftest import settings
from tests.cloud.endpoint_cases import account_of, checked, deployment, make_artifact, tags_of, up
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "artifact")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return deployment(tmp_path)


def target(run: Run, dimension: str = "sagemaker:variant:DesiredInstanceCount") -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{run.record['sagemaker']['endpoint']}/variant/AllTraffic",
        "ScalableDimension": dimension,
    }


def one(cloud: Simulator, operation: str, service: str = "application-autoscaling") -> dict[str, Any]:
    (request,) = cloud.requests(operation)
    return checked(service, operation, request)


def test_real_time_follows_the_invocations_of_an_instance(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    chosen = Deploy(instance_type="ml.c6i.2xlarge", min_instances=2, max_instances=6, instance_count=2)
    up(account_of(settings(deploy=chosen)), run, artifact)
    name = run.record["sagemaker"]["endpoint"]
    assert one(cloud, "RegisterScalableTarget") == {
        **target(run), "MinCapacity": 2, "MaxCapacity": 6,
        "Tags": {each["Key"]: each["Value"] for each in tags_of(run, name)},
    }  # fmt: skip
    # Eight virtual CPUs, 600 a minute each.
    assert one(cloud, "PutScalingPolicy") == {
        **target(run), "PolicyName": f"{name}-load", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 4800.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleOutCooldown": 60, "ScaleInCooldown": 300,
        },
    }  # fmt: skip
    assert cloud.requests("PutMetricAlarm") == []


def test_the_persons_own_aim(cloud: Simulator, prepared: Prepared, run: Run, artifact: Path) -> None:
    up(account_of(settings(deploy=Deploy(max_instances=2, invocations_per_instance=90.0))), run, artifact)
    config = one(cloud, "PutScalingPolicy")["TargetTrackingScalingPolicyConfiguration"]
    assert config["TargetValue"] == 90.0


def test_serverless_follows_its_provisioned_concurrency(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    # Moto doesn't know this dimension, which the service model has.
    cloud.answer("RegisterScalableTarget", lambda _: {})
    cloud.answer("PutScalingPolicy", lambda _: {"PolicyARN": "arn:aws:autoscaling:one"})
    chosen = Deploy(kind="serverless", provisioned_concurrency=1, max_instances=4)
    up(account_of(settings(deploy=chosen)), run, artifact)
    there = target(run, "sagemaker:variant:DesiredProvisionedConcurrency")
    request = one(cloud, "RegisterScalableTarget")
    assert {**there, "MinCapacity": 1, "MaxCapacity": 4}.items() <= request.items()
    policy = one(cloud, "PutScalingPolicy")
    assert there.items() <= policy.items()
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {
        "TargetValue": 0.7,
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerVariantProvisionedConcurrencyUtilization"
        },
        "ScaleOutCooldown": 60, "ScaleInCooldown": 300,
    }  # fmt: skip


def test_asynchronous_scales_to_nothing_and_back(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    chosen = Deploy(kind="async", min_instances=0, max_instances=3)
    up(account_of(settings(deploy=chosen)), run, artifact)
    name = run.record["sagemaker"]["endpoint"]
    assert one(cloud, "RegisterScalableTarget")["MinCapacity"] == 0
    load, wake = (checked("application-autoscaling", "PutScalingPolicy", each)
                  for each in cloud.requests("PutScalingPolicy"))  # fmt: skip
    dimension = [{"Name": "EndpointName", "Value": name}]
    assert load["TargetTrackingScalingPolicyConfiguration"] == {
        "TargetValue": 5.0,
        "CustomizedMetricSpecification": {
            "MetricName": "ApproximateBacklogSizePerInstance", "Namespace": "AWS/SageMaker", "Dimensions": dimension,
            "Statistic": "Average",
        },
        "ScaleOutCooldown": 60, "ScaleInCooldown": 300,
    }  # fmt: skip
    assert wake == {
        **target(run), "PolicyName": f"{name}-wake", "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ChangeInCapacity", "MetricAggregationType": "Average", "Cooldown": 300,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
        },
    }  # fmt: skip
    policies = cloud.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="sagemaker")
    (arn,) = [each["PolicyARN"] for each in policies["ScalingPolicies"] if each["PolicyName"] == f"{name}-wake"]
    (alarm,) = cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {
        "AlarmName": f"{name}-backlog", "Namespace": "AWS/SageMaker", "MetricName": "HasBacklogWithoutCapacity",
        "Statistic": "Average", "Period": 60, "EvaluationPeriods": 2, "DatapointsToAlarm": 2, "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "missing",
        "Dimensions": dimension, "AlarmActions": [arn],
    }.items() <= alarm.items()  # fmt: skip
    tags = cloud.client("cloudwatch").list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
    assert tags == tags_of(run, name)


def test_asynchronous_that_never_sleeps_needs_no_waking(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    up(account_of(settings(deploy=Deploy(kind="async", max_instances=3))), run, artifact)
    assert len(cloud.requests("PutScalingPolicy")) == 1
    assert cloud.requests("PutMetricAlarm") == []


def test_what_no_longer_sleeps_needs_no_waking(cloud: Simulator, prepared: Prepared, run: Run, artifact: Path) -> None:
    up(account_of(settings(deploy=Deploy(kind="async", min_instances=0, max_instances=3))), run, artifact)
    name = run.record["sagemaker"]["endpoint"]
    apply_scaling(account_of(settings(deploy=Deploy(kind="async", max_instances=3))), run, name)
    there = cloud.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="sagemaker")
    assert [each["PolicyName"] for each in there["ScalingPolicies"]] == [f"{name}-load"]
    assert cloud.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_without_scaling_nothing_wakes_it(cloud: Simulator, prepared: Prepared, run: Run, artifact: Path) -> None:
    up(account_of(settings(deploy=Deploy(kind="async", min_instances=0, max_instances=3))), run, artifact)
    apply_scaling(account_of(settings(deploy=Deploy(kind="async"))), run, run.record["sagemaker"]["endpoint"])
    assert one(cloud, "DeregisterScalableTarget") == target(run)
    assert cloud.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_the_clock_changes_the_limits_and_what_is_gone_from_the_settings_goes(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    week = ("0 7 ? * MON-FRI *=2:4", "0 19 ? * MON-FRI *=1:1")
    up(account_of(settings(deploy=Deploy(max_instances=4, schedule=week))), run, artifact)
    name = run.record["sagemaker"]["endpoint"]
    first, second = (checked("application-autoscaling", "PutScheduledAction", each)
                     for each in cloud.requests("PutScheduledAction"))  # fmt: skip
    assert first == {
        **target(run), "ScheduledActionName": f"{name}-1", "Schedule": "cron(0 7 ? * MON-FRI *)", "Timezone": "UTC",
        "ScalableTargetAction": {"MinCapacity": 2, "MaxCapacity": 4},
    }  # fmt: skip
    assert second["Schedule"] == "cron(0 19 ? * MON-FRI *)"
    assert second["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 1}
    apply_scaling(account_of(settings(deploy=Deploy(max_instances=4, schedule=week[1:]))), run, name)
    there = cloud.client("application-autoscaling").describe_scheduled_actions(ServiceNamespace="sagemaker")
    assert [(each["ScheduledActionName"], each["Schedule"]) for each in there["ScheduledActions"]] == [
        (f"{name}-1", "cron(0 19 ? * MON-FRI *)")
    ]


def test_without_limits_there_is_none_and_what_there_was_is_taken_away(
    cloud: Simulator, prepared: Prepared, run: Run, artifact: Path
) -> None:
    up(account_of(settings()), run, artifact)
    name = run.record["sagemaker"]["endpoint"]
    assert cloud.requests("RegisterScalableTarget") == []
    apply_scaling(account_of(settings(deploy=Deploy(max_instances=2))), run, name)
    apply_scaling(account_of(settings()), run, name)
    assert one(cloud, "DeregisterScalableTarget") == target(run)
    remove_scaling(account_of(settings()), name)
    assert len(cloud.requests("DeregisterScalableTarget")) == 1


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [("ml.m5.large", 2), ("ml.c6i.xlarge", 4), ("ml.c5.9xlarge", 36), ("ml.g5.48xlarge", 192), ("ml.r8g.medium", 1)],
)
def test_virtual_cpus_follow_the_size(instance_type: str, expected: int) -> None:
    assert virtual_cpus(instance_type) == expected
