"""BatchSize, LowGPUUtilization and OverallSystemUsage, and which samples are judged."""

import pytest

from monitor.profiler.recording import Recording
from monitor.profiler.rules.base import NoGPU, NothingToJudge, samples
from tests.train.profiles import START, judge, machine, spans

# Which samples are judged.


def test_patience_leaves_out_the_first_samples() -> None:
    run = machine(30, core0=50.0)
    judged = samples(run, run.node, patience=10, needed=20, ended=True)
    assert (judged.start, judged.stop, judged.note) == (10, 30, None)
    # The first judged sample is number 10 (from 0), which tells of 5.0 to 5.5 s; the last ends at 30 x 0.5 s.
    assert judged.span(0, 19) == pytest.approx((5.0, 15.0))


def test_a_job_too_short_for_patience_is_judged_from_its_training_on_and_says_so() -> None:
    run = machine(30, core0=50.0)
    run.stages = {"initialization": START, "training": START + 4.0, "finalization": START + 14.0}
    # Sample i is at 0.5 (i + 1) s: those from 4.0 s on are 7 ..., those before 14.0 s are ... 26.
    judged = samples(run, run.node, patience=1000, needed=500, ended=True)
    assert (judged.start, judged.stop) == (7, 27)
    assert judged.note == (
        "the training loop ended after 27 samples, too few for patience=1000 and 500 more: "
        "all its 20 samples are judged"
    )
    # While it runs, nobody knows how long it will be.
    assert len(samples(run, run.node, patience=1000, needed=500, ended=False)) == 0


def test_a_job_that_never_came_to_training_has_no_samples_to_judge() -> None:
    run = machine(30, core0=50.0)
    run.stages = {"initialization": START}
    judged = samples(run, run.node, patience=1000, needed=500, ended=True)
    assert (len(judged), str(judged.note).split(",")[0]) == (0, "0 samples of the training loop")
    # Old files may have no stages: all there is.
    run.stages = {}
    assert len(samples(run, run.node, patience=1000, needed=500, ended=True)) == 30


@pytest.mark.parametrize(("count", "judged"), [(9, 0), (10, 10)])
def test_ten_samples_are_the_least(count: int, judged: int) -> None:
    run = machine(count, core0=10.0)
    found = judge("BatchSize", run)
    assert found.datapoints == judged
    assert ("at the least" in str(found.note) or "fewer than the 10 that are needed" in str(found.note)) == (
        judged == 0
    )


def test_the_end_of_training_ends_what_is_judged() -> None:
    run = machine(40, core0=lambda index: 20.0 if index < 20 else 95.0)
    run.stages["finalization"] = START + 10.5  # sample 20 is at 10.5 s
    found = judge("BatchSize", run, patience=0, window=20)
    assert (found.datapoints, len(found.findings)) == (20, 1)


# BatchSize


def test_batch_size_fires_where_all_three_are_low() -> None:
    # 95th percentile of 20 values 1 ... 20 percent: position 18.05, 19.05.
    run = machine(
        20, core0=lambda index: index + 1, core1=lambda index: index + 1, gpu0=lambda index: 30.0, gpu0_memory=15.0
    )
    found = judge("BatchSize", run, patience=0, window=20)
    (finding,) = found.findings
    assert finding.value == pytest.approx(19.05)
    assert (finding.start_s, finding.end_s) == pytest.approx((0.0, 10.0))
    assert finding.text == "95th percentiles from 0.0 s to 10.0 s: CPU 19 %, GPU 30 %, GPU memory 15 %"
    assert found.note is None


@pytest.mark.parametrize("busy", ["core0", "gpu1", "gpu1_memory"])
def test_batch_size_is_still_where_one_is_used(busy: str) -> None:
    columns = {"core0": 20.0, "gpu0": 20.0, "gpu1": 20.0, "gpu0_memory": 20.0, "gpu1_memory": 20.0, busy: 70.0}
    found = judge("BatchSize", machine(20, **columns), patience=0, window=20)
    assert (found.findings, found.datapoints) == ([], 20)


def test_windows_that_fire_one_after_the_other_are_one_span() -> None:
    # Windows of 10 after patience 5: samples 5-14 low, 15-24 low, 25-34 high, 35-44 low; 45-49 are left over.
    run = machine(50, core0=lambda index: 90.0 if 25 <= index < 35 else 20.0, gpu0=0.0, gpu0_memory=0.0)
    found = judge("BatchSize", run, patience=5, window=10)
    # Sample i ends at 0.5 (i + 1) s and began half a second before.
    assert spans(found) == [pytest.approx((2.5, 12.5)), pytest.approx((17.5, 22.5))]


@pytest.mark.parametrize(("cpu", "fires"), [(69.0, True), (70.0, False)])
def test_without_a_gpu_batch_size_judges_the_cpu_alone(cpu: float, fires: bool) -> None:
    found = judge("BatchSize", machine(20, core0=cpu - 10, core1=cpu + 10), patience=0, window=20)
    assert bool(found.findings) == fires
    assert found.note == "no GPU was sampled: the CPU is judged alone"


# LowGPUUtilization


def test_a_gpu_with_too_little_to_do() -> None:
    run = machine(40, gpu0=lambda index: 40.0 if index < 20 else 95.0, gpu1=95.0)
    found = judge("LowGPUUtilization", run, patience=0, window=20)
    (finding,) = found.findings
    assert finding.text == "gpu0 from 0.0 s to 10.0 s: 95th percentile 40 %"
    assert finding.value == 40


def test_a_gpu_that_works_in_spurts() -> None:
    # Every other sample 0, the others 100: 95th percentile 100, 5th 0.
    run = machine(20, gpu0=lambda index: 100.0 * (index % 2))
    found = judge("LowGPUUtilization", run, patience=0, window=20)
    (finding,) = found.findings
    assert finding.text.endswith("95th percentile 100 %, 5th 0 %: it works in spurts and waits between them")
    assert finding.value == 0


def test_a_gpu_that_is_used_evenly() -> None:
    found = judge("LowGPUUtilization", machine(20, gpu0=lambda index: 80.0 + index), patience=0, window=20)
    assert (found.findings, found.datapoints) == ([], 20)


@pytest.mark.parametrize("name", ["LowGPUUtilization", "CPUBottleneck", "GPUMemoryIncrease", "LoadBalancing"])
def test_rules_of_gpus_have_nothing_to_judge_without_one(name: str) -> None:
    with pytest.raises(NoGPU, match="no GPU was sampled"):
        judge(name, machine(20, core0=50.0))


# OverallSystemUsage


def test_overall_system_usage_never_fires() -> None:
    found = judge("OverallSystemUsage", machine(20, core0=lambda index: index + 1.0))
    # The median of 1 ... 20 is 10.5, the 95th percentile 19.05.
    assert (found.datapoints, found.findings, found.note) == (20, [], "CPU: median 10 %, 95th percentile 19 %")
    with pytest.raises(NothingToJudge, match="the machine was not sampled"):
        judge("OverallSystemUsage", Recording())
