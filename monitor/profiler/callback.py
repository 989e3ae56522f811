"""Watches training: how long each part of a step takes, when its stages began, and a few steps' operators.

Operators come from torch.profiler: its Chrome trace, trimmed, and a table of the most expensive ones.
"""

import contextlib
import gzip
import json
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from contract.files import write_atomic, write_json
from contract.profiler import ProfilerSettings
from model._compiler import starting_a_profiler
from monitor.callbacks import Callback, TrainState
from monitor.profiler.reader import Rows
from monitor.profiler.step_times import Anatomy, HostTimer, Timer

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


OPERATORS: Final = "operators.json"
TRACE: Final = "trace.json.gz"
MOST_STEPS: Final = 20  # a step of a ResNet has some 5,000 events, and all are in memory at the end


class OperatorRecorder:
    """Records the steps of `window`, MOST_STEPS at most, and no further than to the end of their epoch.

    device: cpu or cuda. An error ends the recording, loudly, and nothing else.
    """

    def __init__(self, folder: Path, window: range, device: str) -> None:
        self._folder = folder
        self._window = window[:MOST_STEPS]
        self._device = device
        self._profile: Any = None
        self._spans: list[Any] = []  # annotations that are open: the step, and its phase
        self._first = self._count = 0
        for name in (OPERATORS, TRACE):
            (folder / name).unlink(missing_ok=True)

    def phase(self, phase: str, step: int | None) -> bool:
        """A phase begins; step: the one that begins with it, if any does. Whether that started or ended recording."""
        recording = self._profile is not None
        if not recording and (step is None or step != self._window.start or not self._window):
            return False
        try:
            if not recording:
                self._start(step or 0)
            elif (phase == "data" and step not in self._window) or phase in ("validation", "other"):
                self._finish()
            self._annotate(phase, step)
        except Exception as error:  # noqa: BLE001 - a table may not end training, nor the timing of its steps
            self._give_up()
            print(f"WARNING: operators are not recorded ({type(error).__name__}: {error})", file=sys.stderr)
        return recording != (self._profile is not None)

    def step_done(self) -> bool:
        """Whether the step that ends was recorded."""
        if self._profile is None:
            return False
        self._count += 1
        return True

    def _start(self, step: int) -> None:
        # Kineto prints each start and stop on stderr, at a level above errors.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        cuda = [ProfilerActivity.CUDA] if self._device == "cuda" else []
        recorder = profile(activities=[ProfilerActivity.CPU, *cuda])
        with starting_a_profiler():
            recorder.start()
        self._profile, self._first = recorder, step

    def _annotate(self, phase: str, step: int | None) -> None:
        names = [] if step is None else [f"ProfilerStep#{step}"]  # the name that readers of traces look for
        while self._spans and (names or len(self._spans) > 1 or self._profile is None):
            self._spans.pop().__exit__(None, None, None)
        if self._profile is not None:
            for name in (*names, phase):
                span = record_function(name)
                span.__enter__()  # type: ignore[no-untyped-call]
                self._spans.append(span)

    def _finish(self) -> None:
        recorder, self._profile = self._profile, None
        self._window = range(0)
        self._annotate("", None)
        recorder.stop()
        if self._count:
            self._write(recorder)

    def _give_up(self) -> None:
        recorder, self._profile, self._window, self._spans = self._profile, None, range(0), []
        if recorder is not None:
            with contextlib.suppress(Exception):
                recorder.stop()

    def _write(self, recorder: Any) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".trace-") as folder:
            file = Path(folder) / "trace.json"
            recorder.export_chrome_trace(str(file))
            trace = json.loads(file.read_bytes())
        events = trace["traceEvents"]
        table = {"first": self._first, "count": self._count, "device": self._device, **operator_rows(events)}
        kept = bounded(events, MOST_EVENTS)
        facts = {key: trace[key] for key in ("schemaVersion", "deviceProperties", "displayTimeUnit") if key in trace}
        text = json.dumps({**facts, "traceEvents": without_paths(kept)}, separators=(",", ":"))
        write_atomic(self._folder / TRACE, gzip.compress(text.encode(), compresslevel=5, mtime=0), durable=False)
        write_json(self._folder / OPERATORS, {**table, "events": len(events), "trace_events": len(kept)}, durable=False)


MOST_EVENTS: Final = 200_000  # about 5 MB packed
MOST_ROWS: Final = 30
_CPU: Final = ("cpu_op",)
_GPU: Final = ("kernel", "gpu_memcpy", "gpu_memset")
_PATH: Final = re.compile(r"(?<![\w/.])/(?:[^/\s\"':;,()<>]+/)+")

Event = Mapping[str, Any]


def operator_rows(events: Sequence[Event]) -> dict[str, list[dict[str, Any]]]:
    """The most expensive operators, by their own time: `cpu` and `gpu`, each with name, calls, self_us (without the
    operators it calls), total_us (with them; once where an operator calls itself) and share of all operators' own time.
    """
    return {"cpu": _table(_of(events, _CPU)), "gpu": _table(_of(events, _GPU))}


def _of(events: Sequence[Event], categories: tuple[str, ...]) -> list[Event]:
    return [each for each in events if each.get("ph") == "X" and each.get("cat") in categories]


def _table(events: list[Event]) -> list[dict[str, Any]]:
    calls: dict[str, int] = defaultdict(int)
    own: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    open_: dict[Any, list[tuple[str, float]]] = defaultdict(list)  # by thread: (name, end) of what runs
    # Of two that begin at once the longer one calls the other.
    for event in sorted(events, key=lambda each: (each["ts"], -each["dur"])):
        name, start, took = event["name"], event["ts"], event["dur"]
        running = open_[event.get("pid"), event.get("tid")]
        while running and running[-1][1] <= start:
            running.pop()
        # An operator that hands over to another of its name is one call, as in torch's own table.
        if not running or running[-1][0] != name:
            calls[name] += 1
            own[name] += took
            if running:
                own[running[-1][0]] -= took
        if all(each != name for each, _ in running):
            total[name] += took
        running.append((name, start + took))
    whole = sum(own.values())
    names = sorted(own, key=lambda name: (-own[name], name))[:MOST_ROWS]
    return [
        {
            "name": name,
            "calls": calls[name],
            "self_us": round(max(0.0, own[name]), 1),
            "total_us": round(total[name], 1),
            "share": round(max(0.0, own[name]) / whole, 5) if whole else 0.0,
        }
        for name in names
    ]


def bounded(events: Sequence[Event], most: int) -> list[Event]:
    """At most `most` events, in order: marks and arrows are left out first, then the shortest spans."""
    if len(events) <= most:
        return list(events)
    spans = sorted((each["dur"] for each in events if each.get("ph") == "X"), reverse=True)
    names = [each for each in events if each.get("ph") == "M"]
    room = max(0, most - len(names))
    least = spans[room] if room < len(spans) else -1.0
    kept = [each for each in events if each.get("ph") == "M" or (each.get("ph") == "X" and each["dur"] > least)]
    return kept[:most]


def without_paths(value: Any) -> Any:
    """The same with every absolute path cut to its last part: a trace is shown to others."""
    match value:
        case str():
            return _PATH.sub("", value) if "/" in value else value
        case dict():
            return {key: without_paths(each) for key, each in value.items()}
        case list():
            return [without_paths(each) for each in value]
        case _:
            return value
