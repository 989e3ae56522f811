"""A new version of an endpoint that is up: blue/green, watched by alarms, rolled back when one rings.

SageMaker starts the new fleet beside the old one, moves the traffic (all at once, a canary first, or step by step),
watches for a while and ends the old fleet; until then an alarm or a failure brings everything back.
"""

import math
from pathlib import Path
from typing import Any, Final

from backends.child import last_error
from backends.console import say
from backends.errors import BackendError, Stopped
from backends.runs import Run
from backends.sagemaker.account import Account, aws_record, update_aws_record
from backends.sagemaker.billing.items import Item
from backends.sagemaker.endpoints.endpoints import (
    MOVING,
    EndpointVersion,
    describe_endpoint,
    endpoint_failure,
    endpoint_of,
    wait_until_settled,
)
from backends.sagemaker.endpoints.scaling import apply_scaling, remove_scaling, rollback_alarms, states_of
from backends.sagemaker.errors import translate_aws_errors
from backends.sagemaker.logs import save_tail
from backends.settings.sections import Deploy

# For starting the new fleet: pulling an image of gigabytes takes minutes.
_START_S: Final = 1800
# The service model's limits for a whole update.
_SHORTEST_S, _LONGEST_S = 600, 28_800


def update(account: Account, run: Run, source: Path | str) -> bool:
    """Let the run's endpoint serve an artifact's folder (or a model package's ARN) as the settings say; True if it
    was changed, False if it serves just that already.

    Done again while an update to the same is under way, it follows that. Raises BackendError when it can't be done or
    was rolled back, with the reason; Stopped when the person stops watching: the update goes on then.
    """
    name, version = endpoint_of(run), EndpointVersion(account, run, source)
    description = _ready(account, run, name, version)
    if description["EndpointStatus"] == "InService" and description["EndpointConfigName"] == version.config:
        if "next" in aws_record(run):
            # An update that nobody watched any more has come to its end.
            _follow(account, run, version)
        else:
            apply_scaling(account, run, name)
        return False
    try:
        if description["EndpointStatus"] == "InService":
            _begin(account, run, version, description)
        _follow(account, run, version)
    except KeyboardInterrupt:
        raise Stopped(_ongoing_message(account, run)) from None
    return True


def _ready(account: Account, run: Run, name: str, version: EndpointVersion) -> dict[str, Any]:
    """The endpoint's description. Raises BackendError when it can't be updated now."""
    description, before = describe_endpoint(account, name), aws_record(run).get("endpoint_kind")
    if description is None:
        raise BackendError(f"there is no endpoint {name}, so there is nothing to update; deploy it without --update")
    kind = account.settings.deploy.kind
    if before and before != kind:
        raise BackendError(
            f"the endpoint {name} is {before}, and SageMaker can't make it {kind}; set kind to {before}, or delete "
            f"{run.name} and deploy anew"
        )
    record = aws_record(run).get("next", {}).get("config")
    pending = description.get("PendingDeploymentSummary", {}).get("EndpointConfigName", record)
    if description["EndpointStatus"] in MOVING and pending != version.config:
        raise BackendError(
            f"the endpoint {name} is {description['EndpointStatus']} just now; wait until python deploy.py status says "
            "InService"
        )
    if description["EndpointStatus"] not in (*MOVING, "InService"):
        raise BackendError(
            f"{endpoint_failure(account, run, description)}; an endpoint in this state can't be updated: "
            f"delete {run.name} and deploy anew"
        )
    return description


def _begin(account: Account, run: Run, version: EndpointVersion, description: dict[str, Any]) -> None:
    name, deploy = endpoint_of(run), account.settings.deploy
    if version.note:
        say(version.note)
    account.consent(costs(deploy, name))
    update_aws_record(account, run, next=version.names())
    version.make()
    request: dict[str, Any] = {"EndpointName": name, "EndpointConfigName": version.config}
    if deploy.kind != "serverless":
        request["DeploymentConfig"] = deployment(deploy, rollback_alarms(account, run, name))
    if _same_instances(account, description, version):
        # What autoscaling has made of the number of instances stays; all else is as the new configuration says.
        request["RetainAllVariantProperties"] = True
        request["ExcludeRetainedVariantProperties"] = [
            {"VariantPropertyType": "DesiredWeight"}, {"VariantPropertyType": "DataCaptureConfig"},
        ]  # fmt: skip
    else:
        # An update that changes the instance type of what is scaled is refused.
        remove_scaling(account, name)
    with translate_aws_errors(f"updating the endpoint {name}"):
        account.client("sagemaker").update_endpoint(**request)


