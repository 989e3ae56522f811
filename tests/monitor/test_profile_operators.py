"""The table of operators: by hand from a trace, and of a network whose operators are known; the trace itself."""

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from contract.profiler import ProfilerSettings
from monitor.callbacks import Callbacks, TrainState
from monitor.profiler import callback
from monitor.profiler.callback import MOST_ROWS, OperatorRecorder, StepProfiler, bounded, operator_rows, without_paths


def span(name: str, ts: float, dur: float, cat: str = "cpu_op", tid: int = 1) -> dict[str, Any]:
    return {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": tid, "ts": ts, "dur": dur}


def test_own_and_total_time_by_hand() -> None:
    events = [
        # linear (0 to 100) calls t (10 to 30) and addmm (30 to 90), which calls copy_ (40 to 50).
        span("copy_", 40, 10),
        span("linear", 0, 100),
        span("addmm", 30, 60),
        span("t", 10, 20),
        # Another thread's is not called by it.
        span("relu", 20, 50, tid=2),
        # An operator that hands over to another of its name: one call of 40 in all.
        span("sum", 200, 40),
        span("sum", 210, 15),
        span("forward", 0, 500, cat="user_annotation"),
        span("sgemm", 60, 30, cat="kernel", tid=7),
        span("sgemm", 100, 40, cat="kernel", tid=7),
        span("Memcpy HtoD", 10, 30, cat="gpu_memcpy", tid=7),
        {"ph": "M", "name": "process_name", "ts": 0, "pid": 1, "tid": 0},
    ]
    rows = operator_rows(events)
    # 190 us of CPU operators in all: linear's 100, relu's 50, sum's 40.
    assert [(row["name"], row["calls"], row["self_us"], row["total_us"]) for row in rows["cpu"]] == [
        *(("addmm", 1, 50.0, 60.0), ("relu", 1, 50.0, 50.0), ("sum", 1, 40.0, 40.0), ("linear", 1, 20.0, 100.0)),
        *(("t", 1, 20.0, 20.0), ("copy_", 1, 10.0, 10.0)),
    ]
    assert [row["share"] for row in rows["cpu"]] == [round(value / 190, 5) for value in (50, 50, 40, 20, 20, 10)]
    assert [tuple(row.values()) for row in rows["gpu"]] == [
        ("sgemm", 2, 70.0, 70.0, 0.7),
        ("Memcpy HtoD", 1, 30.0, 30.0, 0.3),
    ]
    assert operator_rows([]) == {"cpu": [], "gpu": []}


def test_the_thirty_most_expensive() -> None:
    rows = operator_rows([span(f"op{number}", 100 * number, number + 1) for number in range(50)])["cpu"]
    assert MOST_ROWS == 30
    assert [row["name"] for row in rows] == [f"op{number}" for number in range(49, 19, -1)]
    # Shares are of all fifty: 1 + 2 + ... + 50 = 1275.
    assert rows[0]["share"] == round(50 / 1275, 5)


def test_a_trace_that_is_too_long_loses_its_shortest_spans() -> None:
    names = [{"ph": "M", "name": "thread_name", "args": {"name": str(number)}} for number in range(2)]
    arrows = [{"ph": "s", "name": "fwdbwd", "ts": number} for number in range(4)]
    spans = [span(f"op{number}", number, number) for number in range(10)]
    events = [*spans[:5], *names, *arrows, *spans[5:]]
    assert bounded(events, 16) == events
    # Two names and the five longest spans, in their order.
    assert bounded(events, 7) == [*names, *spans[5:]]
    assert bounded([span("op", 0, 1)] * 9, 4) == []  # equal ones go together


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/someone/job/train/loop.py", "loop.py"),
        ('File "/opt/ml/code/x.py", line 3', 'File "x.py", line 3'),
        ("aten::linear", "aten::linear"),
        ("void at::native::f<float>(int, a/b)", "void at::native::f<float>(int, a/b)"),
        ("3 /4", "3 /4"),
    ],
)
def test_no_path_of_the_machine(text: str, left: str) -> None:
    assert without_paths({"args": [text, 3, None]}) == {"args": [left, 3, None]}


def tiny() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))


class Job:
    """A training of `tiny` in the loop's order of events, as many epochs of as many steps as told."""

    def __init__(self, folder: Path, steps: str, epochs: int = 2, steps_per_epoch: int = 6) -> None:
        self.network = tiny()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1)
        self.state = TrainState(self.network, self.optimizer, epochs, steps_per_epoch)
        self.profiler = StepProfiler(ProfilerSettings(folder, 500, steps), {}, torch.device("cpu"))
        self.callbacks = Callbacks([self.profiler])

    def train(self) -> None:
        on = self.callbacks
        on.train_start(self.state)
        for epoch in range(1, self.state.epochs + 1):
            self.state.epoch = epoch
            on.phase("data")
            for _ in range(self.state.steps_per_epoch):
                on.phase("copy")
                on.phase("forward")
                loss = self.network(torch.ones(4, 6)).sum()
                on.phase("backward")
                loss.backward()
                on.phase("optimizer")
                self.optimizer.step()
                self.state.step += 1
                on.phase("hook")
                on.batch_end(self.state)
                on.phase("data")
            on.phase("validation")
            self.network(torch.ones(4, 6))
            on.phase("checkpoint")
            on.phase("hook")
        on.phase("other")
        on.train_end(self.state)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[int]]:
    """operators.json, the trace and the numbers of the recorded steps."""
    rows = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    recorded = [row["step"] for row in rows if row.get("recorded")]
    assert all("step" in row for row in rows if row.get("recorded"))
    table = json.loads((folder / "operators.json").read_text())
    return table, json.loads(gzip.decompress((folder / "trace.json.gz").read_bytes())), recorded


