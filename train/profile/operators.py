"""torch.profiler over a few training steps: its Chrome trace, and a table of the most expensive operators."""

import contextlib
import gzip
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from torch.profiler import ProfilerActivity, profile, record_function

from contract.files import write_atomic, write_json
from model._compiler import starting_a_profiler
from train.profile.trace import MOST_EVENTS, bounded, operator_rows, without_paths

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
        # Kineto tells each start and stop on stderr, at a level above errors.
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
