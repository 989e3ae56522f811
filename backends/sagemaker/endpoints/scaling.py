"""Autoscaling of endpoints: by load, by the clock, and of asynchronous ones to nothing and back.

CloudWatch alarms: two that roll an update back, and one that wakes an asynchronous endpoint.

The times at which the limits of autoscaling change: CRON=MIN:MAX, as in 0 7 ? * MON-FRI *=2:4.
"""

from dataclasses import dataclass
from typing import Any, Final

from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.endpoints.config import VARIANT
from backends.sagemaker.errors import none_if_missing, translate_aws_errors
from backends.sagemaker.names import tags
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
    deploy = account.settings.deploy
    if not deploy.max_instances:
        remove_scaling(account, endpoint)
        return
    client, target = account.client("application-autoscaling"), _scalable_target(deploy, endpoint)
    with translate_aws_errors(f"setting the autoscaling of {endpoint}"):
        client.register_scalable_target(
            **target,
            MinCapacity=deploy.min_instances,
            MaxCapacity=deploy.max_instances,
            Tags={tag["Key"]: tag["Value"] for tag in tags(run, account.settings)},
        )
        client.put_scaling_policy(
            **target,
            PolicyName=f"{endpoint}-load",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=_tracking(deploy, endpoint),
        )
        if _scales_to_zero(deploy):
            answer = client.put_scaling_policy(
                **target,
                PolicyName=_wake_policy(endpoint),
                PolicyType="StepScaling",
                StepScalingPolicyConfiguration={
                    "AdjustmentType": "ChangeInCapacity",
                    "MetricAggregationType": "Average",
                    "Cooldown": _IN_S,
                    "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
                },
            )
            backlog_alarm(account, run, endpoint, answer["PolicyARN"])
    if not _scales_to_zero(deploy):
        _remove_wake_policy(account, endpoint, target)
    _apply_schedule(account, endpoint, target)


def _scales_to_zero(deploy: Deploy) -> bool:
    """Whether there may come to be no instance at all."""
    return deploy.kind == "async" and deploy.min_instances == 0


def _wake_policy(endpoint: str) -> str:
    return f"{endpoint}-wake"


def _remove_wake_policy(account: Account, endpoint: str, target: dict[str, str]) -> None:
    """Take away what starts the first instance, of an endpoint that used to sleep."""
    client = account.client("application-autoscaling")
    remove_backlog_alarm(account, endpoint)
    with translate_aws_errors(f"looking for the autoscaling of {endpoint}"):
        answer = client.describe_scaling_policies(ServiceNamespace=NAMESPACE, ResourceId=target["ResourceId"])
    for each in answer["ScalingPolicies"]:
        if each["PolicyName"] == _wake_policy(endpoint):
            with translate_aws_errors(f"changing the autoscaling of {endpoint}"):
                client.delete_scaling_policy(**target, PolicyName=_wake_policy(endpoint))


def _scalable_target(deploy: Deploy, endpoint: str) -> dict[str, str]:
    dimension = CONCURRENCY if deploy.kind == "serverless" else INSTANCES
    return {"ServiceNamespace": NAMESPACE, "ResourceId": resource_id(endpoint), "ScalableDimension": dimension}


def _tracking(deploy: Deploy, endpoint: str) -> dict[str, Any]:
    """What target tracking follows: a metric, and the value that it is to have for each instance."""
    if deploy.kind == "async":
        metric: dict[str, Any] = {
            "CustomizedMetricSpecification": {
                "MetricName": "ApproximateBacklogSizePerInstance",
                "Namespace": "AWS/SageMaker",
                "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
                "Statistic": "Average",
            }
        }
        value = deploy.invocations_per_instance or _BACKLOG
    elif deploy.kind == "serverless":
        metric = _predefined("SageMakerVariantProvisionedConcurrencyUtilization")
        value = _UTILISATION
    else:
        metric = _predefined("SageMakerVariantInvocationsPerInstance")
        value = deploy.invocations_per_instance or float(_A_MINUTE_AND_CPU * virtual_cpus(deploy.instance_type))
    return {"TargetValue": value, **metric, "ScaleOutCooldown": _OUT_S, "ScaleInCooldown": _IN_S}


def _predefined(name: str) -> dict[str, Any]:
    return {"PredefinedMetricSpecification": {"PredefinedMetricType": name}}


def _apply_schedule(account: Account, endpoint: str, target: dict[str, str]) -> None:
    client, wanted = account.client("application-autoscaling"), parse_schedule(account.settings.deploy)
    names = [f"{endpoint}-{number}" for number in range(1, len(wanted) + 1)]
    for name, change in zip(names, wanted, strict=True):
        with translate_aws_errors(f"setting the schedule of {endpoint}"):
            client.put_scheduled_action(
                **target,
                ScheduledActionName=name,
                Schedule=f"cron({change.cron})",
                Timezone="UTC",
                ScalableTargetAction={"MinCapacity": change.low, "MaxCapacity": change.high},
            )
    with translate_aws_errors(f"looking for the schedule of {endpoint}"):
        answer = client.describe_scheduled_actions(ServiceNamespace=NAMESPACE, ResourceId=target["ResourceId"])
    for each in answer["ScheduledActions"]:
        if each["ScheduledActionName"] not in names:
            with translate_aws_errors(f"changing the schedule of {endpoint}"):
                client.delete_scheduled_action(**target, ScheduledActionName=each["ScheduledActionName"])


