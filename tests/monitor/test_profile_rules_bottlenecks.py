"""CPUBottleneck, IOBottleneck, GPUMemoryIncrease and LoadBalancing."""

import numpy as np
import pytest

from monitor.profiler.rules.base import NoGPU, NothingToJudge
from monitor.profiler.rules.bottlenecks import histogram
from tests.train.profiles import judge, machine, spans


@pytest.mark.parametrize(("starved", "fires"), [(11, True), (10, False)])
def test_cpu_bottleneck_for_more_than_half_of_the_time(starved: int, fires: bool) -> None:
    # One busy core of four; the GPU idles in the first `starved` of 20 samples.
    run = machine(20, core0=95.0, core1=5.0, core2=5.0, core3=5.0, gpu0=lambda index: 5.0 if index < starved else 80.0)
    found = judge("CPUBottleneck", run, patience=0)
    assert found.datapoints == 20
    assert bool(found.findings) == fires
    if fires:
        (finding,) = found.findings
        assert finding.value == pytest.approx(55)  # 11 of 20
        assert (finding.start_s, finding.end_s) == pytest.approx((0.0, 5.5))
        assert finding.text == (
            "from 0.0 s to 5.5 s a CPU core was above 90 % while a GPU was below 10 % (55 % of 20 samples in all)"
        )


def test_cpu_bottleneck_spans_of_time_are_told_apart() -> None:
    # Starved but for samples 8 (forgiven) and 20 to 29.
    run = machine(40, core0=95.0, gpu0=lambda index: 50.0 if index == 8 or 20 <= index < 30 else 1.0, gpu1=90.0)
    assert spans(judge("CPUBottleneck", run, patience=0)) == [pytest.approx((0.0, 10.0)), pytest.approx((15.0, 20.0))]


@pytest.mark.parametrize(("core", "gpu"), [(90.0, 5.0), (95.0, 10.0)])
def test_at_the_thresholds_there_is_no_cpu_bottleneck(core: float, gpu: float) -> None:
    assert judge("CPUBottleneck", machine(20, core0=core, gpu0=gpu), patience=0).findings == []


def test_a_busy_cpu_that_trains_is_no_bottleneck() -> None:
    with pytest.raises(NoGPU, match="no GPU was sampled: a CPU that trains is meant to be busy"):
        judge("CPUBottleneck", machine(20, core0=100.0))


def test_patience_keeps_the_beginning_out() -> None:
    # The GPU idles in the first 30 of 60 samples: 15 of the 45 after patience, a third.
    run = machine(60, core0=95.0, gpu0=lambda index: 5.0 if index < 30 else 80.0)
    assert judge("CPUBottleneck", run, patience=15).findings == []
    assert len(judge("CPUBottleneck", run, patience=0, threshold=49.0).findings) == 1


def test_while_the_job_runs_a_hundred_samples_are_needed() -> None:
    run = machine(119, core0=95.0, gpu0=1.0)
    assert judge("CPUBottleneck", run, ended=False, patience=20).datapoints == 0
    assert judge("CPUBottleneck", run, ended=False, patience=19).datapoints == 100


@pytest.mark.parametrize(
    ("iowait", "gpu", "fires"), [(51.0, 69.0, True), (50.0, 69.0, False), (51.0, 70.0, False)]
)  # fmt: skip
def test_io_bottleneck(iowait: float, gpu: float, fires: bool) -> None:
    found = judge("IOBottleneck", machine(20, core0=10.0, gpu0=gpu, iowait=iowait), patience=0)
    assert bool(found.findings) == fires
    if fires:
        assert "I/O wait was above 50 % while a GPU was below 70 %" in found.findings[0].text


@pytest.mark.parametrize(("waiting", "fires"), [(11, True), (10, False)])
def test_without_a_gpu_io_wait_is_judged_alone(waiting: int, fires: bool) -> None:
    run = machine(20, core0=10.0, iowait=lambda index: 80.0 if index < waiting else 0.0)
    found = judge("IOBottleneck", run, patience=0)
    assert bool(found.findings) == fires
    assert found.note == "no GPU was sampled: I/O wait is judged alone"


def test_io_wait_that_was_not_sampled() -> None:
    with pytest.raises(NothingToJudge, match="I/O wait was not sampled"):
        judge("IOBottleneck", machine(20, core0=10.0))


# GPUMemoryIncrease


def test_growing_gpu_memory_is_found_again_and_again() -> None:
    # One point a sample from 20 %: the mean over 5 samples rises by one a sample, from 22. It is more than 10 above
    # after 11 samples (33), then 11 later (44); the next would be 55, beyond the last mean: 20 + 29 - 2 = 47.
    run = machine(30, gpu0_memory=lambda index: 20.0 + index, gpu0=50.0)
    found = judge("GPUMemoryIncrease", run, patience=0, window=5)
    assert [each.value for each in found.findings] == [pytest.approx(11), pytest.approx(11)]
    assert found.findings[0].text == ("gpu0: mean of used memory rose by 11 % from 22 % at 2.0 s to 33 % at 8.0 s")


def test_memory_that_swings_does_not_grow() -> None:
    # 9 points up and down: never more than 10 above the lowest mean.
    run = machine(60, gpu0=50.0, gpu0_memory=lambda index: 40.0 if index % 20 < 10 else 49.0)
    found = judge("GPUMemoryIncrease", run, patience=0, window=5)
    assert (found.findings, found.datapoints) == ([], 60)


@pytest.mark.parametrize(("last", "fires"), [(32.0, True), (29.0, False)])
def test_growing_gpu_memory_in_a_short_job(last: float, fires: bool) -> None:
    # 40 samples: the first 10 allocate and are left out, the window is 10. 20 % and then `last` for the last 10: the
    # mean rises by all of the difference, 12 or 9 points.
    run = machine(40, gpu0=50.0, gpu0_memory=lambda index: 0.0 if index < 5 else 20.0 if index < 30 else last)
    found = judge("GPUMemoryIncrease", run)
    assert bool(found.findings) == fires
    assert "too few for patience=100 and 501 more" in str(found.note)


# LoadBalancing


def test_a_histogram_has_ten_bins() -> None:
    found = histogram(np.array([0.0, 5.0, 15.0, 100.0]))
    assert found.tolist() == [0.5, 0.25, 0, 0, 0, 0, 0, 0, 0, 0.25]


@pytest.mark.parametrize(("alike", "fires"), [(9, True), (10, False)])
def test_two_gpus_that_do_not_share_the_work(alike: int, fires: bool) -> None:
    # gpu1 does as gpu0 in `alike` of 20 samples and idles in the others: the histograms differ by (20 - alike) / 20
    # in two bins, and half the sum of that is 0.55 or 0.5.
    run = machine(20, gpu0=85.0, gpu1=lambda index: 85.0 if index < alike else 0.0)
    found = judge("LoadBalancing", run, patience=0)
    assert bool(found.findings) == fires
    assert found.datapoints == 40
    if fires:
        (finding,) = found.findings
        assert finding.value == pytest.approx(0.55)
        # 9 x 85 / 20 = 38.25
        assert finding.text == "the utilisation of gpu0 (mean 85 %) and gpu1 (mean 38 %) differs: distance 0.55"


def test_one_gpu_has_nothing_to_share() -> None:
    with pytest.raises(NoGPU, match="it judges several GPUs, and one GPU was sampled"):
        judge("LoadBalancing", machine(20, gpu0=50.0))
