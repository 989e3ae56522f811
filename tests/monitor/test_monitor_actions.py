"""Commands and the ending of a training process, without a training."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contract.hyperparameters import Hyperparameters
from contract.job import Job
from contract.paths import MLPaths
from monitor import actions
from monitor import client as module
from monitor.actions import Commands, Stopper, done
from monitor.client import MonitorProcess
from monitor.inbox import Inbox
from monitor.output import finite, write_report
from tests.train.support import REPOSITORY


class Clock:
    now = 100.0


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that were sent, instead of sending them."""
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append((pid, number)))
    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return signals


def stopper(tmp_path: Path) -> tuple[Stopper, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    # This process's own parent plays the training.
    return Stopper(write, os.getppid(), tmp_path / "failure", lambda _line: None), read


def messages(pipe: int) -> list[dict[str, object]]:
    return [json.loads(line) for line in os.read(pipe, 65536).splitlines()]


def test_a_process_that_does_not_react_is_ended_step_by_step(tmp_path: Path, sent: list[tuple[int, int]]) -> None:
    Clock.now = 100.0
    asked, pipe = stopper(tmp_path)
    assert asked.ask("stop", "rule X stopped the training", stuck=True)
    assert not asked.ask("finish", "another")
    assert messages(pipe) == [{"event": "stop", "success": False, "reason": "rule X stopped the training"}]
    Clock.now += actions.GRACE_STUCK_S - 1
    asked.look()
    assert sent == []
    Clock.now += 2
    asked.look()
    asked.look()
    assert sent == [(os.getppid(), signal.SIGTERM)]
    assert messages(pipe) == [{"event": "signal"}]
    Clock.now += actions.KILL_AFTER_S + 1
    asked.look()
    asked.look()
    assert sent[1:] == [(os.getppid(), signal.SIGKILL)]
    assert (tmp_path / "failure").read_text() == "ClientError: rule X stopped the training\n"


def test_a_process_that_has_heard_is_left_alone(tmp_path: Path, sent: list[tuple[int, int]]) -> None:
    Clock.now = 100.0
    asked, _ = stopper(tmp_path)
    asked.ask("finish", "rule X ended the training")
    # Its steps may be long.
    Clock.now += actions.GRACE_STUCK_S + 5
    asked.look()
    asked.obeyed()
    Clock.now += 10_000
    asked.look()
    assert sent == []
    assert not (tmp_path / "failure").exists()


def test_commands_never_hold_up_and_never_stay(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "COMMAND_LIMIT_S", 0.5)
    told: list[str] = []
    commands = Commands(told.append)
    begin = time.monotonic()
    commands.run("sleep 60 & sleep 60", "Overfit", 3, "it is so")
    commands.run('test "$KENNEL_RULE/$KENNEL_STEP/$KENNEL_FINDING" = "AllZero//so" && echo well', "AllZero", None, "so")
    assert time.monotonic() - begin < 5
    commands.wait(30)
    assert time.monotonic() - begin < 25
    assert not commands.look()
    assert capfd.readouterr().out == "well\n"
    assert told == [
        "Overfit: runs sleep 60 & sleep 60",
        'AllZero: runs test "$KENNEL_RULE/$KENNEL_STEP/$KENNEL_FINDING" = "AllZero//so" && echo well',
        "Overfit: its command was ended after 0.5 s",
    ]


def test_actions_in_words() -> None:
    assert [done(action) for action in ("report", "stop", "finish", "run:echo a")] == [
        None,
        "stopped the training as failed",
        "ended the training as completed",
        "ran the command echo a",
    ]


def test_lines_are_read_whole_and_the_end_is_noticed() -> None:
    read, write = os.pipe()
    inbox, ended = Inbox(read, os.getppid()), Inbox(read, os.getppid())
    os.write(write, b'{"event": "job"}\n{"event": "started"}\n{"event":')
    assert inbox.first() == {"event": "job"}
    assert inbox.read(0) == [{"event": "started"}]
    assert inbox.read(0.01) == []
    os.write(write, b' "end"}\n')
    assert inbox.read(1) == [{"event": "end"}]
    os.close(write)
    assert inbox.read(1) == []
    assert [inbox.closed, ended.first(), ended.closed] == [True, None, True]
    # A process whose parent is another one than at its start has lost it, though a pipe may still be held open.
    orphan = Inbox(os.pipe()[0], 1 if os.getppid() != 1 else 2)
    assert orphan.read(10) == []
    assert orphan.closed


def test_a_report_without_its_page_is_still_a_report(tmp_path: Path) -> None:
    assert finite({"a": [1.0, float("nan"), ("x", float("-inf"))]}) == {"a": [1.0, None, ["x", None]]}

    def fails(_document: object) -> bytes:
        raise ValueError("no such template")

    with pytest.raises(ValueError, match="no such template"):
        write_report(tmp_path / "r.json", tmp_path / "r.html", {"a": 1}, fails)
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": 1}
    assert not (tmp_path / "r.html").exists()


def test_a_monitor_that_takes_too_long_is_killed_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor" / "__init__.py").touch()
    (tmp_path / "monitor" / "__main__.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    monkeypatch.setattr(module, "LIMIT_S", 1.0)
    monkeypatch.chdir(tmp_path)
    monitor = MonitorProcess()
    monitor.start(MLPaths(tmp_path), Job(Hyperparameters(), {}))
    assert monitor.listen() is None
    monitor.end(completed=True, reason=None, cut_short=False)
    assert "did not end within 1 s and is killed" in capsys.readouterr().err
    monitor.end(completed=True, reason=None, cut_short=False)  # nothing more to do


def test_starting_is_light() -> None:
    """It comes before the libraries of training are imported."""

    code = "import sys, monitor.client; print(sorted({'torch', 'numpy', 'psutil', 'smdebug'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_the_monitor_imports_no_torch() -> None:
    code = "import sys, monitor.watch; sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
