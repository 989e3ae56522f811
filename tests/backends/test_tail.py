"""A log that grows, and cancellations by signals."""

import os
import signal
from pathlib import Path

import pytest

from backends.cancel import CancelOnSignals
from backends.child import tail
from backends.errors import BackendError


def test_lines_are_said_whole_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.child._POLL_S", 0)
    file, said = tmp_path / "log.txt", list[str]()
    file.write_text("one\nhal")
    parts = iter(["f\ntwo\n", "last words"])

    def goes_on() -> bool:
        part = next(parts, None)
        if part is None:
            return False
        with file.open("a") as opened:
            opened.write(part)
        return True

    tail(file, goes_on, said.append)
    assert said == ["one", "half", "two", "last words"]


def test_a_log_as_it_is(tmp_path: Path) -> None:
    file, said = tmp_path / "log.txt", list[str]()
    file.write_bytes(b"one\n\n\xff\n")
    tail(file, None, said.append)
    assert said == ["one", "", "\ufffd"]
    with pytest.raises(BackendError, match=r"^there is no log \S+none.txt yet$"):
        tail(tmp_path / "none.txt", None, said.append)


def test_a_second_signal_forces_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    with CancelOnSignals() as cancel:
        seen = []
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            seen.append((cancel.requested, cancel.forced))
    assert seen == [(True, False), (True, True)]
    assert capfd.readouterr().err == "stopping ...\n"
