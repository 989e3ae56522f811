"""An endpoint that is up gets a new version: blue/green, watched by alarms, rolled back when one rings."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from backends.errors import BackendError, Stopped
from backends.runs import Run, load_run
from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import Item
from backends.sagemaker.endpoints import endpoints, rollout
from backends.settings.sections import Deploy
from tests.cloud.conftest import settings
from tests.cloud.endpoint_cases import account_of, checked, deployment, interrupt_instead_of, make_artifact, tags_of, up
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "artifact")


@pytest.fixture
def run(cloud: Simulator, prepared: Prepared, tmp_path: Path, artifact: Path) -> Run:
    """A deployment that is up."""
    found = deployment(tmp_path)
    up(account_of(settings()), found, artifact)
    return found


def changed(artifact: Path) -> Path:
    (artifact / "model.safetensors").write_bytes(b"better\n")
    return artifact


def name_of(run: Run) -> str:
    return str(run.record["sagemaker"]["endpoint"])


def test_all_at_once_with_alarms_of_its_own(cloud: Simulator, account: Account, run: Run, artifact: Path) -> None:
    before, name = dict(run.record["sagemaker"]), name_of(run)
    assert rollout.update(account, run, changed(artifact)) is True
    (request,) = cloud.requests("UpdateEndpoint")
    assert checked("sagemaker", "UpdateEndpoint", request) == {
        "EndpointName": name,
        "EndpointConfigName": run.record["sagemaker"]["config"],
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300},
                "TerminationWaitInSeconds": 300,
                # Half an hour to start, one shift and one end of 300 s.
                "MaximumExecutionTimeoutInSeconds": 2400,
            },
            "AutoRollbackConfiguration": {
                "Alarms": [{"AlarmName": f"{name}-errors"}, {"AlarmName": f"{name}-latency"}]
            },
        },
    }
    after = load_run(run.path).record["sagemaker"]
    assert {key for key in after if after[key] != before[key]} == {"model", "config"}
    assert endpoints.describe_endpoint(account, name)["EndpointConfigName"] == after["config"]  # type: ignore[index]
    # What it served before is kept: an update back to it finds it.
    assert {each.name for each in cloud.store.of("Model")} == {before["model"], after["model"]}


def test_the_alarms_are_of_errors_and_of_latency(cloud: Simulator, account: Account, run: Run, artifact: Path) -> None:
    rollout.update(account, run, changed(artifact))
    name, watch = name_of(run), cloud.client("cloudwatch")
    errors, latency = watch.describe_alarms()["MetricAlarms"]
    common = {
        "Namespace": "AWS/SageMaker", "Period": 60, "EvaluationPeriods": 1, "TreatMissingData": "notBreaching",
        "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}],
    }  # fmt: skip
    assert {
        **common, "AlarmName": f"{name}-errors", "MetricName": "Invocation5XXErrors", "Statistic": "Average",
        "Threshold": 0.05,
    }.items() <= errors.items()  # fmt: skip
    # Microseconds.
    assert {
        **common, "AlarmName": f"{name}-latency", "MetricName": "ModelLatency", "ExtendedStatistic": "p90",
        "Threshold": 2_000_000.0,
    }.items() <= latency.items()  # fmt: skip
    for each in (errors, latency):
        assert watch.list_tags_for_resource(ResourceARN=each["AlarmArn"])["Tags"] == tags_of(run, name)


@pytest.mark.parametrize(
    ("chosen", "routing", "limit_s"),
    [
        (
            Deploy(instance_count=4, shift="canary", shift_percent=25, shift_wait_s=120),
            {"Type": "CANARY", "WaitIntervalInSeconds": 120, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25}},
            1800 + 3 * 120,
        ),
        (
            Deploy(instance_count=4, shift="linear", shift_percent=30, shift_wait_s=600),
            {
                "Type": "LINEAR", "WaitIntervalInSeconds": 600,
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 30},
            },
            1800 + 5 * 600,
        ),
        # Eight hours are the most that SageMaker takes.
        (
            Deploy(instance_count=4, shift="linear", shift_percent=1, shift_wait_s=3600),
            {
                "Type": "LINEAR", "WaitIntervalInSeconds": 3600,
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 1},
            },
            28_800,
        ),
    ],
)  # fmt: skip
def test_traffic_moves_by_parts(chosen: Deploy, routing: dict[str, Any], limit_s: int) -> None:
    config = rollout.deployment(chosen, ["one"])
    checked("sagemaker", "UpdateEndpoint",
            {"EndpointName": "one", "EndpointConfigName": "two", "DeploymentConfig": config})  # fmt: skip
    assert config["BlueGreenUpdatePolicy"] == {
        "TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": chosen.shift_wait_s,
        "MaximumExecutionTimeoutInSeconds": limit_s,
    }  # fmt: skip


def test_what_is_served_already_is_left_alone(cloud: Simulator, account: Account, run: Run, artifact: Path) -> None:
    assert rollout.update(account, run, artifact) is False
    assert cloud.requests("UpdateEndpoint") == []
    assert len(cloud.requests("CreateModel")) == 1


def test_settings_alone_make_a_new_version_of_the_same_model(cloud: Simulator, run: Run, artifact: Path) -> None:
    assert rollout.update(account_of(settings(deploy=Deploy(instance_type="ml.c6i.xlarge"))), run, artifact)
    assert len(cloud.requests("CreateModel")) == 1
    _, config = cloud.requests("CreateEndpointConfig")
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.c6i.xlarge"


def test_an_alarm_rolls_it_back_and_is_named(cloud: Simulator, account: Account, run: Run, artifact: Path) -> None:
    before, name = dict(run.record["sagemaker"]), name_of(run)

    def ring(call: Any) -> None:
        if call.operation == "UpdateEndpoint":
            cloud.client("cloudwatch").set_alarm_state(
                AlarmName=f"{name}-errors", StateValue="ALARM", StateReason="3 of 20 requests failed"
            )

    cloud.before = ring
    with pytest.raises(BackendError) as caught:
        rollout.update(account, run, changed(artifact))
    told = str(caught.value)
    assert told.startswith(f"the update of {name} was rolled back, and it serves what it did before: ")
    assert f"the alarm {name}-errors rang (3 of 20 requests failed)" in told
    assert load_run(run.path).record["sagemaker"] == before
    assert endpoints.is_alive(account, run)


def test_a_server_that_doesnt_come_up_rolls_it_back_with_its_last_word(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path
) -> None:
    prepared.answer, prepared.lines = None, ["error: kennel.json is malformed"]
    with pytest.raises(BackendError, match=r"rolled back.*did not pass the ping.*last word: kennel.json is malformed"):
        rollout.update(account, run, changed(artifact))


def test_alarms_of_the_persons_own(cloud: Simulator, run: Run, artifact: Path) -> None:
    watch = cloud.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName="mine", MetricName="m", Namespace="n", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    account = account_of(settings(deploy=Deploy(alarms=("mine",))))
    watch.set_alarm_state(AlarmName="mine", StateValue="ALARM", StateReason="since yesterday")
    with pytest.raises(BackendError, match=r"the alarm mine is ringing already \(since yesterday\)"):
        rollout.update(account, run, changed(artifact))
    watch.set_alarm_state(AlarmName="mine", StateValue="OK", StateReason="quiet")
    assert rollout.update(account, run, artifact)
    (request,) = cloud.requests("UpdateEndpoint")
    assert request["DeploymentConfig"]["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "mine"}]}
    assert cloud.requests("PutMetricAlarm") == []
    with pytest.raises(BackendError, match="there is no CloudWatch alarm others in eu-west-1"):
        rollout.update(account_of(settings(deploy=Deploy(alarms=("mine", "others"), log_level="debug"))), run, artifact)


def test_autoscaling_keeps_its_number_of_instances(cloud: Simulator, run: Run, artifact: Path) -> None:
    account = account_of(settings(deploy=Deploy(max_instances=4)))
    rollout.update(account, run, artifact)
    assert rollout.update(account, run, changed(artifact))
    (request,) = cloud.requests("UpdateEndpoint")
    assert request["RetainAllVariantProperties"] is True
    assert request["ExcludeRetainedVariantProperties"] == [
        {"VariantPropertyType": "DesiredWeight"}, {"VariantPropertyType": "DataCaptureConfig"},
    ]  # fmt: skip
    assert cloud.requests("DeregisterScalableTarget") == []


def test_another_instance_type_is_scaled_anew(cloud: Simulator, run: Run, artifact: Path) -> None:
    rollout.update(account_of(settings(deploy=Deploy(max_instances=4))), run, artifact)
    rollout.update(account_of(settings(deploy=Deploy(max_instances=4, instance_type="ml.c6i.xlarge"))), run, artifact)
    (request,) = cloud.requests("UpdateEndpoint")
    assert "RetainAllVariantProperties" not in request
    order = [each for each in cloud.changes() if each in ("DeregisterScalableTarget", "UpdateEndpoint")]
    assert order == ["DeregisterScalableTarget", "UpdateEndpoint"]
    first, second = cloud.requests("PutScalingPolicy")
    values = [each["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] for each in (first, second)]
    assert values == [1200.0, 2400.0]


def test_serverless_is_updated_without_a_plan(cloud: Simulator, prepared: Prepared, tmp_path: Path) -> None:
    artifact, run = make_artifact(tmp_path / "other"), deployment(tmp_path, "second")
    up(account_of(settings(deploy=Deploy(kind="serverless"))), run, artifact)
    assert rollout.update(account_of(settings(deploy=Deploy(kind="serverless", memory_mb=4096))), run, artifact)
    (request,) = cloud.requests("UpdateEndpoint")
    assert set(request) == {"EndpointName", "EndpointConfigName"}


def test_a_kind_cant_become_another(cloud: Simulator, run: Run, artifact: Path) -> None:
    with pytest.raises(BackendError, match="is realtime, and SageMaker can't make it serverless"):
        rollout.update(account_of(settings(deploy=Deploy(kind="serverless"))), run, artifact)


def test_an_endpoint_that_is_gone_or_busy_isnt_updated(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path
) -> None:
    prepared.go.clear()
    account.client("sagemaker").update_endpoint(
        EndpointName=name_of(run), EndpointConfigName=run.record["sagemaker"]["config"]
    )
    with pytest.raises(BackendError, match="is Updating just now"):
        rollout.update(account, run, changed(artifact))
    prepared.go.set()
    endpoints.wait_until_settled(account, name_of(run))
    account.client("sagemaker").delete_endpoint(EndpointName=name_of(run))
    while endpoints.describe_endpoint(account, name_of(run)):
        time.sleep(0.01)
    with pytest.raises(BackendError, match=r"there is no endpoint .* nothing to update"):
        rollout.update(account, run, artifact)


@pytest.mark.parametrize("ended", [False, True], ids=["going on", "ended meanwhile"])
def test_ctrl_c_leaves_it_going_on_and_the_same_command_follows_it(
    cloud: Simulator,
    account: Account,
    prepared: Prepared,
    run: Run,
    artifact: Path,
    monkeypatch: pytest.MonkeyPatch,
    ended: bool,
) -> None:
    prepared.go.clear()
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", interrupt_instead_of(time.sleep))
        with pytest.raises(Stopped, match=r"goes on in the account, with two fleets .* deploy.py delete first ends"):
            rollout.update(account, run, changed(artifact))
    noted = load_run(run.path).record["sagemaker"]
    assert noted["next"]["config"] == cloud.requests("UpdateEndpoint")[0]["EndpointConfigName"]
    prepared.go.set()
    if ended:
        endpoints.wait_until_settled(account, name_of(run))
    assert rollout.update(account, run, artifact) in ((False,) if ended else (True, False))
    assert len(cloud.requests("UpdateEndpoint")) == 1
    after = load_run(run.path).record["sagemaker"]
    assert "next" not in after
    assert after["config"] == noted["next"]["config"]


def test_ctrl_c_before_it_has_begun_says_what_is_served(cloud: Simulator, run: Run, artifact: Path) -> None:
    def interrupt(_items: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Stopped, match=rf"stopped; the endpoint {name_of(run)} is InService and serves kennel-first-"):
        rollout.update(Account(settings(), interrupt), run, changed(artifact))
    assert cloud.requests("UpdateEndpoint") == []


def test_the_second_fleet_has_a_price(cloud: Simulator, run: Run, artifact: Path) -> None:
    asked: list[Item] = []
    rollout.update(Account(settings(deploy=Deploy(instance_count=3)), asked.extend), run, changed(artifact))
    (fleet,) = asked
    assert (fleet.kind, fleet.instance_type, fleet.count) == ("hosting", "ml.m5.large", 3)
    assert fleet.hours == pytest.approx(2400 / 3600)


def test_a_rollback_that_failed_too_is_no_success(cloud: Simulator, account: Account, run: Run, artifact: Path) -> None:
    name = name_of(run)
    version = endpoints.EndpointVersion(account, run, changed(artifact))
    run.update(sagemaker={**run.record["sagemaker"], "next": version.names()})
    answer = {
        "EndpointName": name, "EndpointArn": f"arn:aws:sagemaker:eu-west-1:123456789012:endpoint/{name}",
        "EndpointConfigName": run.record["sagemaker"]["config"], "CreationTime": 0, "LastModifiedTime": 0,
    }  # fmt: skip
    with Stubber(account.client("sagemaker")) as stubber:
        for more in (
            {"EndpointStatus": "Updating"},
            {"EndpointStatus": "RollingBack"},
            {"EndpointStatus": "UpdateRollbackFailed", "FailureReason": "CapacityError: no instances"},
        ):
            stubber.add_response("describe_endpoint", {**answer, **more})
        with pytest.raises(BackendError, match="CapacityError: no instances; repeat it later"):
            rollout.update(account, run, artifact)
    assert "next" not in load_run(run.path).record["sagemaker"]
    assert json.loads((run.path / "run.json").read_text())["status"] == "running"
