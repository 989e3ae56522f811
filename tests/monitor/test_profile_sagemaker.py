"""The profiler output of a SageMaker job, as its agent and smdebug write it, made here line by line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contract.errors import DataError
from monitor.profiler.engine import analyse
from monitor.profiler.sagemaker_format import find, read
from tests.train.profiles import ask, default_rules

BEGAN = 1_733_636_920.0  # seconds since the epoch
HOUR = "2024120805"
OUTCOME = {"completed": None, "reason": None}


def metric(
    kind: str, name: str, dimension: str, value: float, at: float, node: str = "algo-1"
) -> dict[str, Any]:  # fmt: skip
    return {"Type": kind, "Name": name, "Dimension": dimension, "Value": value, "NodeId": node, "Timestamp": BEGAN + at}


def snapshot(
    at: float, cpu: Sequence[float], waits: Sequence[float] = (), gpu: Sequence[float] = (), node: str = "algo-1"
) -> list[dict[str, Any]]:  # fmt: skip
    """Everything at one time. The agent's threads for memory, disk, CPU and network wake up milliseconds apart."""
    rows = [
        metric("memory", "MemoryUsedPercent", "", 25.0, at, node),
        metric("i/o", "IOPS", "", 300.0, at + 0.0006, node),
        metric("i/o", "ReadThroughputInBytesPerSecond", "", 4096.0, at + 0.0006, node),
        metric("i/o", "WriteThroughputInBytesPerSecond", "", 512.0, at + 0.0006, node),
        metric("network", "ReceiveBytesPerSecond", "Algorithm", 100.0, at + 0.0053, node),
        metric("network", "ReceiveBytesPerSecond", "Platform", 66_775_126.66, at + 0.0053, node),
        metric("network", "TransmitBytesPerSecond", "Platform", 70.0, at + 0.0053, node),
    ]
    for dimension, kind, values in (
        ("CPUUtilization", "cpu", cpu), ("I/OWaitPercentage", "cpu", waits), ("GPUUtilization", "gpu", gpu),
        ("GPUMemoryUtilization", "gpu", [each / 2 for each in gpu]),
    ):  # fmt: skip
        rows += [metric(kind, f"{kind}{n}", dimension, each, at + 0.0007, node) for n, each in enumerate(values)]
    return rows


def write_metrics(folder: Path, rows: Sequence[dict[str, Any]], minute: int = 0, node: str = "algo-1") -> Path:
    file = folder / "system" / "incremental" / HOUR / f"{int(BEGAN) + 60 * minute}.{node}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    return file


def write_steps(
    folder: Path, count: int, evaluations: int = 0, process: str = "905-algo-1", slow: Sequence[int] = ()
) -> Path:  # fmt: skip
    """Steps of 84 ms, then validation of 160 ms, as smdebug's TimelineFileWriter puts them down. slow: steps of 5 s."""
    rows: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 0,
         "args": {"start_time_since_epoch_in_micros": int((BEGAN + 10) * 1e6)}},
        {"name": "process_name", "ph": "M", "pid": 1, "args": {"name": "Step:ModeKeys.TRAIN"}},
    ]  # fmt: skip
    at = 0
    for mode, number in (("TRAIN", count), ("EVAL", evaluations)):
        for index in range(number):
            took = 160_000 if mode == "EVAL" else 5_000_000 if index in slow else 84_000
            name, told = f"Step:ModeKeys.{mode}", {"pid": 905, "step_num": str(index)}
            rows.append({"name": name, "pid": 1, "ph": "X", "ts": at, "dur": took, "args": told})
            rows.append({"name": "ResNet", "pid": 2, "ph": "X", "ts": at, "dur": 30_000, "args": told})
            at += took
    file = folder / "framework" / "pevents" / HOUR / f"{int(BEGAN * 1e6)}_{process}_pythontimeline.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    return file


