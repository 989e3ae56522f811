"""Ctrl-C at a deployment in the account, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backends.runs import load_run
from tests.cloud.conftest import BUCKET, IMAGE, ROLE
from tests.cloud.endpoint_cases import make_artifact
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.forked import Popen

ROOT = Path(__file__).resolve().parents[2]
_LIMIT_S = 120


@pytest.fixture
def child(tmp_path: Path, cloud: Simulator, prepared: Prepared) -> "subprocess.Popen[str]":
    """A deployment whose endpoint is being made, for as long as prepared.go isn't set."""
    prepared.go.clear()
    make_artifact(tmp_path / "artifact")
    settings = [f"role={ROLE}", f"bucket={BUCKET}", f"sagemaker.image={IMAGE}"]
    options = [each for setting in settings for each in ("-o", setting)]
    process = Popen(
        [sys.executable, str(ROOT / "deploy.py"), "deploy", "--on", "sagemaker", "--artifact", "artifact", "--name",
         "first", "--yes", *options],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    end = time.monotonic() + _LIMIT_S
    while not cloud.requests("DescribeEndpoint") or not cloud.store.of("Endpoint"):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)
    return process


def until(cloud: Simulator, operation: str, times: int = 1) -> None:
    """That was asked of the account."""
    end = time.monotonic() + _LIMIT_S
    while len(cloud.requests(operation)) < times:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_once_it_is_removed_as_soon_as_that_can_be(
    cloud: Simulator, prepared: Prepared, child: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    child.send_signal(signal.SIGINT)
    # Refused, for it is still being made.
    until(cloud, "DeleteEndpoint", times=2)
    prepared.go.set()
    said, _ = child.communicate(timeout=_LIMIT_S)
    assert child.returncode == 130, said
    assert "removed before that is done; waiting" in said
    assert said.splitlines()[-1].startswith("error: stopped before the "), said
    assert [each.kind.noun for each in cloud.store] == []
    assert load_run(tmp_path / "runs" / "first").status == "stopped"


def test_twice_it_is_left_and_said_how_to_end_it(
    cloud: Simulator, prepared: Prepared, child: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    child.send_signal(signal.SIGINT)
    until(cloud, "DeleteEndpoint")
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=_LIMIT_S)
    assert child.returncode != 0
    assert "may still be there, and costs as long as it is; python deploy.py delete first ends it" in said
    assert "Traceback" not in said
    assert load_run(tmp_path / "runs" / "first").status == "running"
    assert [each.kind.noun for each in cloud.store][-1] == "Endpoint"
    prepared.go.set()
