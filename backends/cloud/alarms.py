"""CloudWatch alarms: two that roll an update back, and one that wakes an asynchronous endpoint."""

from typing import Any, Final

from backends.cloud.account import Account
from backends.cloud.errors import told
from backends.cloud.names import tags
from backends.cloud.variant import VARIANT
from backends.errors import BackendError
from backends.runs import Run

NAMESPACE: Final = "AWS/SageMaker"
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
    given = list(account.settings.deploy.alarms)
    if given:
        _check(account, given)
        return given
    errors, latency = own_alarms(endpoint)
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}]
    common = {"Namespace": NAMESPACE, "Dimensions": dimensions, "Period": _PERIOD_S, "EvaluationPeriods": 1}
    _put(
        account, run, AlarmName=errors, AlarmDescription="The server fails requests: rolls an update back",
        MetricName="Invocation5XXErrors", Statistic="Average", Threshold=_ERROR_SHARE, **common,
    )  # fmt: skip
    _put(
        account, run, AlarmName=latency, AlarmDescription="The server is slow: rolls an update back",
        MetricName="ModelLatency", ExtendedStatistic="p90", Threshold=_LATENCY_US, **common,
    )  # fmt: skip
    return [errors, latency]


def _put(account: Account, run: Run, **alarm: Any) -> None:
    with told(f"setting the alarm {alarm['AlarmName']}"):
        account.client("cloudwatch").put_metric_alarm(
            **{
                # Nobody asks: nothing is wrong.
                "TreatMissingData": "notBreaching",
                "ComparisonOperator": "GreaterThanThreshold",
                "Tags": tags(run, account.settings),
                **alarm,
            }
        )


def _check(account: Account, names: list[str]) -> None:
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
    with told("looking at the alarms"):
        answer = account.client("cloudwatch").describe_alarms(
            AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
    alarms = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    return {each["AlarmName"]: (each["StateValue"], each.get("StateReason", "")) for each in alarms}


def backlog_alarm(account: Account, run: Run, endpoint: str, policy: str) -> None:
    """The alarm that runs a scaling policy, by its ARN, when requests wait and no instance is there."""
    _put(
        account, run, AlarmName=_backlog(endpoint),
        AlarmDescription="Requests wait and no instance runs: starts one", Namespace=NAMESPACE,
        MetricName="HasBacklogWithoutCapacity", Statistic="Average", Period=_PERIOD_S, EvaluationPeriods=2,
        DatapointsToAlarm=2, Threshold=1.0, ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="missing", Dimensions=[{"Name": "EndpointName", "Value": endpoint}], AlarmActions=[policy],
    )  # fmt: skip


def remove_backlog_alarm(account: Account, endpoint: str) -> None:
    """Take it away, if it is there."""
    name = _backlog(endpoint)
    if states_of(account, [name]):
        with told(f"removing the alarm {name}"):
            account.client("cloudwatch").delete_alarms(AlarmNames=[name])


def _backlog(endpoint: str) -> str:
    return f"{endpoint}-backlog"
