"""Ctrl-C at the terminal of a training on SageMaker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backends.photos import make_photos
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared, Task
from tests.cloud.test_logs import SETTINGS
from tests.forked import Popen
from tests.train.support import REPOSITORY


def until(done: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.fixture
def terminal(cloud: Simulator, prepared: Prepared, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """`deploy.py train`, whose job is training and doesn't end."""
    prepared.go.clear()
    prepared.lines = ["loading"]
    prepared.run = lambda task: _stubborn(prepared, task)  # type: ignore[method-assign]
    photos = make_photos(tmp_path / "photos")
    command = ["train", "--on", "sagemaker", "--yes", "--data", str(photos), "--name", "first",
               "--set", "pretrained=none", "--runs", str(tmp_path / "runs"), *SETTINGS]  # fmt: skip
    child = Popen(
        [sys.executable, str(REPOSITORY / "deploy.py"), *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=tmp_path, env={**os.environ, "KENNEL_POLL_S": "0.05"},
    )  # fmt: skip
    try:
        until(lambda: [each for each in cloud.calls if each.operation == "GetLogEvents"] or child.poll(), "no job")
        yield child
    finally:
        prepared.go.set()
        child.kill()
        child.communicate()


def _stubborn(prepared: Prepared, task: Task) -> int:
    for line in prepared.lines:
        task.say(line)
    while not prepared.go.wait(0.05):
        if task.stop.is_set() and prepared.code == 0:
            return 143
    return 143


def record(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "runs" / "first" / "run.json").read_text())
    return found


def test_once_it_stops_the_job(
    cloud: Simulator, prepared: Prepared, terminal: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    terminal.send_signal(signal.SIGINT)
    _, errors = terminal.communicate(timeout=120)
    assert terminal.returncode == 130
    assert errors.startswith("stopping ...\nerror: training job kennel-first-")
    assert "was stopped before its first epoch was over (run first, log " in errors
    assert len(cloud.requests("StopTrainingJob")) == 1
    assert record(tmp_path)["status"] == "stopped"


def test_twice_it_leaves_the_job_and_says_how_to_come_back(
    cloud: Simulator, prepared: Prepared, terminal: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    prepared.code = 1  # it doesn't hear
    terminal.send_signal(signal.SIGINT)
    until(lambda: cloud.requests("StopTrainingJob"), "it wasn't asked to stop")
    terminal.send_signal(signal.SIGINT)
    _, errors = terminal.communicate(timeout=120)
    assert terminal.returncode == 2
    assert "goes on and costs 1 x ml.g4dn.xlarge until it ends; follow it with: python deploy.py attach first" in errors
    assert "end it with: python deploy.py delete first" in errors
    assert record(tmp_path)["status"] == "running"
