"""The lock of a file or folder: one holder at a time, freed by a kill, and none where the file system has none."""

import errno
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.files import locked

TIMEOUT_S = 60


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def compute(folder: Path, wait_for: Path | None) -> None:
    """Notes, under the lock, whether somebody else has computed it already; if not, it takes its time."""
    file = folder / "features"
    with locked(file):
        found = file.exists()
        if not found:
            (folder / "computing").touch()
            until(lambda: wait_for is None or wait_for.exists())
            file.write_text("computed")
        (folder / f"done-{os.getpid()}-{'found' if found else 'computed'}").touch()


def test_one_computes_and_the_others_find(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    go = tmp_path / "go"
    processes = [context.Process(target=compute, args=(tmp_path, go)) for _ in range(3)]
    for process in processes:
        process.start()
    until((tmp_path / "computing").exists)
    go.touch()
    for process in processes:
        process.join(TIMEOUT_S)
    outcomes = sorted(file.name.rpartition("-")[2] for file in tmp_path.glob("done-*"))
    assert outcomes == ["computed", "found", "found"]
    assert not list(tmp_path.glob(".*"))


def test_who_is_killed_holds_nobody_up(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    first = context.Process(target=compute, args=(tmp_path, tmp_path / "never"))
    first.start()
    until((tmp_path / "computing").exists)
    first.kill()
    first.join(TIMEOUT_S)
    compute(tmp_path, None)
    assert [file.name for file in tmp_path.glob("done-*")] == [f"done-{os.getpid()}-computed"]


def test_no_two_threads_hold_it_though_the_lock_file_comes_and_goes(tmp_path: Path) -> None:
    file, holders, most = tmp_path / "count", [0], [0]

    def hold() -> None:
        for _ in range(50):
            with locked(file):
                holders[0] += 1
                most[0] = max(most[0], holders[0])
                time.sleep(0.0002)
                holders[0] -= 1

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_without_waiting_a_held_lock_is_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "results"
    if kind == "folder":
        path.mkdir()
    with locked(path):
        with pytest.raises(BlockingIOError), locked(path, wait=False):
            pytest.fail("held twice")
        # A folder is locked itself: no file lies beside it or in it.
        assert len(list(tmp_path.rglob("*"))) == 1
    with locked(path, wait=False):
        pass
    assert [each.name for each in tmp_path.iterdir()] == (["results"] if kind == "folder" else [])


def test_a_process_forked_in_the_block_does_not_keep_the_lock(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with locked(tmp_path):
        child = os.fork()
        if child == 0:  # pragma: no cover
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    try:
        with locked(tmp_path, wait=False):
            pass
    finally:
        os.close(writing)
        os.waitpid(child, 0)
        os.close(reading)


def test_where_no_lock_can_be_had_the_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with locked(tmp_path / "file" / "features"):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["file"]

    def refuse(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("contract.files.fcntl.flock", refuse)
    opened: list[int] = []
    real = os.open

    def open_noted(path: Path, flags: int, mode: int = 0o777) -> int:
        opened.append(real(path, flags, mode))
        return opened[-1]

    monkeypatch.setattr(os, "open", open_noted)
    with locked(tmp_path / "features"), pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(opened[0])