def test_the_operators_of_a_known_network(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    threads = threading.active_count()
    Job(tmp_path, "2:3").train()
    table, trace, recorded = read(tmp_path)
    assert recorded == [2, 3, 4]
    assert (table["first"], table["count"], table["device"]) == (2, 3, "cpu")
    assert table["gpu"] == []
    calls = {row["name"]: row["calls"] for row in table["cpu"]}
    # Two linear layers and one ReLU a step, three steps.
    assert (calls["aten::addmm"], calls["aten::linear"], calls["aten::relu"]) == (6, 6, 3)
    shares = [row["share"] for row in table["cpu"]]
    assert shares == sorted(shares, reverse=True)
    assert 0.5 < sum(shares) <= 1.0001
    assert all(row["total_us"] >= row["self_us"] >= 0 for row in table["cpu"])
    names = [event["name"] for event in trace["traceEvents"] if event.get("cat") == "user_annotation"]
    for name in ("ProfilerStep#2", "ProfilerStep#3", "ProfilerStep#4"):
        assert names.count(name) == 1
    for phase in ("data", "copy", "forward", "backward", "optimizer", "hook"):
        assert names.count(phase) == 3, phase
    assert table["events"] == table["trace_events"] == len(trace["traceEvents"])
    assert str(tmp_path) not in json.dumps(trace)
    assert "traceName" not in trace
    assert "host_name" not in trace
    # Nothing stays behind, and nothing is said.
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *("config.json", "operators.json", "stages.jsonl", "steps.jsonl", "trace.json.gz")
    ]
    assert capfd.readouterr() == ("", "")
    assert threading.active_count() == threads


def test_a_second_opinion_on_the_table(tmp_path: Path) -> None:
    network = tiny()
    with profile(activities=[ProfilerActivity.CPU]) as recorder:
        for _ in range(3):
            network(torch.ones(4, 6)).sum().backward()
    recorder.export_chrome_trace(str(tmp_path / "trace.json"))
    ours = operator_rows(json.loads((tmp_path / "trace.json").read_text())["traceEvents"])["cpu"]
    theirs = {each.key: each for each in recorder.key_averages()}
    assert len(ours) >= 15
    for row in ours:
        other = theirs[row["name"]]
        assert row["calls"] == other.count
        # torch rounds each event's start and end to nanoseconds on the way.
        assert row["self_us"] == pytest.approx(other.self_cpu_time_total, abs=0.02 * row["calls"] + 0.1)


@pytest.mark.parametrize(
    ("steps", "recorded"),
    [
        ("0:1", [0]),
        ("6:2", [6, 7]),  # the first of the second epoch: not the empty wait for data at the end of the first
        ("4:5", [4, 5]),  # no further than to the end of the epoch
        ("11:4", [11]),
        ("auto", [1]),  # 12 steps are too few for 10 to 12
        ("none", []),
        ("12:1", []),
    ],
)
def test_the_steps_that_are_recorded(tmp_path: Path, steps: str, recorded: list[int]) -> None:
    (tmp_path / "operators.json").write_text("of an earlier run")
    Job(tmp_path, steps).train()
    if recorded:
        table, trace, found = read(tmp_path)
        assert found == recorded
        assert (table["first"], table["count"]) == (recorded[0], len(recorded))
        spans = [event for event in trace["traceEvents"] if event["name"].startswith("ProfilerStep#")]
        assert [event["name"] for event in spans] == [f"ProfilerStep#{number}" for number in recorded]
    else:
        assert not (tmp_path / "operators.json").exists()
        assert not (tmp_path / "trace.json.gz").exists()
    rows = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "step" in row] == list(range(12))


def test_a_long_window_is_cut(tmp_path: Path) -> None:
    Job(tmp_path, "5:200", epochs=1, steps_per_epoch=40).train()
    table, _, recorded = read(tmp_path)
    assert recorded == list(range(5, 25))
    assert table["count"] == 20


@pytest.mark.parametrize("where", ["start", "stop", "export_chrome_trace"])
def test_an_error_ends_the_recording_alone(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no CUPTI")

    class Broken(profile):
        pass

    setattr(Broken, where, broken)
    monkeypatch.setattr(callback, "profile", Broken)
    Job(tmp_path, "2:2").train()
    error = capsys.readouterr().err
    assert error == "WARNING: operators are not recorded (RuntimeError: no CUPTI)\n"
    rows = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "step" in row] == list(range(12))
    assert not (tmp_path / "operators.json").exists()
    assert [file for file in tmp_path.iterdir() if file.name.startswith(".")] == []
    if where == "stop":
        # The real one must not run on for the tests to come.
        assert torch._C._autograd._profiler_enabled()
        torch._C._autograd._disable_profiler()


def test_training_that_breaks_while_it_is_recorded(tmp_path: Path) -> None:
    recorder = OperatorRecorder(tmp_path, range(1), "cpu")
    assert recorder.phase("data", 0)
    assert not recorder.phase("forward", None)
    torch.ones(2) + 1
    # No whole step: nothing to tell.
    assert recorder.phase("other", None)
    assert not recorder.step_done()
    assert list(tmp_path.iterdir()) == []
    assert not torch._C._autograd._profiler_enabled()
