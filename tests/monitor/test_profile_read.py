"""Reading profiler files that are being written, or were left by a process that was killed."""

import json
import math
from pathlib import Path

import pytest

from monitor.profiler.reader import Reader
from monitor.profiler.recording import number
from tests.train.profiles import INTERVAL, START, lines, sample, step, steps, write_job


def test_a_sample_in_columns(tmp_path: Path) -> None:
    gpus = {"gpu": [30, 40], "gpu_memory": [5, 6], "gpu_memory_bytes": [50, 60]}
    run = Reader(write_job(tmp_path, [sample(0, (20.0, 60.0), **gpus)])).poll(ended=True)
    node = run.node
    assert (node.cores(), node.gpus(), len(node)) == (["core0", "core1"], ["gpu0", "gpu1"], 1)
    found = {name: node[name].tolist() for name in node.names()}
    assert found == {
        "cpu": [40.0], "cpu_max": [60.0], "core0": [20.0], "core1": [60.0], "iowait": [1.0], "iowait_max": [1.0],
        "memory": [40.0], "memory_bytes": [4e9], "process_memory": [1e9], "process_cpu": [110.0], "disk_read": [0.0],
        "disk_write": [1000.0], "net_received": [0.0], "net_sent": [0.0], "gpu0": [30.0], "gpu1": [40.0],
        "gpu0_memory": [5.0], "gpu1_memory": [6.0], "gpu0_memory_bytes": [50.0], "gpu1_memory_bytes": [60.0],
    }  # fmt: skip
    assert node.times.tolist() == [START + INTERVAL]


def test_only_what_was_added_is_read(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert len(reader.poll().node) == 0
    write_job(tmp_path, [sample(0)], steps(2))
    assert (len(reader.poll().node), len(reader.recording.steps)) == (1, 2)
    # What was read is not read again: the file may be changed behind the reader's back.
    content = (tmp_path / "system.jsonl").read_bytes()
    (tmp_path / "system.jsonl").write_bytes(b" " * (len(content) - 1) + b"\n")
    lines(tmp_path / "system.jsonl", [sample(1)])
    lines(tmp_path / "steps.jsonl", [step(2, 3.0)])
    run = reader.poll()
    assert (len(run.node), run.steps["step"].tolist()) == (2, [0, 1, 2])


def test_half_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    write_job(tmp_path, [sample(0)])
    whole = json.dumps(sample(1)) + "\n"
    with (tmp_path / "system.jsonl").open("a") as file:
        file.write(whole[:40])
        file.flush()
        reader = Reader(tmp_path)
        assert len(reader.poll().node) == 1
        file.write(whole[40:])
    assert len(reader.poll().node) == 2
    assert reader.recording.notes == []


def test_a_torn_last_line_is_no_fault(tmp_path: Path) -> None:
    write_job(tmp_path, [sample(0)], steps(1))
    for name in ("system.jsonl", "steps.jsonl"):
        with (tmp_path / name).open("a") as file:
            file.write('{"t": 18000')
    run = Reader(tmp_path).poll(ended=True)
    assert (len(run.node), len(run.steps), run.notes) == (1, 1, [])


def test_a_last_line_without_its_end_counts_when_nothing_more_comes(tmp_path: Path) -> None:
    (write_job(tmp_path) / "system.jsonl").write_text(json.dumps(sample(0)))
    assert len(Reader(tmp_path).poll().node) == 0
    assert len(Reader(tmp_path).poll(ended=True).node) == 1


def test_lines_that_are_broken_in_the_middle_are_told(tmp_path: Path) -> None:
    write_job(tmp_path)
    rows = [json.dumps(sample(0)), "{", "[]", json.dumps({**sample(1), "t": "soon"}), json.dumps(sample(2))]
    (tmp_path / "system.jsonl").write_text("\n".join(rows) + "\n")
    run = Reader(tmp_path).poll(ended=True)
    assert len(run.node) == 2
    assert run.notes == ["2 lines of the profiler's files are no JSON objects and are left out"]


def test_missing_files_and_values_are_no_fault(tmp_path: Path) -> None:
    lines(tmp_path / "system.jsonl", [{"t": START, "cpu": [10]}, {"t": START + 1, "cpu": None, "memory": "much"}])
    (tmp_path / "machine.json").write_text("[")
    run = Reader(tmp_path).poll(ended=True)
    assert (run.machine, run.config, run.stages, run.operators) == ({}, {}, {}, None)
    assert (len(run.node), run.node["cpu"][0], run.started(), run.ended()) == (2, 10, START, START + 1)


@pytest.mark.parametrize("value", [None, True, "5", [5.0], math.nan, math.inf, 10**400, -1e308])
def test_what_is_no_measurement(value: object) -> None:
    assert math.isnan(number(value))


def test_measurements() -> None:
    assert [number(value) for value in (0, -2.5, 1_800_000_000.25, 10**15)] == [0, -2.5, 1_800_000_000.25, 1e15]


@pytest.mark.parametrize("given", [None, "nothing"])
def test_a_folder_that_is_not_there(tmp_path: Path, given: str | None) -> None:
    run = Reader(tmp_path / (given or "")).poll(ended=True)
    assert (run.started(), run.ended(), len(run.steps)) == (0.0, 0.0, 0)


def test_the_training_loop_lies_between_its_stages(tmp_path: Path) -> None:
    run = Reader(write_job(tmp_path, steps=steps(3, at=5.0), stages={"initialization": 0.0})).poll(ended=True)
    assert run.training() == (START + 5, None)
    lines(tmp_path / "stages.jsonl", [{"stage": "training", "t": START + 4}, {"stage": "finalization", "t": START + 9}])
    assert Reader(tmp_path).poll(ended=True).training() == (START + 4, START + 9)
