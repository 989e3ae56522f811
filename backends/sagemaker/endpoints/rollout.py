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
from backends.sagemaker.account import Account, made, note
from backends.sagemaker.billing.items import Item
from backends.sagemaker.endpoints.endpoints import MOVING, Version, describe, endpoint_of, failure, settled
from backends.sagemaker.endpoints.scaling import apply_scaling, remove_scaling, rollback_alarms, states_of
from backends.sagemaker.errors import told
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
    name, version = endpoint_of(run), Version(account, run, source)
    there = _ready(account, run, name, version)
    if there["EndpointStatus"] == "InService" and there["EndpointConfigName"] == version.config:
        if "next" in made(run):
            # An update that nobody watched any more has come to its end.
            _follow(account, run, version)
        else:
            apply_scaling(account, run, name)
        return False
    try:
        if there["EndpointStatus"] == "InService":
            _begin(account, run, version, there)
        _follow(account, run, version)
    except KeyboardInterrupt:
        raise Stopped(_left(account, run)) from None
    return True


def _ready(account: Account, run: Run, name: str, version: Version) -> dict[str, Any]:
    """The endpoint's description. Raises BackendError when it can't be updated now."""
    there, before = describe(account, name), made(run).get("endpoint_kind")
    if there is None:
        raise BackendError(f"there is no endpoint {name}, so there is nothing to update; deploy it without --update")
    kind = account.settings.deploy.kind
    if before and before != kind:
        raise BackendError(
            f"the endpoint {name} is {before}, and SageMaker can't make it {kind}; set kind to {before}, or delete "
            f"{run.name} and deploy anew"
        )
    noted = made(run).get("next", {}).get("config")
    pending = there.get("PendingDeploymentSummary", {}).get("EndpointConfigName", noted)
    if there["EndpointStatus"] in MOVING and pending != version.config:
        raise BackendError(
            f"the endpoint {name} is {there['EndpointStatus']} just now; wait until python deploy.py status says "
            "InService"
        )
    if there["EndpointStatus"] not in (*MOVING, "InService"):
        raise BackendError(
            f"{failure(account, run, there)}; an endpoint in this state can't be updated: delete {run.name} and deploy "
            "anew"
        )
    return there


def _begin(account: Account, run: Run, version: Version, there: dict[str, Any]) -> None:
    name, chosen = endpoint_of(run), account.settings.deploy
    if version.note:
        say(version.note)
    account.consent(costs(chosen, name))
    note(account, run, next=version.names())
    version.make()
    request: dict[str, Any] = {"EndpointName": name, "EndpointConfigName": version.config}
    if chosen.kind != "serverless":
        request["DeploymentConfig"] = deployment(chosen, rollback_alarms(account, run, name))
    if _same_instances(account, there, version):
        # What autoscaling has made of the number of instances stays; all else is as the new configuration says.
        request["RetainAllVariantProperties"] = True
        request["ExcludeRetainedVariantProperties"] = [
            {"VariantPropertyType": "DesiredWeight"}, {"VariantPropertyType": "DataCaptureConfig"},
        ]  # fmt: skip
    else:
        # An update that changes the instance type of what is scaled is refused.
        remove_scaling(account, name)
    with told(f"updating the endpoint {name}"):
        account.client("sagemaker").update_endpoint(**request)


def _same_instances(account: Account, there: dict[str, Any], version: Version) -> bool:
    """Whether the endpoint is scaled now and will be, on instances of one type."""
    chosen = account.settings.deploy
    if not chosen.max_instances or chosen.kind == "serverless":
        return False
    config = there["EndpointConfigName"]
    with told(f"reading the configuration {config}"):
        before = account.client("sagemaker").describe_endpoint_config(EndpointConfigName=config)
    return bool(before["ProductionVariants"][0].get("InstanceType") == version.instance_type)


def costs(chosen: Deploy, name: str) -> list[Item]:
    """What an update costs while two fleets run."""
    if chosen.kind == "serverless":
        return [Item(f"update of {name}", "serverless", gigabytes=chosen.memory_mb / 1024,
                     waits=chosen.provisioned_concurrency, hours=1.0)]  # fmt: skip
    return [
        Item(f"second fleet during the update of {name}", "hosting", chosen.instance_type,
             chosen.instance_count, duration_s(chosen) / 3600)
    ]  # fmt: skip


def steps(chosen: Deploy) -> int:
    """How often traffic moves."""
    return {"all": 1, "canary": 2}.get(chosen.shift) or math.ceil(100 / chosen.shift_percent)


def duration_s(chosen: Deploy) -> int:
    """Seconds that an update may take at most."""
    return min(max(_START_S + (steps(chosen) + 1) * chosen.shift_wait_s, _SHORTEST_S), _LONGEST_S)


def deployment(chosen: Deploy, alarms: list[str]) -> dict[str, Any]:
    """UpdateEndpoint's DeploymentConfig."""
    kinds = {"all": "ALL_AT_ONCE", "canary": "CANARY", "linear": "LINEAR"}
    size = {"Type": "CAPACITY_PERCENT", "Value": chosen.shift_percent}
    part = {"canary": {"CanarySize": size}, "linear": {"LinearStepSize": size}}.get(chosen.shift, {})
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": kinds[chosen.shift], "WaitIntervalInSeconds": chosen.shift_wait_s, **part,
            },
            "TerminationWaitInSeconds": chosen.shift_wait_s,
            "MaximumExecutionTimeoutInSeconds": duration_s(chosen),
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }  # fmt: skip


def _follow(account: Account, run: Run, version: Version) -> None:
    """Wait for the update's verdict and note it."""
    name = endpoint_of(run)
    there = settled(account, name)
    assert there is not None
    noted = {key: value for key, value in made(run).items() if key != "next"}
    if there["EndpointStatus"] != "InService":
        run.update(sagemaker=noted)
        raise BackendError(failure(account, run, there))
    rolled_back = there["EndpointConfigName"] != version.config
    run.update(sagemaker=noted if rolled_back else {**noted, **version.names()})
    apply_scaling(account, run, name)
    if rolled_back:
        raise BackendError(
            f"the update of {name} was rolled back, and it serves what it did before: {_why(account, run, there)}"
        )


def _left(account: Account, run: Run) -> str:
    """What goes on when the person stops watching, and how to end it."""
    name = endpoint_of(run)
    there = describe(account, name) or {"EndpointStatus": "gone"}
    if there["EndpointStatus"] in MOVING:
        return (
            f"the update of {name} goes on in the account, with two fleets until it is done; the same command follows "
            f"it again, and python deploy.py delete {run.name} ends the endpoint when it has settled"
        )
    return f"stopped; the endpoint {name} is {there['EndpointStatus']} and serves {there.get('EndpointConfigName')}"


def _why(account: Account, run: Run, there: dict[str, Any]) -> str:
    rollback = there.get("LastDeploymentConfig", {}).get("AutoRollbackConfiguration", {})
    names = [each["AlarmName"] for each in rollback.get("Alarms", [])]
    states = states_of(account, names) if names else {}
    ringing = [f"the alarm {name} rang ({reason})" for name, (state, reason) in states.items() if state == "ALARM"]
    reason = str(there.get("FailureReason", "")).rstrip(". ")
    if not ringing and save_tail(account, run, endpoint_of(run)):
        ringing = [f"a server's last word: {last_error(run.log)} (log {run.log})"]
    return "; ".join([*([reason] if reason else []), *ringing]) or "SageMaker gives no reason, and no alarm rings now"
