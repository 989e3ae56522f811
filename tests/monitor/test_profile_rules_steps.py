"""MaxInitializationTime, StepOutlier, Dataloader and OverallFrameworkMetrics."""

from pathlib import Path
from typing import Any

import pytest

from monitor.profiler.recording import Recording
from monitor.profiler.rules.base import NothingToJudge
from tests.train.profiles import START, judge, read, sample, step, steps, write_job

SLOW: dict[str, Any] = {"data": 4.01}  # 4 s more than the usual 0.01


def job(folder: Path, rows: list[dict[str, Any]], **other: Any) -> Recording:
    return read(write_job(folder, steps=rows, **other))


@pytest.mark.parametrize(("first", "fires"), [(1201.0, True), (1200.0, False)])
def test_a_late_first_step(tmp_path: Path, first: float, fires: bool) -> None:
    found = judge("MaxInitializationTime", job(tmp_path, [step(0, first)]))
    assert (bool(found.findings), found.datapoints) == (fires, 1)
    if fires:
        (finding,) = found.findings
        assert finding.text == "the first step began after 20.0 minutes"
        assert (finding.start_s, finding.end_s) == pytest.approx((0, 1201))


def test_no_step_has_come_yet(tmp_path: Path) -> None:
    # 250 samples by 0.5 s: 125 s, 2.083 minutes.
    run = read(write_job(tmp_path, [sample(index) for index in range(250)], stages={"initialization": 0.0}))
    (finding,) = judge("MaxInitializationTime", run, ended=False, threshold=2.0).findings
    assert finding.text == "after 2.1 minutes no step had begun"
    assert finding.value == pytest.approx(125 / 60)
    assert judge("MaxInitializationTime", run, ended=False, threshold=2.5).datapoints == 0


def test_nothing_recorded_is_nothing_to_judge() -> None:
    with pytest.raises(NothingToJudge, match="nothing was recorded"):
        judge("MaxInitializationTime", Recording())


@pytest.mark.parametrize(("slow", "fires"), [(3, True), (2, False)])
def test_more_slow_steps_than_are_still_well(tmp_path: Path, slow: int, fires: bool) -> None:
    # 401 steps, the first isn't judged. 3 of 400 take 4.1 s instead of 0.1: mean 0.1 + 3 x 4 / 400 = 0.13;
    # deviation 4 x sqrt(p (1 - p)), p = 0.0075: 0.3451; 0.13 + 5 x 0.3451 = 1.8556.
    rows = [step(number, 2 + 5 * number, **(SLOW if number in (100, 200, 300)[:slow] else {})) for number in range(401)]
    found = judge("StepOutlier", job(tmp_path, rows), n_outliers=2)
    assert found.datapoints == 400
    assert found.note == "the first step is not judged"
    assert bool(found.findings) == fires
    if fires:
        assert [each.step for each in found.findings] == [100, 200, 300]
        finding = found.findings[0]
        assert finding.text == (
            "step 100 took 4.100 s (mean 0.130 s, limit 1.856 s), most of it beyond the usual in data"
        )
        assert finding.mode == "TRAIN"
        assert (finding.start_s, finding.end_s) == pytest.approx((502, 506.1))


def test_the_phase_at_fault_is_the_one_beyond_its_median(tmp_path: Path) -> None:
    # backward takes longest, as ever; hook is what is unusual.
    odd: dict[int, dict[str, Any]] = {60: {"hook": 0.04}}
    rows = [step(number, number, **odd.get(number, {})) for number in range(100)]
    (finding,) = judge("StepOutlier", job(tmp_path, rows), n_outliers=0).findings
    assert finding.text.endswith("most of it beyond the usual in hook")


def test_warm_up_and_recorded_steps_are_no_outliers(tmp_path: Path) -> None:
    odd: dict[int, dict[str, Any]] = {0: {"forward": 9.0}, 50: {"forward": 2.0, "recorded": True}}
    rows = [step(number, 10 * number, **odd.get(number, {})) for number in range(100)]
    found = judge("StepOutlier", job(tmp_path, rows), n_outliers=0)
    assert (found.findings, found.datapoints) == ([], 98)
    assert found.note == "the first step is not judged, nor 1 that torch.profiler recorded"


def test_slow_validation_is_judged_on_its_own(tmp_path: Path) -> None:
    parts = [
        {"mode": "EVAL", "epoch": epoch, "t": START + 100 * epoch, "seconds": 30.0 if epoch == 40 else 1.0,
         "phase": "validation"}
        for epoch in range(1, 61)
    ]  # fmt: skip
    run = job(tmp_path, [*steps(50), *parts])
    (finding,) = judge("StepOutlier", run, n_outliers=0).findings
    assert (finding.mode, finding.step, finding.value) == ("EVAL", 40, 30.0)
    assert judge("StepOutlier", run, n_outliers=0, mode="TRAIN").findings == []
    assert judge("StepOutlier", run, n_outliers=0, mode="eval").datapoints == 59


def test_outliers_without_steps(tmp_path: Path) -> None:
    with pytest.raises(NothingToJudge, match="no steps of mode EVAL were timed"):
        judge("StepOutlier", job(tmp_path, steps(5)), mode="EVAL")


@pytest.mark.parametrize(
    ("workers", "cores", "data", "told"),
    [
        # Steps are 0.09 s beside loading: 0.01 of 0.1 is 10 %, 0.03 of 0.12 is 25 %.
        (0, 2, 0.01, None),
        (0, 2, 0.03, "0 loading processes on 2 cores (0 %), and waiting for data takes 25 % of a step"),
        (5, 8, 0.03, "5 loading processes on 8 cores (62 %), and waiting for data takes 25 % of a step"),
        (6, 8, 0.03, None),  # 75 %: enough
        (16, 8, 0.01, None),  # 200 %
        (17, 8, 0.01, "17 loading processes on 8 cores (212 %), more than 200 %"),
    ],
)
def test_loading_processes_against_cores(
    tmp_path: Path, workers: int, cores: int, data: float, told: str | None
) -> None:
    run = job(tmp_path, steps(20, data=data), config={"workers": workers}, machine={"cores": cores})
    found = judge("Dataloader", run)
    assert [each.text for each in found.findings] == ([told] if told else [])
    assert found.datapoints == 1


def test_unknown_loading_processes_are_nothing_to_judge(tmp_path: Path) -> None:
    with pytest.raises(NothingToJudge, match="the number of loading processes was not recorded"):
        judge("Dataloader", job(tmp_path, steps(20), config={"workers": None}))


def test_overall_framework_metrics_never_fires(tmp_path: Path) -> None:
    # Of 0.1 s: data and optimizer 0.01 each, forward 0.03, backward 0.05.
    found = judge("OverallFrameworkMetrics", job(tmp_path, steps(20)))
    assert (found.findings, found.datapoints) == ([], 20)
    assert found.note == "of a step's time: backward 50 %, forward 30 %, data 10 %, optimizer 10 %"
    with pytest.raises(NothingToJudge, match="no steps were timed"):
        judge("OverallFrameworkMetrics", Recording())
