"""A forked command is a process like one that is started from nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import forked
from tests.forked import ROOT, Popen
from tests.serve.conftest import TOY_ENGINE, Toy, toy
from tests.serve.process import Served

__all__ = ["toy"]

HELP = [sys.executable, "-m", "train.check_data", "--help"]
WRONG = [sys.executable, "-m", "train.check_data"]


def of_server(process: "subprocess.Popen[Any]") -> bool:
    """Whether it was forked: it then has the command line of the process that it was forked from."""
    return "tests.forked" in psutil.Process(process.pid).cmdline()


@pytest.mark.parametrize("command", [HELP, WRONG, [sys.executable, str(ROOT / "deploy.py"), "train", "--wrong"]])
def test_it_prints_and_ends_as_when_started_from_nothing(command: list[str], tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = forked.run(command, text=True, cwd=tmp_path, env=environ)
    started = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environ, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (started.returncode, started.stdout, started.stderr)
    assert ended.stdout + ended.stderr


def test_it_is_a_child_with_what_it_was_given(tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        with Popen(HELP, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True) as process:
            os.kill(process.pid, signal.SIGSTOP)
            try:
                seen = psutil.Process(process.pid)
                assert of_server(process)
                assert seen.ppid() == os.getpid()
                assert seen.cpu_affinity() == [core]
                assert os.getsid(process.pid) == process.pid
            finally:
                os.kill(process.pid, signal.SIGKILL)
            assert process.wait(20) == -signal.SIGKILL
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_as_they_end_others(number: int, toy: Toy, tmp_path: Path) -> None:
    server = Served(toy.ml_root, tmp_path / "log", KENNEL_ENGINE=TOY_ENGINE, TOY_DIR=str(tmp_path))
    try:
        server.wait_listening()
        assert of_server(server.process)
        server.signal(number)
        assert server.wait() == 0
    finally:
        server.close()


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ([sys.executable, "-c", "print(1)"], {}),
        ([sys.executable, "-W", "error", "-m", "train.check_data", "--help"], {}),
        (HELP, {"OMP_NUM_THREADS": "7"}),
        (HELP, {"PYTHONWARNINGS": "error"}),
        (HELP, {"PYTHONPATH": f"/nowhere{os.pathsep}{ROOT}"}),
    ],
)
def test_what_differs_at_the_start_is_started_from_nothing(command: list[str], variables: dict[str, str]) -> None:
    environ = {**os.environ, **variables}
    with Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE) as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert not of_server(process)
        os.kill(process.pid, signal.SIGCONT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out


def test_no_process_is_left_when_the_tests_process_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from tests import forked\n"
        f"forked.run({HELP!r}, cwd={str(ROOT)!r})\n"
        "import psutil; print(*[each.pid for each in psutil.Process().children()])\n"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    assert not psutil.pid_exists(int(ended.stdout))