def test_metrics_become_samples(tmp_path: Path) -> None:
    rows = [*snapshot(0.0, (98.0, 90.0), (14.0, 4.0), (30.0,)), *snapshot(0.5, (100.0, 80.0), (0.0, 2.0), (50.0,))]
    write_metrics(tmp_path, rows)
    run = read(tmp_path)
    assert list(run.nodes) == ["algo-1"]
    node = run.node
    found = {name: node[name].tolist() for name in node.names()}
    assert found == {
        "memory": [25, 25], "disk_read": [4096, 4096], "disk_write": [512, 512], "net_received": [100, 100],
        "net_sent": [70, 70], "core0": [98, 100], "core1": [90, 80], "cpu": [94, 90], "cpu_max": [98, 100],
        "iowait": [9, 1], "iowait_max": [14, 2], "gpu0": [30, 50], "gpu0_memory": [15, 25],
    }  # fmt: skip
    assert node.times.tolist() == pytest.approx([BEGAN, BEGAN + 0.5])
    assert run.machine == {"interval_ms": 500, "cores": 2, "gpus": ["gpu0"], "nodes": ["algo-1"]}


def test_files_of_many_minutes_are_one_series(tmp_path: Path) -> None:
    write_metrics(tmp_path, [row for at in range(60) for row in snapshot(at, (at, at))], minute=0)
    write_metrics(tmp_path, [row for at in range(60, 120) for row in snapshot(at, (at, at))], minute=1)
    node = read(tmp_path).node
    assert node["cpu"].tolist() == list(range(120))


def test_steps_of_smdebug(tmp_path: Path) -> None:
    write_steps(tmp_path, 3, evaluations=2)
    run = read(tmp_path)
    assert run.steps["step"].tolist() == [0, 1, 2]
    assert run.steps["seconds"].tolist() == pytest.approx([0.084] * 3)
    assert run.evaluations["seconds"].tolist() == pytest.approx([0.16] * 2)
    assert run.steps.times[1] == pytest.approx(BEGAN + 10.084)
    # 3 x 0.084 + 2 x 0.16 = 0.572
    assert run.training() == pytest.approx((BEGAN + 10, BEGAN + 10.572))


def test_a_file_that_was_not_closed_is_read_line_by_line(tmp_path: Path) -> None:
    file = write_steps(tmp_path, 3)
    file.write_text(file.read_text()[: -len("\n]\n")] + ',\n{"name": "Step:Mode')
    run = read(tmp_path)
    assert len(run.steps) == 3
    assert len(run.notes) == 1
    assert file.name in run.notes[0]


def test_the_first_process_tells_the_steps(tmp_path: Path) -> None:
    write_steps(tmp_path, 3, process="905-algo-1")
    write_steps(tmp_path, 5, process="906-algo-1")
    run = read(tmp_path)
    assert (len(run.steps), run.notes) == (3, ["steps of 2 processes were recorded; those of 905-algo-1 are shown"])


def test_a_torn_last_line_and_broken_lines(tmp_path: Path) -> None:
    file = write_metrics(tmp_path, snapshot(0.0, (50.0,)))
    file.write_text(file.read_text() + '{"Type":"cpu","Na')
    assert (len(read(tmp_path).node), read(tmp_path).notes) == (1, [])
    file.write_text("no JSON\n" + file.read_text() + "\n")
    assert "2 lines or files can't be read" in read(tmp_path).notes[0]


@pytest.mark.parametrize("below", ["", "profiler-output", "my-job-2024/profiler-output"])
def test_where_the_output_lies(tmp_path: Path, below: str) -> None:
    write_metrics(tmp_path / below, snapshot(0.0, (50.0,)))
    (tmp_path / below).parent.joinpath("rule-output", "ProfilerReport").mkdir(parents=True)
    assert find(tmp_path) == tmp_path / below


def test_several_jobs_are_refused(tmp_path: Path) -> None:
    for name in ("job-a", "job-b"):
        write_metrics(tmp_path / name / "profiler-output", snapshot(0.0, (50.0,)))
    with pytest.raises(DataError, match=r"2 jobs \(job-a/profiler-output, job-b/profiler-output\); name one of them"):
        find(tmp_path)


