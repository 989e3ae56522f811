"""Worker processes: their share of the machine, how they end, that none is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from contract.errors import DataError, UserError
from tests.train.support import REPOSITORY, TIMEOUT_S
from train.search import workers
from train.search.workers import NoWorkerError, Slot, WorkerPool, slots_of

PLAIN = Slot({}, 1)


def on_machine(monkeypatch: pytest.MonkeyPatch, cores: int, quota: int | None = None) -> None:
    monkeypatch.setattr(workers, "_cores", lambda: list(range(cores)))
    monkeypatch.setattr(workers, "available_cpus", lambda: quota or cores)


def test_on_the_cpu_one_worker_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    on_machine(monkeypatch, 8)
    assert slots_of(0, 0, {}) == (Slot({"OMP_NUM_THREADS": "8"}, 8, tuple(range(8))),)
    three = slots_of(3, 0, {})
    # 8 // 3 = 2 cores each; two stay free.
    assert [slot.cores for slot in three] == [(0, 1), (2, 3), (4, 5)]
    assert {slot.threads for slot in three} == {2}
    assert {slot.environ["OMP_NUM_THREADS"] for slot in three} == {"2"}
    assert not any("CUDA_VISIBLE_DEVICES" in slot.environ for slot in three)


def test_more_workers_than_cores_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    on_machine(monkeypatch, 2)
    assert [(slot.threads, slot.cores) for slot in slots_of(3, 0, {})] == [(1, ())] * 3


def test_a_limit_on_cpu_time_says_how_many_cores_but_not_which(monkeypatch: pytest.MonkeyPatch) -> None:
    on_machine(monkeypatch, 64, quota=4)
    assert [(slot.threads, slot.cores) for slot in slots_of(2, 0, {})] == [(2, ())] * 2


@pytest.mark.parametrize(
    ("wanted", "gpus", "visible", "expected"),
    [
        (0, 4, None, ["0", "1", "2", "3"]),
        (2, 4, None, ["0", "1"]),
        (4, 2, None, ["0", "1", "0", "1"]),
        (0, 2, "3, 5", ["3", "5"]),
        (0, 2, "GPU-8f,MIG-1/2/0", ["GPU-8f", "MIG-1/2/0"]),
        # CUDA takes none after the first that it doesn't know, so that torch sees two here.
        (0, 2, "1,0,-1,2", ["1", "0"]),
        (0, 2, "", ["0", "1"]),
    ],
)
def test_each_worker_has_its_gpu(
    monkeypatch: pytest.MonkeyPatch, wanted: int, gpus: int, visible: str | None, expected: list[str]
) -> None:
    on_machine(monkeypatch, 8)
    slots = slots_of(wanted, gpus, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    assert [slot.environ["CUDA_VISIBLE_DEVICES"] for slot in slots] == expected
    assert {slot.threads for slot in slots} == {8 // len(expected)}


@dataclass(frozen=True)
class Tell:
    """Work that writes what it sees, and then ends as its number says."""

    folder: Path
    ends: tuple[str, ...]

    def __call__(self, crew: str, number: int, slot: Slot) -> None:
        seen = {
            "pid": os.getpid(),
            "crew": crew,
            "cores": sorted(os.sched_getaffinity(0)),
            "environ": {name: os.environ.get(name) for name in slot.environ},
        }
        (self.folder / f"{number}.part").write_text(json.dumps(seen))
        (self.folder / f"{number}.part").rename(self.folder / f"{number}.json")
        match self.ends[number - 1]:
            case "well":
                return
            case "user":
                raise DataError("photo.jpg is gone; put it back")
            case "bug":
                raise KeyError("nowhere")
            case "full":
                raise OSError(28, "No space left on device", "x")
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stubborn":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (self.folder / f"{number}.up").touch()
        while True:
            signal.pause()


def until(done: Callable[[], bool]) -> None:
    give_up = time.monotonic() + TIMEOUT_S
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether it runs; a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_of(folder: Path, number: int) -> int:
    return int(json.loads((folder / f"{number}.json").read_text())["pid"])


@pytest.mark.long
class TestEnds:
    """One crew whose workers end in every way."""

    ENDS = ("well", "user", "bug", "full", "killed", "wait", "stubborn")

    folder: Path
    crew: WorkerPool
    reasons: dict[int, str]
    left: set[int]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def ended(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.folder, cls.reasons = tmp_path_factory.mktemp("crew"), {}
        core = min(os.sched_getaffinity(0))
        slots = [Slot({"KENNEL_TEST_SLOT": str(number)}, 1, (core,)) for number in range(len(cls.ENDS))]
        cls.crew = WorkerPool("algo-1", tuple(slots), Tell(cls.folder, cls.ENDS))
        with cls.crew:
            while cls.crew.size > 2:
                cls.reasons |= cls.crew.wait(1)
            until(lambda: all((cls.folder / f"{number}.up").exists() for number in (6, 7)))
            assert alive(pid_of(cls.folder, 6))
        cls.left = {number for number in range(1, 8) if alive(pid_of(cls.folder, number))}

    def test_each_has_its_place(self) -> None:
        for number in range(1, 8):
            seen = json.loads((self.folder / f"{number}.json").read_text())
            assert seen["environ"] == {"KENNEL_TEST_SLOT": str(number - 1)}
            assert seen["cores"] == [min(os.sched_getaffinity(0))]
            assert seen["crew"] == self.crew.name
        assert "KENNEL_TEST_SLOT" not in os.environ
        assert self.crew.name.startswith("algo-1:")

    def test_why_each_has_ended(self) -> None:
        memory = "if the machine was out of memory, lower tune_parallel"
        assert self.reasons == {
            2: "photo.jpg is gone; put it back",
            3: "worker process 3 ended with exit code 1; the log has its traceback",
            4: "the disk is full (x); give the job a larger volume",
            5: f"worker process 5 was killed by signal 9 (Killed); {memory}",
        }
        assert self.crew.served

    def test_none_is_left(self) -> None:
        assert self.left == set()
        assert self.crew.size == 0


@pytest.mark.parametrize(
    ("ends", "kind", "words"),
    [
        ("user", NoWorkerError, "photo.jpg is gone; put it back"),
        ("killed", NoWorkerError, "worker process 1 was killed by signal 9 (Killed); if the machine was out of "),
        ("bug", RuntimeError, "worker process 1 ended with exit code 1; the log has its traceback"),
    ],
)
def test_when_none_is_left_it_is_said_whose_fault(tmp_path: Path, ends: str, kind: type[Exception], words: str) -> None:
    with WorkerPool("algo-1", (PLAIN,), Tell(tmp_path, (ends,))) as crew:
        while crew.size:
            crew.wait(5)
    gone = crew.gone()
    assert type(gone) is kind
    assert isinstance(gone, UserError) == (kind is NoWorkerError)
    assert str(gone).startswith(f"no worker process is left, and the search is not over: {words}")


# A crew in a process of its own, which is then ended.
LEADER = """
import sys
from pathlib import Path
from tests.train.test_tuning_workers import PLAIN, Tell
from train.search.workers import WorkerPool
if __name__ == "__main__":
    with WorkerPool("algo-1", (PLAIN, PLAIN), Tell(Path(sys.argv[1]), ("wait", "stubborn"))) as crew:
        crew.wait(100)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.long
def test_no_worker_outlives_its_leader(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "leader.py").write_text(LEADER)
    leader = subprocess.Popen(
        [sys.executable, str(tmp_path / "leader.py"), str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with leader:
        until(lambda: all((tmp_path / f"{each}.up").exists() for each in (1, 2)))
        pids = [pid_of(tmp_path, each) for each in (1, 2)]
        assert all(alive(pid) for pid in pids)
        if number == signal.SIGINT:
            # As at a terminal: to all processes of the group. The workers leave it to the leader.
            os.killpg(leader.pid, number)
        else:
            leader.send_signal(number)
        _, err = leader.communicate(timeout=TIMEOUT_S)
    until(lambda: not any(alive(pid) for pid in pids))
    assert err.count(b"Traceback") == (1 if number == signal.SIGINT else 0)
