"""The parts of a step, by a clock that the test turns; and by a GPU's events, played by a fake."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from contract.profiler import ProfilerSettings
from monitor.callbacks import PHASES, TrainState
from monitor.profiler.callback import CudaTimer, StepProfiler
from monitor.profiler.step_times import EPOCH_PHASES, STEP_PHASES, Anatomy, HostTimer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Play:
    """An anatomy, and phases that last as long as told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.rows: list[dict[str, Any]] = []
        self.anatomy = Anatomy(self.rows.append, HostTimer(self.clock), wall=lambda: 1000 + self.clock.now)
        self.observed: dict[str, float] = {}

    def phases(self, *phases: tuple[str, float], epoch: int = 1) -> None:
        for name, seconds in phases:
            self.anatomy.phase(name, epoch, self.observed)
            self.clock.now += seconds

    def step(self, number: int, *phases: tuple[str, float], recorded: bool = False) -> None:
        self.phases(*phases)
        self.anatomy.step_done(number, 1, recorded)


STEP = (
    *(("data", 0.5), ("copy", 0.125), ("hook", 0.25), ("forward", 2.0), ("hook", 0.25), ("backward", 4.0)),
    *(("optimizer", 1.0), ("hook", 0.5)),
)


def test_the_phases_are_the_loops() -> None:
    assert {*STEP_PHASES, *EPOCH_PHASES, "other"} == set(PHASES)


def test_a_step_by_hand() -> None:
    play = Play()
    play.step(0, *STEP)
    assert play.rows == []
    play.phases(("data", 3.0))
    # The hook is what its three parts are together; the step began at 100 on the clock, 1100 on the wall.
    assert play.rows == [
        {
            "step": 0, "epoch": 1, "t": 1100.0,
            "data": 0.5, "copy": 0.125, "forward": 2.0, "backward": 4.0, "optimizer": 1.0, "hook": 1.0,
        }
    ]  # fmt: skip
    play.phases(*STEP[1:])
    play.anatomy.step_done(1, 1, recorded=True)
    play.phases(("validation", 1.5))
    # Its data took 3 s, and it began where the first one ended: 100 + 8.625.
    assert play.rows[1]["data"] == 3.0
    assert play.rows[1]["t"] == 1108.625
    assert play.rows[1]["recorded"] is True
    assert "recorded" not in play.rows[0]


def test_what_observers_did_within_a_layer_is_theirs() -> None:
    play = Play()
    play.observed.update(forward=0.75, backward=9.0, other=1.0)
    play.step(0, *STEP)
    play.phases(("data", 0.5))
    (row,) = play.rows
    # 2 - 0.75; of the backward's 4 s no more than 4 can be taken; 1 + 0.75 + 4.
    assert (row["forward"], row["backward"], row["hook"]) == (1.25, 0.0, 5.75)
    assert sum(row[phase] for phase in STEP_PHASES) == 8.625
    assert play.observed == {}
    # The next step starts with none.
    play.phases(*STEP[1:])
    play.anatomy.step_done(1, 1, recorded=False)
    play.phases(("other", 0.0))
    assert play.rows[1]["forward"] == 2.0


def test_validation_and_checkpoint_are_rows_of_their_own() -> None:
    play = Play()
    play.step(0, *STEP)
    play.phases(("data", 0.25))  # the data are at their end: no step's time
    play.observed["validation"] = 0.5
    play.phases(("validation", 3.0), ("checkpoint", 0.125), ("hook", 7.0), epoch=4)
    play.phases(("data", 1.0), *STEP[1:], epoch=5)
    play.anatomy.step_done(1, 5, recorded=False)
    play.phases(("other", 0.0))
    assert [(row.get("phase"), row["epoch"]) for row in play.rows] == [
        *((None, 1), ("validation", 4), ("checkpoint", 4), (None, 5))
    ]
    # Validation began 8.625 s of the step and 0.25 s of no data after 1100; what observers did in it is not its own.
    assert play.rows[1] == {"mode": "EVAL", "epoch": 4, "t": 1108.875, "seconds": 2.5, "phase": "validation"}
    assert play.rows[2]["seconds"] == 0.125
    # The observers' time between epochs is no step's.
    assert play.rows[3]["data"] == 1.0
    assert play.rows[3]["t"] == 1108.875 + 3 + 0.125 + 7