def test_a_folder_of_neither_kind_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=r"holds no profiler files; give the folder with system\.jsonl"):
            analyse(folder, [], OUTCOME)
    (tmp_path / "system" / "incremental").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no system metrics and no steps"):
        analyse(tmp_path, [], OUTCOME)


def starved(folder: Path, node: str = "algo-1", count: int = 40) -> None:
    """One core busy, the GPU idle but for every fourth sample."""
    rows = [
        row
        for index in range(count)
        for row in snapshot(index / 2, (96.0, 4.0), (0.0, 0.0), (80.0 if index % 4 == 3 else 2.0,), node)
    ]
    write_metrics(folder, rows, node=node)


def test_the_same_report_as_of_a_job_of_kennels_own(tmp_path: Path) -> None:
    starved(tmp_path)
    write_steps(tmp_path, 100, slow=(50,))
    asked = [ask("CPUBottleneck", patience=10), ask("StepOutlier", n_outliers=0), ask("Dataloader")]
    document = analyse(tmp_path, asked, {"completed": True, "reason": None})
    json.dumps(document, allow_nan=False)
    assert document["source"] == "sagemaker"
    # 40 samples by 0.5 s, then steps from 10 s on: 99 x 0.084 + 5 = 13.316 s.
    assert document["job"]["initialization_s"] == pytest.approx(10)
    assert document["job"]["training_s"] == pytest.approx(13.316)
    assert document["system"]["samples"] == 40
    # 2, 2, 2, 80 over and over.
    assert document["system"]["statistics"]["gpu0"]["mean"] == pytest.approx(21.5)
    assert document["steps"]["phases"] == {}
    assert [each["step"] for each in document["steps"]["outliers"]] == [50]
    found = {each["name"]: each for each in document["rules"]}
    # Samples 10 to 39: every fourth (11, 15 ... 39: 8 of 30) is well.
    assert found["CPUBottleneck"]["findings"][0]["value"] == pytest.approx(100 * 22 / 30)
    assert [each["step"] for each in found["StepOutlier"]["findings"]] == [50]
    assert (found["Dataloader"]["status"], found["Dataloader"]["note"]) == (
        "Error", "the number of loading processes was not recorded",
    )  # fmt: skip
    assert document["headline"][0].startswith("CPUBottleneck: ")


def test_several_machines(tmp_path: Path) -> None:
    for node in ("algo-10", "algo-2", "algo-1"):
        starved(tmp_path, node)
    document = analyse(tmp_path, [ask("CPUBottleneck", patience=10), ask("LoadBalancing", patience=10)], OUTCOME)
    assert document["system"]["node"] == "algo-1"
    assert list(document["system"]["nodes"]) == ["algo-1", "algo-2", "algo-10"]
    assert document["system"]["nodes"]["algo-10"]["statistics"]["cpu"]["mean"] == 50
    bottleneck, balance = document["rules"]
    assert [each["text"].split(":")[0] for each in bottleneck["findings"]] == ["algo-1", "algo-2", "algo-10"]
    # Three GPUs that do the same: 90 samples, no finding.
    assert (balance["status"], balance["report"]["Datapoints"]) == ("NoIssuesFound", 90)


def test_the_default_rules_judge_an_old_job(tmp_path: Path) -> None:
    starved(tmp_path, count=1600)
    document = analyse(tmp_path / ".", default_rules(), OUTCOME)
    states = {each["name"]: each["status"] for each in document["rules"]}
    assert states == {
        "CPUBottleneck": "IssuesFound", "LowGPUUtilization": "IssuesFound", "BatchSize": "NoIssuesFound",
        "IOBottleneck": "NoIssuesFound", "GPUMemoryIncrease": "NoIssuesFound", "OverallSystemUsage": "NoIssuesFound",
        "MaxInitializationTime": "Error", "StepOutlier": "Error", "Dataloader": "Error",
        "OverallFrameworkMetrics": "Error",
    }  # fmt: skip
    assert document["notes"] == ["LoadBalancing: left out, for they judge GPUs, and there are too few of them"]
