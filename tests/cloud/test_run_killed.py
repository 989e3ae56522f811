"""`run --on sagemaker`, killed at every step that changes something: `delete` then leaves the account empty."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.driver import Driver
from tests.cloud.search_cases import beyond_policies, environment, leftovers, make_photos, pretend, run_arguments
from tests.cloud.simulator.recording import Call
from tests.cloud.simulator.server import PERSON, Simulator

# (operation, the how manieth of that name). What a call has changed is there when the next one is about to be made: so
# to be killed after each is to be killed before each, too.
STEPS = [
    ("PutObject", 1), ("PutObject", 6), ("CreateHyperParameterTuningJob", 1), ("PutObject", 7), ("CreateModel", 1),
    ("CreateEndpointConfig", 1), ("CreateEndpoint", 1), ("RegisterScalableTarget", 1), ("PutScalingPolicy", 1),
    ("PutScheduledAction", 1), ("InvokeEndpoint", 1), ("DeleteScheduledAction", 1), ("DeleteScalingPolicy", 1),
    ("DeregisterScalableTarget", 1), ("DeleteEndpoint", 1), ("DeleteEndpointConfig", 1), ("DeleteModel", 1),
]  # fmt: skip
# Killed there in every run of the tests: while an endpoint is on its way.
ALWAYS = "CreateEndpoint"
CASES = [step if step[0] == ALWAYS else pytest.param(*step, marks=pytest.mark.long) for step in STEPS]
# So long a job goes on after the kill: what is to be removed is still on its way.
GOES_ON_S = 0.7


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with Driver(tmp_path_factory.mktemp("driver")) as driver:
        yield driver


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("data") / "photos")


def kill_at(cloud: Simulator, driver: Driver, operation: str, number: int, go: threading.Event) -> None:
    """Let the driver's command end after a call that was carried out, before it is answered."""
    seen = 0

    def after(call: Call) -> None:
        nonlocal seen
        if call.key != PERSON:
            return
        if call.operation == "DeleteEndpoint" and call.error:
            # Only now does the endpoint that is being made begin to write a log.
            go.set()
        if call.operation != operation:
            return
        seen += 1
        if seen == number:
            go.clear()
            os.kill(driver.pid, signal.SIGKILL)
            if operation != "CreateEndpoint":
                threading.Timer(GOES_ON_S, go.set).start()

    cloud.after = after


@pytest.mark.parametrize(("operation", "number"), CASES)
def test_delete_leaves_nothing_whatever_step_it_was_killed_at(
    cloud: Simulator, driver: Driver, photos: Path, tmp_path: Path, operation: str, number: int
) -> None:
    prepared = pretend(cloud, tmp_path / "left")
    environ = environment(cloud, tmp_path)
    kill_at(cloud, driver, operation, number, prepared.go)
    killed = driver.run(*run_arguments(photos, tmp_path), environment=environ)
    assert killed.code == -signal.SIGKILL, killed.said
    assert cloud.changes()[-1] == operation
    assert leftovers(cloud)
    if STEPS.index((operation, number)) % 2:
        # The account alone has to tell what there is.
        shutil.rmtree(tmp_path / "runs")
    deleted = driver.run(
        "delete", "--all", "--with-data", "--yes", "--on", "sagemaker", "--runs", tmp_path / "runs", environment=environ
    )
    assert deleted.code == 0, deleted.said
    assert leftovers(cloud) == [], deleted.said
    assert beyond_policies(cloud) == []


def test_the_steps_are_all_there_are(cloud: Simulator, driver: Driver, photos: Path, tmp_path: Path) -> None:
    pretend(cloud, tmp_path / "left")
    ended = driver.run(*run_arguments(photos, tmp_path), environment=environment(cloud, tmp_path))
    assert ended.code == 0, ended.said
    changes = cloud.changes()
    assert set(changes) == {operation for operation, _ in STEPS}
    counts = dict(STEPS)
    assert {operation: changes.count(operation) for operation in counts} == counts