def remove_scaling(account: Account, endpoint: str) -> None:
    """Take autoscaling away from an endpoint, if it has any; its policies and schedule go with it."""
    client = account.client("application-autoscaling")
    with translate_aws_errors(f"looking for the autoscaling of {endpoint}"):
        targets = client.describe_scalable_targets(ServiceNamespace=NAMESPACE, ResourceIds=[resource_id(endpoint)])
    for each in targets["ScalableTargets"]:
        remove_backlog_alarm(account, endpoint)
        none_if_missing(
            f"ending the autoscaling of {endpoint}",
            lambda each=each: client.deregister_scalable_target(  # type: ignore[misc]
                ServiceNamespace=NAMESPACE,
                ResourceId=each["ResourceId"],
                ScalableDimension=each["ScalableDimension"],
            ),
        )


ALARM_NAMESPACE: Final = "AWS/SageMaker"
# More than one request in twenty that the server fails.
_ERROR_SHARE: Final = 0.05
# An image takes tens of milliseconds; a server that needs this long is in trouble. Microseconds, SageMaker's unit.
_LATENCY_US: Final = 2_000_000.0
_PERIOD_S: Final = 60


def own_alarms(endpoint: str) -> list[str]:
    """The names of the alarms that Kennel makes for an endpoint's updates."""
    return [f"{endpoint}-errors", f"{endpoint}-latency"]


def rollback_alarms(account: Account, run: Run, endpoint: str) -> list[str]:
    """The alarms that roll an update back: those in the settings, which must be there and quiet, else two of our own.

    Raises BackendError for an alarm that isn't there, or is ringing before anything has changed.
    """
    alarms = list(account.settings.deploy.alarms)
    if alarms:
        _check_alarms(account, alarms)
        return alarms
    errors, latency = own_alarms(endpoint)
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}]
    common = {"Namespace": ALARM_NAMESPACE, "Dimensions": dimensions, "Period": _PERIOD_S, "EvaluationPeriods": 1}
    _put_alarm(
        account, run, AlarmName=errors, AlarmDescription="The server fails requests: rolls an update back",
        MetricName="Invocation5XXErrors", Statistic="Average", Threshold=_ERROR_SHARE, **common,
    )  # fmt: skip
    _put_alarm(
        account, run, AlarmName=latency, AlarmDescription="The server is slow: rolls an update back",
        MetricName="ModelLatency", ExtendedStatistic="p90", Threshold=_LATENCY_US, **common,
    )  # fmt: skip
    return [errors, latency]


def _put_alarm(account: Account, run: Run, **alarm: Any) -> None:
    with translate_aws_errors(f"setting the alarm {alarm['AlarmName']}"):
        account.client("cloudwatch").put_metric_alarm(
            **{
                # Nobody asks: nothing is wrong.
                "TreatMissingData": "notBreaching",
                "ComparisonOperator": "GreaterThanThreshold",
                "Tags": tags(run, account.settings),
                **alarm,
            }
        )


def _check_alarms(account: Account, names: list[str]) -> None:
    states = states_of(account, names)
    if missing := [name for name in names if name not in states]:
        raise BackendError(
            f"alarms: there is no CloudWatch alarm {missing[0]} in {account.region}; make it, or leave alarms empty"
        )
    if ringing := [name for name in names if states[name][0] == "ALARM"]:
        raise BackendError(
            f"the alarm {ringing[0]} is ringing already ({states[ringing[0]][1]}), so the update would be rolled back; "
            "wait until it is quiet, or leave it out of alarms"
        )


def states_of(account: Account, names: list[str]) -> dict[str, tuple[str, str]]:
    """Name -> (OK, ALARM or INSUFFICIENT_DATA, CloudWatch's reason) of those that are there."""
    with translate_aws_errors("looking at the alarms"):
        answer = account.client("cloudwatch").describe_alarms(
            AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
    alarms = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    return {each["AlarmName"]: (each["StateValue"], each.get("StateReason", "")) for each in alarms}


def backlog_alarm(account: Account, run: Run, endpoint: str, policy: str) -> None:
    """The alarm that runs a scaling policy, by its ARN, when requests wait and no instance is there."""
    _put_alarm(
        account, run, AlarmName=_backlog(endpoint),
        AlarmDescription="Requests wait and no instance runs: starts one", Namespace=ALARM_NAMESPACE,
        MetricName="HasBacklogWithoutCapacity", Statistic="Average", Period=_PERIOD_S, EvaluationPeriods=2,
        DatapointsToAlarm=2, Threshold=1.0, ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="missing", Dimensions=[{"Name": "EndpointName", "Value": endpoint}], AlarmActions=[policy],
    )  # fmt: skip


def remove_backlog_alarm(account: Account, endpoint: str) -> None:
    """Take it away, if it is there."""
    name = _backlog(endpoint)
    if states_of(account, [name]):
        with translate_aws_errors(f"removing the alarm {name}"):
            account.client("cloudwatch").delete_alarms(AlarmNames=[name])


def _backlog(endpoint: str) -> str:
    return f"{endpoint}-backlog"


@dataclass(frozen=True)
class ScheduledChange:
    """From a time on there are `low` to `high` instances. cron: minute, hour, day, month, weekday, year; UTC."""

    cron: str
    low: int
    high: int


def parse_schedule(deploy: Deploy) -> list[ScheduledChange]:
    """The schedule of settings that have been checked."""
    schedule = []
    for text in deploy.schedule:
        cron, _, limits = text.rpartition("=")
        low, _, high = limits.partition(":")
        schedule.append(ScheduledChange(cron, int(low), int(high)))
    return schedule
