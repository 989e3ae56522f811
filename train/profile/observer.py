"""Watches training: how long each part of a step takes, when its stages began, and a few steps' operators."""

import time
from collections.abc import Mapping
from typing import Any, Final

import psutil
import torch

from contract.files import write_json
from contract.profiler import ProfilerSettings
from train.callbacks import Callback, TrainState
from train.profile.anatomy import Anatomy, HostTimer, Timer
from train.profile.operators import OperatorRecorder
from train.profile.rows import Rows

STEPS: Final = "steps.jsonl"
STAGES: Final = "stages.jsonl"
CONFIG: Final = "config.json"
_FLUSH_S: Final = 2.0


class StepProfiler(Callback):
    """Writes steps.jsonl, stages.jsonl and config.json while training runs, operators.json and the trace after their
    steps.

    config: what config.json holds. began: seconds since the epoch, where the process did something else before.
    On a GPU the times are the device's own: from the moment it comes to one phase to the moment it comes to the next,
    so that waiting for data shows when the GPU does wait. No step waits for them.
    """

    def __init__(
        self, settings: ProfilerSettings, config: Mapping[str, Any], device: torch.device, began: float | None = None
    ) -> None:
        self._settings = settings
        self._config = config
        self._device = device
        self._began = began
        self._state: TrainState | None = None

    def on_train_start(self, state: TrainState) -> None:
        folder = self._settings.folder
        self._steps, self._stages = Rows(folder / STEPS), Rows(folder / STAGES)
        self._flushed = time.monotonic()
        write_json(folder / CONFIG, dict(self._config), durable=False)
        self._stage("initialization", self._began or psutil.Process().create_time())
        self._stage("training", time.time())
        timer: Timer = CudaTimer() if self._device.type == "cuda" else HostTimer()
        self._anatomy = Anatomy(self._write, timer)
        window = self._settings.window(state.epochs * state.steps_per_epoch)
        self._recorder = OperatorRecorder(folder, window, self._device.type)
        self._state = state

    def on_phase(self, phase: str) -> None:
        state = self._state
        if state is None:
            return
        self._anatomy.phase(phase, state.epoch, state.observed)
        # At the end of an epoch there is a wait for data that brings none.
        comes = phase == "data" and state.step < state.epoch * state.steps_per_epoch
        if self._recorder.phase(phase, state.step if comes else None):
            # Its start and its end take time that is no step's.
            self._anatomy.restart()
            self._anatomy.phase(phase, state.epoch, state.observed)

    def on_batch_end(self, state: TrainState) -> None:
        self._anatomy.step_done(state.step - 1, state.epoch, self._recorder.step_done())

    def on_train_end(self, _state: TrainState) -> None:
        if self._state is None:
            return
        self._state = None
        self._anatomy.finish()
        self._steps.close()
        self._stage("finalization", time.time())
        self._stages.close()

    def _stage(self, name: str, when: float) -> None:
        self._stages.add({"stage": name, "t": round(when, 3)})
        self._stages.flush()

    def _write(self, row: dict[str, Any]) -> None:
        self._steps.add(row)
        now = time.monotonic()
        if now - self._flushed >= _FLUSH_S:
            self._steps.flush()
            self._flushed = now


class CudaTimer:
    """Events in the GPU's own queue of work: recording one takes microseconds, and no answer is waited for."""

    def __init__(self) -> None:
        self._free: list[torch.cuda.Event] = []

    def mark(self) -> torch.cuda.Event:
        event = self._free.pop() if self._free else torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def ready(self, mark: torch.cuda.Event) -> bool:
        return bool(mark.query())  # type: ignore[no-untyped-call]

    def seconds(self, first: torch.cuda.Event, second: torch.cuda.Event) -> float:
        return float(first.elapsed_time(second)) / 1000

    def settle(self, mark: torch.cuda.Event) -> None:
        mark.synchronize()

    def reuse(self, marks: list[torch.cuda.Event]) -> None:
        self._free += marks
