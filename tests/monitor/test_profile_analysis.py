"""The profiler's report on a whole job, and rules that judge while it runs."""

import itertools
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from monitor import rules
from monitor.profiler.engine import ProfilerRuleEngine, analyse
from monitor.profiler.recording import PHASES, Recording
from monitor.profiler.rules.base import Judgement, ProfilerRule
from tests.train.profiles import START, STEP, ask, default_rules, lines, sample, step, steps, write_job
from tests.train.support import REPOSITORY

OUTCOME = {"completed": True, "reason": None}


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two epochs of 30 steps by 0.1 s from 2 s on, each with 1 s of validation, 10 s in all; 20 samples."""
    folder = tmp_path_factory.mktemp("job")
    rows: list[dict[str, Any]] = []
    for epoch, at in ((1, 2.0), (2, 6.0)):
        rows += [step(30 * (epoch - 1) + index, at + 0.1 * index, epoch) for index in range(30)]
        rows.append({"mode": "EVAL", "epoch": epoch, "t": START + at + 3, "seconds": 0.75, "phase": "validation"})
        rows.append({"mode": "EVAL", "epoch": epoch, "t": START + at + 3.75, "seconds": 0.25, "phase": "checkpoint"})
    rows[10] = step(10, 3.0, hook=0.9)
    rows[20] = step(20, 4.0, recorded=True)
    samples = [sample(index, (10.0 * (index % 4), 50.0)) for index in range(20)]
    stages = {"initialization": 0.0, "training": 2.0, "finalization": 9.75}
    write_job(folder, samples, rows, stages, machine={"notes": ["GPUs are not sampled: there is no driver"]})
    operators = {"first": 20, "count": 1, "device": "cpu", "gpu": [], "cpu": [{"name": "aten::mm", "calls": 3}]}
    (folder / "operators.json").write_text(json.dumps(operators))
    asked = [*default_rules(), ask("LoadBalancing"), ask("StepOutlier", n_outliers=0)]
    document = analyse(folder, asked, {"completed": False, "reason": "Overfit: stopped"})
    # It is written as JSON, which has no NaN.
    decoded: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    return decoded


def test_the_jobs_times(job: Mapping[str, Any]) -> None:
    assert job["job"] == {
        "started": START, "ended": START + 10, "seconds": 10, "initialization_s": 2, "training_s": 7.75,
        "finalization_s": 0.25, "completed": False, "reason": "Overfit: stopped",
    }  # fmt: skip
    assert job["machine"]["cores"] == 2
    assert (job["machine"]["device"], job["machine"]["workers"]) == ("cpu", 0)
    assert job["machine"]["process_started"] == START
    assert job["hyperparameters"]["batch_size"] == 8


def test_the_machines_series_and_statistics(job: Mapping[str, Any]) -> None:
    system = job["system"]
    assert (system["samples"], system["interval_ms"], system["nodes"]) == (20, 500, {})
    assert system["times"][:3] == [0.5, 1.0, 1.5]
    # One core at 0, 10, 20 and 30 %, the other at 50.
    assert system["series"]["cpu"][:4] == [25, 30, 35, 40]
    assert [core[1] for core in system["series"]["cpu_by_core"]] == [10, 50]
    # 95th percentile of five times 25, 30, 35, 40: position 18.05 of 20, among the 40s.
    assert system["statistics"]["cpu"] == {
        "unit": "percent", "max": 40, "p99": 40, "p95": 40, "p50": 32.5, "min": 25, "mean": 32.5,
    }  # fmt: skip
    assert system["statistics"]["process_memory"]["unit"] == "bytes"
    assert set(system["statistics"]) == set(system["series"]) - {"cpu_by_core"}


def test_the_steps_anatomy(job: Mapping[str, Any]) -> None:
    found = job["steps"]
    # 60 steps without the first and the recorded one: 57 of 0.1 s and one of 1.0 s.
    assert (found["n"], found["judged"], found["recorded"]) == (60, 58, 1)
    assert found["seconds"]["mean"] == pytest.approx((57 * 0.1 + 1.0) / 58)
    assert found["seconds"]["p50"] == pytest.approx(0.1)
    assert found["seconds"]["max"] == pytest.approx(1.0)
    assert list(found["phases"]) == list(PHASES)
    # 58 x 0.05 of 6.7 s
    assert found["phases"]["backward"] == pytest.approx(
        {"seconds": 2.9, "share": 2.9 / 6.7, "mean_ms": 50, "p95_ms": 50}
    )
    assert sum(each["share"] for each in found["phases"].values()) == pytest.approx(1)
    assert found["samples_per_second"] == pytest.approx(8 / (6.7 / 58))
    assert len(found["durations"]) == 60
    assert found["durations"][31] == pytest.approx([31, 6.1, 0.1])
    # mean 0.1155, deviation sqrt(57 x 0.0155^2 + 0.8845^2) / sqrt(58) = 0.1171; limit 0.7011.
    assert found["outlier_limit_s"] == pytest.approx(0.7011, abs=1e-3)
    assert found["outliers"] == [{"step": 10, "t": 3, "seconds": 1, "phase": "hook"}]


def test_the_timeline(job: Mapping[str, Any]) -> None:
    told = [(each["stage"], each.get("epoch"), each["start_s"], each["end_s"]) for each in job["timeline"]]
    assert told == [
        ("initialization", None, 0, 2),
        ("training", None, 2, 9.75),
        ("epoch", 1, 2, pytest.approx(5)),
        ("validation", 1, 5, 5.75),
        ("checkpoint", 1, 5.75, 6),
        ("epoch", 2, 6, pytest.approx(9)),
        ("validation", 2, 9, 9.75),
        ("checkpoint", 2, 9.75, 10),
        ("finalization", None, 9.75, 10),
    ]


def test_the_operators_are_passed_on(job: Mapping[str, Any]) -> None:
    assert job["operators"]["cpu"] == [{"name": "aten::mm", "calls": 3}]


def test_the_rules_come_by_severity(job: Mapping[str, Any]) -> None:
    states = [(each["name"], each["status"], each["severity"]) for each in job["rules"]]
    assert states == [
        ("BatchSize", "IssuesFound", "warning"),
        ("StepOutlier", "IssuesFound", "warning"),
        ("LoadBalancing", "Error", "warning"),
        ("IOBottleneck", "NoIssuesFound", "warning"),
        ("MaxInitializationTime", "NoIssuesFound", "warning"),
        ("StepOutlier", "NoIssuesFound", "warning"),
        ("Dataloader", "NoIssuesFound", "info"),
        ("OverallSystemUsage", "NoIssuesFound", "info"),
        ("OverallFrameworkMetrics", "NoIssuesFound", "info"),
    ]
    size, outlier, balance = job["rules"][:3]
    # Samples at 2.0 to 9.5 s are of the training loop: 16.
    assert size["report"]["Datapoints"] == 16
    assert "too few for patience=1000 and 500 more: all its 16 samples are judged" in size["note"]
    (finding,) = size["findings"]
    assert (finding["start_s"], finding["end_s"]) == (1.5, 9.5)
    assert size["advice"] == "Training uses 32 % of 2 CPU cores on average: set batch_size=16 (now 8)."
    assert (outlier["findings"][0]["step"], outlier["report"]["RuleTriggered"]) == (10, 1)
    assert balance["note"] == "it judges several GPUs, and no GPU was sampled"


def test_rules_of_gpus_are_left_out_unless_named(job: Mapping[str, Any]) -> None:
    left_out = "CPUBottleneck, GPUMemoryIncrease, LoadBalancing, LowGPUUtilization"
    assert job["notes"] == [
        f"{left_out}: left out, for they judge GPUs, and there are too few of them",
        "GPUs are not sampled: there is no driver",
    ]


def test_what_to_do_comes_first(job: Mapping[str, Any]) -> None:
    assert job["headline"][0] == "Training uses 32 % of 2 CPU cores on average: set batch_size=16 (now 8)."


def test_a_long_job_is_told_in_few_points(tmp_path: Path) -> None:
    rows = steps(5000, at=0.0)
    rows[4001]["data"] = 60.0
    write_job(tmp_path, [sample(index) for index in range(1500)], rows, {"training": 0.0})
    document = analyse(tmp_path, [], OUTCOME)
    # 1500 samples to groups of three.
    assert [len(document["system"][name]) for name in ("times",)] == [500]
    assert {len(each) for name, each in document["system"]["series"].items() if name != "cpu_by_core"} == {500}
    assert document["system"]["times"][0] == 1.0  # the mean of 0.5, 1.0 and 1.5
    assert document["system"]["samples"] == 1500
    told = document["steps"]["durations"]
    assert 1990 <= len(told) <= 2000
    assert (told[0][0], told[-1][0]) == (0, 4999)
    assert 4001 in [each[0] for each in told]
    assert document["steps"]["outliers"][0]["phase"] == "data"


@pytest.mark.parametrize("left", [[], ["machine.json"], ["stages.jsonl"], ["system.jsonl"], ["steps.jsonl"]])
def test_a_job_that_was_killed_early_has_a_report(tmp_path: Path, left: list[str]) -> None:
    full = write_job(tmp_path / "full", [sample(0)], steps(1))
    folder = tmp_path / "left"
    folder.mkdir()
    for name in left or ["config.json"]:
        (folder / name).write_bytes((full / name).read_bytes())
    document = analyse(folder, default_rules(), {})
    json.dumps(document, allow_nan=False)
    assert (document["job"]["completed"], document["job"]["reason"]) == (None, None)
    assert len(document["rules"]) >= 6
    assert {each["status"] for each in document["rules"]} <= {"Error", "NoIssuesFound"}
    assert len(document["headline"]) == 1


# While it runs. A clock that stands still: however busy this machine is, judging takes no time.


def still() -> float:
    return 0.0


def test_judging_a_long_job_takes_a_hundredth_of_the_time(tmp_path: Path) -> None:
    # Every look at the clock is two seconds later; judging takes as long, so that 200 seconds of rest follow.
    looks = itertools.count(0, 2)
    judge = ProfilerRuleEngine(
        tmp_path, [ask("IOBottleneck", patience=0, scan_interval_us=0)], clock=lambda: float(next(looks))
    )
    write_job(tmp_path, [sample(0)], stages={"training": 0.0})
    assert judge.poll() == []
    lines(tmp_path / "system.jsonl", [sample(index, iowait=80.0) for index in range(1, 150)])
    polls = [len(judge.poll()) for _ in range(150)]
    # Began at 2, took until 4, rests until 6 + 200: the looks before were at 8, 10 ... 206.
    assert polls.index(1) == 99
    assert sum(polls) == 1


def test_a_rule_fires_while_the_job_runs_once(tmp_path: Path) -> None:
    asked = [ask("IOBottleneck", patience=20, scan_interval_us=10_000_000), ask("StepOutlier", n_outliers=0)]
    judge = ProfilerRuleEngine(tmp_path, asked, clock=still)
    assert judge.poll() == []
    write_job(tmp_path, [sample(0)], stages={"training": 0.0})
    assert judge.poll() == []
    # 21 more samples, of 10.5 s: it is asked, and has too few.
    lines(tmp_path / "system.jsonl", [sample(index, iowait=80.0) for index in range(1, 22)])
    assert judge.poll() == []
    assert [each.status for each in judge.verdicts()] == ["InProgress", "InProgress"]
    lines(tmp_path / "system.jsonl", [sample(index, iowait=80.0) for index in range(22, 150)])
    (fired,) = judge.poll()
    verdict = fired.verdict
    assert (verdict.spec.name, verdict.status, verdict.datapoints) == ("IOBottleneck", "IssuesFound", 130)
    assert str(verdict.advice).startswith("Pack the images in archives")
    lines(tmp_path / "system.jsonl", [sample(index, iowait=80.0) for index in range(150, 200)])
    assert judge.poll() == []
    judge.finish()
    assert judge.poll() == []
    found = {each.spec.name: each for each in judge.verdicts()}
    assert found["IOBottleneck"].datapoints == 180
    assert found["IOBottleneck"].findings[0].end_s == pytest.approx(100)
    assert found["StepOutlier"].status == "Error"
    assert found["StepOutlier"].note == "no steps were timed"


def test_what_fired_is_not_taken_back(tmp_path: Path) -> None:
    asked = [ask("IOBottleneck", patience=0, scan_interval_us=0)]
    judge = ProfilerRuleEngine(tmp_path, asked, clock=still)
    write_job(tmp_path, [sample(index, iowait=80.0) for index in range(100)], stages={"training": 0.0})
    assert len(judge.poll()) == 1
    lines(tmp_path / "system.jsonl", [sample(index, iowait=0.0) for index in range(100, 400)])
    document = judge.document(OUTCOME)
    (verdict,) = document["rules"]
    assert (verdict["status"], verdict["report"]["Datapoints"]) == ("IssuesFound", 100)
    assert verdict["note"] == "it fired while the job ran; over the whole job its condition doesn't hold"


def test_scan_interval_is_the_time_from_one_judgement_to_the_next(tmp_path: Path) -> None:
    judge = ProfilerRuleEngine(
        tmp_path, [ask("MaxInitializationTime", threshold=0.1, scan_interval_us=20_000_000)], clock=still
    )
    write_job(tmp_path, stages={"initialization": 0.0})
    fired_at = []
    for index in range(60):
        lines(tmp_path / "system.jsonl", [sample(index)])
        fired_at += [(index + 1) / 2 for _ in judge.poll()]
    # More than 6 s are over soon; it is asked 20 s after the first look, which was at 0.5 s.
    assert fired_at == [20.5]


def test_a_rule_that_fails_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(ProfilerRule):
        def judge(self, run: Recording, ended: bool) -> Judgement:
            raise ZeroDivisionError("no wheels")

    rule_class = rules.rule_class
    monkeypatch.setattr(rules, "rule_class", lambda name: Broken if name == "BatchSize" else rule_class(name))
    document = analyse(write_job(tmp_path, steps=steps(3)), [ask("BatchSize"), ask("Dataloader")], OUTCOME)
    broken, well = document["rules"]
    assert (broken["status"], broken["note"]) == (
        "Error", "the rule failed (ZeroDivisionError: no wheels); please report it",
    )  # fmt: skip
    assert well["status"] == "NoIssuesFound"
    assert "no wheels" in capsys.readouterr().err


def test_the_analysis_needs_no_torch() -> None:
    code = (
        "import sys, monitor.profiler.engine as a; print(*(n in sys.modules for n in ('torch', 'pandas')), a.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "monitor.profiler.engine"]


def test_a_step_is_a_tenth_of_a_second() -> None:
    assert sum(STEP.values()) == pytest.approx(0.1)
