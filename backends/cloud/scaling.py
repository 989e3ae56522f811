"""Autoscaling of endpoints: by load, by the clock, and of asynchronous ones to nothing and back."""

from typing import Any, Final

from backends.cloud.account import Account
from backends.cloud.alarms import backlog_alarm, remove_backlog_alarm
from backends.cloud.errors import told
from backends.cloud.missing import found
from backends.cloud.names import tags
from backends.cloud.schedule import changes
from backends.cloud.variant import VARIANT
from backends.runs import Run
from backends.settings.sections import Deploy

NAMESPACE: Final = "sagemaker"
INSTANCES: Final = "sagemaker:variant:DesiredInstanceCount"
CONCURRENCY: Final = "sagemaker:variant:DesiredProvisionedConcurrency"
# Invocations a minute for each virtual CPU: about half of what a core did with small photos and PyTorch in fp32
# (docs/serving_speed.md), so that there is time for another instance to come.
_A_MINUTE_AND_CPU: Final = 600
# Requests that wait for each instance of an asynchronous endpoint.
_BACKLOG: Final = 5.0
# Of provisioned concurrency: AWS's own figure.
_UTILISATION: Final = 0.7
_OUT_S: Final = 60
_IN_S: Final = 300


def resource_id(endpoint: str) -> str:
    """Application Auto Scaling's name for an endpoint's variant."""
    return f"endpoint/{endpoint}/variant/{VARIANT}"


def virtual_cpus(instance_type: str) -> int:
    """Of an instance type, by its size: large has 2, xlarge 4, 12xlarge 48."""
    size = instance_type.rpartition(".")[2]
    if size.endswith("xlarge"):
        return 4 * int(size.removesuffix("xlarge") or 1)
    return 2 if size == "large" else 1


def apply_scaling(account: Account, run: Run, endpoint: str) -> None:
    """Make the endpoint's autoscaling what the settings say; without max_instances, none. May be repeated."""
    chosen = account.settings.deploy
    if not chosen.max_instances:
        remove_scaling(account, endpoint)
        return
    client, target = account.client("application-autoscaling"), _target(chosen, endpoint)
    with told(f"setting the autoscaling of {endpoint}"):
        client.register_scalable_target(
            **target,
            MinCapacity=chosen.min_instances,
            MaxCapacity=chosen.max_instances,
            Tags={tag["Key"]: tag["Value"] for tag in tags(run, account.settings)},
        )
        client.put_scaling_policy(
            **target,
            PolicyName=f"{endpoint}-load",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=_tracking(chosen, endpoint),
        )
        if _sleeps(chosen):
            answer = client.put_scaling_policy(
                **target,
                PolicyName=_wake(endpoint),
                PolicyType="StepScaling",
                StepScalingPolicyConfiguration={
                    "AdjustmentType": "ChangeInCapacity",
                    "MetricAggregationType": "Average",
                    "Cooldown": _IN_S,
                    "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
                },
            )
            backlog_alarm(account, run, endpoint, answer["PolicyARN"])
    if not _sleeps(chosen):
        _never_wake(account, endpoint, target)
    _apply_schedule(account, endpoint, target)


def _sleeps(chosen: Deploy) -> bool:
    """Whether there may come to be no instance at all."""
    return chosen.kind == "async" and chosen.min_instances == 0


def _wake(endpoint: str) -> str:
    return f"{endpoint}-wake"


def _never_wake(account: Account, endpoint: str, target: dict[str, str]) -> None:
    """Take away what starts the first instance, of an endpoint that used to sleep."""
    client = account.client("application-autoscaling")
    remove_backlog_alarm(account, endpoint)
    with told(f"looking for the autoscaling of {endpoint}"):
        there = client.describe_scaling_policies(ServiceNamespace=NAMESPACE, ResourceId=target["ResourceId"])
    for each in there["ScalingPolicies"]:
        if each["PolicyName"] == _wake(endpoint):
            with told(f"changing the autoscaling of {endpoint}"):
                client.delete_scaling_policy(**target, PolicyName=_wake(endpoint))


def _target(chosen: Deploy, endpoint: str) -> dict[str, str]:
    dimension = CONCURRENCY if chosen.kind == "serverless" else INSTANCES
    return {"ServiceNamespace": NAMESPACE, "ResourceId": resource_id(endpoint), "ScalableDimension": dimension}


def _tracking(chosen: Deploy, endpoint: str) -> dict[str, Any]:
    """What target tracking follows: a metric, and the value that it is to have for each instance."""
    if chosen.kind == "async":
        metric: dict[str, Any] = {
            "CustomizedMetricSpecification": {
                "MetricName": "ApproximateBacklogSizePerInstance",
                "Namespace": "AWS/SageMaker",
                "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
                "Statistic": "Average",
            }
        }
        value = chosen.invocations_per_instance or _BACKLOG
    elif chosen.kind == "serverless":
        metric = _predefined("SageMakerVariantProvisionedConcurrencyUtilization")
        value = _UTILISATION
    else:
        metric = _predefined("SageMakerVariantInvocationsPerInstance")
        value = chosen.invocations_per_instance or float(_A_MINUTE_AND_CPU * virtual_cpus(chosen.instance_type))
    return {"TargetValue": value, **metric, "ScaleOutCooldown": _OUT_S, "ScaleInCooldown": _IN_S}


def _predefined(name: str) -> dict[str, Any]:
    return {"PredefinedMetricSpecification": {"PredefinedMetricType": name}}


def _apply_schedule(account: Account, endpoint: str, target: dict[str, str]) -> None:
    client, wanted = account.client("application-autoscaling"), changes(account.settings.deploy)
    names = [f"{endpoint}-{number}" for number in range(1, len(wanted) + 1)]
    for name, change in zip(names, wanted, strict=True):
        with told(f"setting the schedule of {endpoint}"):
            client.put_scheduled_action(
                **target,
                ScheduledActionName=name,
                Schedule=f"cron({change.cron})",
                Timezone="UTC",
                ScalableTargetAction={"MinCapacity": change.low, "MaxCapacity": change.high},
            )
    with told(f"looking for the schedule of {endpoint}"):
        there = client.describe_scheduled_actions(ServiceNamespace=NAMESPACE, ResourceId=target["ResourceId"])
    for each in there["ScheduledActions"]:
        if each["ScheduledActionName"] not in names:
            with told(f"changing the schedule of {endpoint}"):
                client.delete_scheduled_action(**target, ScheduledActionName=each["ScheduledActionName"])


def remove_scaling(account: Account, endpoint: str) -> None:
    """Take autoscaling away from an endpoint, if it has any; its policies and schedule go with it."""
    client = account.client("application-autoscaling")
    with told(f"looking for the autoscaling of {endpoint}"):
        targets = client.describe_scalable_targets(ServiceNamespace=NAMESPACE, ResourceIds=[resource_id(endpoint)])
    for each in targets["ScalableTargets"]:
        remove_backlog_alarm(account, endpoint)
        found(
            f"ending the autoscaling of {endpoint}",
            lambda each=each: client.deregister_scalable_target(  # type: ignore[misc]
                ServiceNamespace=NAMESPACE,
                ResourceId=each["ResourceId"],
                ScalableDimension=each["ScalableDimension"],
            ),
        )
