"""Waiting for an endpoint: what is told meanwhile, what a failure says, and what Ctrl-C leaves."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from backends.errors import BackendError, Stopped
from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.endpoints import endpoints
from tests.cloud.endpoint_cases import deployment, interrupt_instead_of, make_artifact, up
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared

NAME = "kennel-first-abcdef"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "artifact")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return deployment(tmp_path)


def describing(account: Account, *answers: dict[str, Any]) -> Iterator[Stubber]:
    """DescribeEndpoint answers these, one after the other."""
    stubber = Stubber(account.client("sagemaker"))
    for answer in answers:
        whole = {
            "EndpointName": NAME, "EndpointArn": f"arn:aws:sagemaker:eu-west-1:123456789012:endpoint/{NAME}",
            "EndpointConfigName": "one", "CreationTime": 0, "LastModifiedTime": 0, **answer,
        }  # fmt: skip
        stubber.add_response("describe_endpoint", whole, {"EndpointName": NAME})
    with stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_each_state_is_told_once(account: Account, capsys: pytest.CaptureFixture[str], cloud: Simulator) -> None:
    variant = {
        "VariantName": "AllTraffic",
        "VariantStatus": [{"Status": "Creating", "StatusMessage": "Pulling the image"}],
    }
    answers: list[dict[str, Any]] = [
        {"EndpointStatus": "Creating"}, {"EndpointStatus": "Creating"},
        {"EndpointStatus": "Creating", "ProductionVariants": [variant]}, {"EndpointStatus": "InService"},
    ]  # fmt: skip
    for _ in describing(account, *answers):
        assert endpoints.wait_until_settled(account, NAME)["EndpointStatus"] == "InService"  # type: ignore[index]
    assert capsys.readouterr().out.splitlines() == [
        f"endpoint {NAME}: Creating",
        f"endpoint {NAME}: Creating (Pulling the image)",
        f"endpoint {NAME}: InService",
    ]


def test_a_failed_endpoint_says_why_and_what_its_server_said_last(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path
) -> None:
    prepared.answer = None
    prepared.lines = ["loading the model", "error: /opt/ml/model has no kennel.json; train first"]
    endpoints.deploy(account, run, artifact)
    with pytest.raises(BackendError) as caught:
        endpoints.wait_ready(account, run, lambda: True)
    told = str(caught.value)
    name = run.record["sagemaker"]["endpoint"]
    assert told.startswith(
        f"the endpoint {name} failed: The primary container for production variant AllTraffic did not"
    )
    assert "see whether the server starts on this machine" in told
    assert "its log ends: loading the model / error: /opt/ml/model has no kennel.json; train first" in told
    assert told.endswith(f"(log {run.log})")
    assert run.log.read_text().splitlines() == prepared.lines
    assert not endpoints.is_alive(account, run)


def test_a_failed_endpoint_without_a_log(cloud: Simulator, account: Account, run: Run) -> None:
    run.update(sagemaker={"endpoint": NAME})
    failed = {"EndpointStatus": "Failed", "FailureReason": "Image not found."}
    for _ in describing(account, failed):
        with pytest.raises(BackendError, match=rf"{NAME} failed: Image not found.*nothing is in its log, /aws/sage"):
            endpoints.wait_ready(account, run, lambda: True)


def test_an_endpoint_that_somebody_deleted(cloud: Simulator, account: Account, run: Run) -> None:
    run.update(sagemaker={"endpoint": NAME})
    assert not endpoints.is_alive(account, run)
    with pytest.raises(BackendError, match=f"no endpoint {NAME} any more"):
        endpoints.wait_ready(account, run, lambda: True)


def test_a_run_without_an_endpoint(account: Account, run: Run) -> None:
    assert not endpoints.is_alive(account, run)
    with pytest.raises(BackendError, match="first has no endpoint on SageMaker"):
        endpoints.wait_ready(account, run, lambda: True)


def test_waiting_ends_when_it_is_no_longer_wished_for(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path
) -> None:
    prepared.go.clear()
    endpoints.deploy(account, run, artifact)
    assert endpoints.is_alive(account, run)
    assert not endpoints.wait_ready(account, run, lambda: False)
    prepared.go.set()


def test_whoever_stops_because_it_failed_still_hears_why(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path
) -> None:
    prepared.answer = None
    prepared.go.clear()
    endpoints.deploy(account, run, artifact)

    def alive() -> bool:
        prepared.go.set()
        (endpoint,) = cloud.endpoints.values()
        endpoint.thread.join(30)
        return endpoints.is_alive(account, run)

    with pytest.raises(BackendError, match="ping health check"):
        endpoints.wait_ready(account, run, alive)


def test_ctrl_c_while_it_starts_is_a_sentence(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared.go.clear()
    endpoints.deploy(account, run, artifact)
    name = run.record["sagemaker"]["endpoint"]
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", interrupt_instead_of(time.sleep))
        with pytest.raises(Stopped, match=f"stopped before the endpoint {name} answered"):
            endpoints.wait_ready(account, run, lambda: True)
    assert endpoints.still_running_message(run).startswith(f"the endpoint {name} may still be there")
    assert "deploy.py delete first ends it" in endpoints.still_running_message(run)
    prepared.go.set()
    assert endpoints.wait_ready(account, run, lambda: True)


def test_the_lines_of_all_containers_come_in_their_order(cloud: Simulator, account: Account, run: Run) -> None:
    from backends.sagemaker.logs import save_tail

    logs, group = cloud.client("logs"), f"/aws/sagemaker/Endpoints/{NAME}"
    logs.create_log_group(logGroupName=group)
    now = int(time.time() * 1000)
    for stream, events in {"AllTraffic/i-1": [(0, "a"), (20, "c")], "AllTraffic/i-2": [(10, "b\n")]}.items():
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        rows = [{"timestamp": now + after, "message": text} for after, text in events]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=rows)
    assert save_tail(account, run, NAME) == ["a", "b", "c"]
    assert run.log.read_text() == "a\nb\nc\n"


def test_a_log_that_may_not_be_read_is_no_second_failure(cloud: Simulator, account: Account, run: Run) -> None:
    from backends.sagemaker.logs import save_tail

    cloud.fail("DescribeLogStreams", "AccessDeniedException", "Not you")
    (line,) = save_tail(account, run, NAME)
    assert line.startswith("(the log couldn't be fetched: ")


def test_status_words_are_of_the_new_fleet_too() -> None:
    pending = {"ProductionVariants": [{"VariantStatus": [{"Status": "Baking"}]}]}
    there = {"EndpointStatus": "Updating", "PendingDeploymentSummary": pending}
    assert endpoints.state_words(there) == "Updating (Baking)"


def test_an_endpoint_that_is_up_is_alive(
    cloud: Simulator, account: Account, prepared: Prepared, run: Run, artifact: Path
) -> None:
    up(account, run, artifact)
    assert endpoints.is_alive(account, run)