def test_a_step_that_fails_leaves_no_row() -> None:
    play = Play()
    play.phases(("data", 1.0), ("copy", 1.0), ("forward", 1.0), ("other", 1.0))
    assert play.rows == []
    # An observer that wants the end after the first step.
    play.step(0, *STEP)
    play.phases(("validation", 1.0), ("checkpoint", 1.0), ("hook", 0.0), ("other", 0.0))
    assert [row.get("phase") for row in play.rows] == [None, "validation", "checkpoint"]


class Gpu:
    """A queue of work, and torch.cuda.Event on it: an event is reached when the work before it is done."""

    def __init__(self) -> None:
        self.queued = 0.0  # seconds of work before the next event
        self.done = 0.0  # of them, what the GPU has worked off
        self.made = self.waits = 0
        gpu = self

        class Event:
            def __init__(self, enable_timing: bool) -> None:
                assert enable_timing
                gpu.made += 1
                self.at: float | None = None

            def record(self) -> None:
                self.at = gpu.queued

            def query(self) -> bool:
                assert self.at is not None
                return self.at <= gpu.done

            def synchronize(self) -> None:
                assert self.at is not None
                gpu.waits += 1
                gpu.done = max(gpu.done, self.at)

            def elapsed_time(self, other: "Event") -> float:
                assert self.query()
                assert other.query()
                assert self.at is not None
                assert other.at is not None
                return 1000 * (other.at - self.at)

        self.event = Event


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    fake = Gpu()
    monkeypatch.setattr(torch.cuda, "Event", fake.event)
    return fake


def test_a_gpus_times_are_its_own_and_nobody_waits(gpu: Gpu) -> None:
    rows: list[dict[str, Any]] = []
    anatomy = Anatomy(rows.append, CudaTimer())
    seen = []
    for number in range(6):
        # The host queues work and is through at once; the GPU is as far as the step before.
        reached = gpu.queued
        for name, seconds in STEP:
            anatomy.phase(name, 1, {})
            gpu.queued += seconds * (number + 1)
        anatomy.step_done(number, 1, recorded=False)
        gpu.done = reached
        seen.append(len(rows))
    assert gpu.waits == 0
    # A row comes when the GPU has reached the end of its step, which the next `data` looks for.
    assert seen == [0, 0, 1, 2, 3, 4]
    anatomy.phase("other", 1, {})
    anatomy.finish()
    assert gpu.waits == 1
    assert [row["step"] for row in rows] == list(range(6))
    for number, row in enumerate(rows):
        assert row["forward"] == pytest.approx(2.0 * (number + 1))
        assert row["hook"] == pytest.approx(1.0 * (number + 1))
        assert sum(row[phase] for phase in STEP_PHASES) == pytest.approx(8.625 * (number + 1))
    # Events are used again: those of two or three steps are enough for any number.
    assert gpu.made <= 3 * (len(STEP) + 1)


@pytest.fixture
def state() -> TrainState:
    network = torch.nn.Linear(2, 2)
    return TrainState(network, torch.optim.SGD(network.parameters(), lr=0.1), epochs=2, steps_per_epoch=3)


def test_the_device_chooses_the_timer(tmp_path: Path, gpu: Gpu, state: TrainState) -> None:
    for name, events in (("cpu", 0), ("cuda", 2)):
        device: Any = SimpleNamespace(type=name)
        profiler = StepProfiler(ProfilerSettings(tmp_path, 500, "none"), {}, device)
        profiler.on_phase("data")  # before the start: nothing to do
        profiler.on_train_start(state)
        profiler.on_phase("data")
        profiler.on_phase("copy")
        assert gpu.made == events
        profiler.on_train_end(state)


def test_rows_wait_for_two_seconds(tmp_path: Path, state: TrainState, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("monitor.profiler.callback.time.monotonic", clock)
    profiler = StepProfiler(ProfilerSettings(tmp_path, 500, "none"), {"workers": 0}, torch.device("cpu"))
    profiler.on_train_start(state)
    sizes = []
    for _ in range(3):
        for name, _ in STEP:
            profiler.on_phase(name)
        state.step += 1
        profiler.on_batch_end(state)
        profiler.on_phase("data")
        sizes.append(len((tmp_path / "steps.jsonl").read_text().splitlines()))
        clock.now += 1.0
    assert sizes == [0, 0, 3]
    profiler.on_train_end(state)
    assert (tmp_path / "steps.jsonl").read_text().count("\n") == 3