def _same_instances(account: Account, description: dict[str, Any], version: EndpointVersion) -> bool:
    """Whether the endpoint is scaled now and will be, on instances of one type."""
    deploy = account.settings.deploy
    if not deploy.max_instances or deploy.kind == "serverless":
        return False
    config = description["EndpointConfigName"]
    with translate_aws_errors(f"reading the configuration {config}"):
        before = account.client("sagemaker").describe_endpoint_config(EndpointConfigName=config)
    return bool(before["ProductionVariants"][0].get("InstanceType") == version.instance_type)


def costs(deploy: Deploy, name: str) -> list[Item]:
    """What an update costs while two fleets run."""
    if deploy.kind == "serverless":
        return [Item(f"update of {name}", "serverless", gigabytes=deploy.memory_mb / 1024,
                     waits=deploy.provisioned_concurrency, hours=1.0)]  # fmt: skip
    return [
        Item(f"second fleet during the update of {name}", "hosting", deploy.instance_type,
             deploy.instance_count, duration_s(deploy) / 3600)
    ]  # fmt: skip


def steps(deploy: Deploy) -> int:
    """How often traffic moves."""
    return {"all": 1, "canary": 2}.get(deploy.shift) or math.ceil(100 / deploy.shift_percent)


def duration_s(deploy: Deploy) -> int:
    """Seconds that an update may take at most."""
    return min(max(_START_S + (steps(deploy) + 1) * deploy.shift_wait_s, _SHORTEST_S), _LONGEST_S)


def deployment(deploy: Deploy, alarms: list[str]) -> dict[str, Any]:
    """UpdateEndpoint's DeploymentConfig."""
    kinds = {"all": "ALL_AT_ONCE", "canary": "CANARY", "linear": "LINEAR"}
    size = {"Type": "CAPACITY_PERCENT", "Value": deploy.shift_percent}
    part = {"canary": {"CanarySize": size}, "linear": {"LinearStepSize": size}}.get(deploy.shift, {})
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": kinds[deploy.shift], "WaitIntervalInSeconds": deploy.shift_wait_s, **part,
            },
            "TerminationWaitInSeconds": deploy.shift_wait_s,
            "MaximumExecutionTimeoutInSeconds": duration_s(deploy),
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }  # fmt: skip


def _follow(account: Account, run: Run, version: EndpointVersion) -> None:
    """Wait for the update's verdict and note it."""
    name = endpoint_of(run)
    description = wait_until_settled(account, name)
    assert description is not None
    record = {key: value for key, value in aws_record(run).items() if key != "next"}
    if description["EndpointStatus"] != "InService":
        run.update(sagemaker=record)
        raise BackendError(endpoint_failure(account, run, description))
    rolled_back = description["EndpointConfigName"] != version.config
    run.update(sagemaker=record if rolled_back else {**record, **version.names()})
    apply_scaling(account, run, name)
    if rolled_back:
        reason = _rollback_reason(account, run, description)
        raise BackendError(f"the update of {name} was rolled back, and it serves what it did before: {reason}")


def _ongoing_message(account: Account, run: Run) -> str:
    """What goes on when the person stops watching, and how to end it."""
    name = endpoint_of(run)
    description = describe_endpoint(account, name) or {"EndpointStatus": "gone"}
    if description["EndpointStatus"] in MOVING:
        return (
            f"the update of {name} goes on in the account, with two fleets until it is done; the same command follows "
            f"it again, and python deploy.py delete {run.name} ends the endpoint when it has settled"
        )
    config = description.get("EndpointConfigName")
    return f"stopped; the endpoint {name} is {description['EndpointStatus']} and serves {config}"


def _rollback_reason(account: Account, run: Run, description: dict[str, Any]) -> str:
    rollback = description.get("LastDeploymentConfig", {}).get("AutoRollbackConfiguration", {})
    names = [each["AlarmName"] for each in rollback.get("Alarms", [])]
    states = states_of(account, names) if names else {}
    ringing = [f"the alarm {name} rang ({reason})" for name, (state, reason) in states.items() if state == "ALARM"]
    reason = str(description.get("FailureReason", "")).rstrip(". ")
    if not ringing and save_tail(account, run, endpoint_of(run)):
        ringing = [f"a server's last word: {last_error(run.log)} (log {run.log})"]
    return "; ".join([*([reason] if reason else []), *ringing]) or "SageMaker gives no reason, and no alarm rings now"
