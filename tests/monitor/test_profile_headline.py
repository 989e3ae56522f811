"""What comes first, what a rule's advice is, and the figures that both are made from."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from contract.hyperparameters import Hyperparameters
from contract.rules.verdict import Finding, Verdict
from monitor.profiler.advice import Facts, Stages, settings, stages
from monitor.profiler.headline import advise, headline
from tests.train.profiles import GPU, LOADING, SETTINGS, WELL, ask, changed, read, sample, step, steps, write_job


def test_what_is_most_at_stake_comes_first() -> None:
    # Loading: 41 % of 80 s = 32.8; validation 40 s; observers 4 % of 80 s = 3.2; memory before all.
    facts = changed(WELL, shares={**LOADING, "hook": 0.04}, validation_s=40.0, memory_max=95.0)
    assert [text.split(" ")[0] for text in headline(facts)] == ["Memory", "Validation", "Loading", "Saving"]
    # Under 2 % of the job (3.2 s of 300) nobody needs to care.
    longer = replace(facts, stages=Stages(5.0, 290.0, 5.0), validation_s=0.0)
    assert [text.split(" ")[0] for text in headline(longer)] == ["Memory", "Loading"]


def test_a_trade_comes_last_and_a_job_without_training_gets_no_advice_about_it() -> None:
    trade = changed(GPU, device="cpu", workers=0, shares={**WELL.shares, "forward": 0.4}, process=50.0)
    assert [text.split(" ")[0] for text in headline(trade)] == ["Other", "Forward"]
    never = replace(trade, stages=Stages(100.0, 0.0, 0.0), shares={}, steps_s=0.0)
    assert headline(never) == ["Nothing stands out: the CPU is used 95 %, the GPU up to 90 %."]


def fired(name: str) -> Verdict:
    asked = ask(name)
    verdict = Verdict(asked.spec, asked.parameters)
    verdict.add([Finding("it fired")])
    return verdict


def test_a_rules_advice_is_the_jobs_own_where_there_is_one() -> None:
    facts = changed(GPU, {"cache": "memory"}, shares=LOADING, workers=2)
    loading = "Loading data takes 41 % of a step: set workers=8 (now 2)."
    for name in ("BatchSize", "CPUBottleneck", "IOBottleneck", "LowGPUUtilization", "StepOutlier", "Dataloader"):
        assert advise(fired(name), facts) == loading, name
    assert advise(fired("CPUBottleneck"), GPU) == fired("CPUBottleneck").spec.advice
    quiet = Verdict(fired("CPUBottleneck").spec, {})
    assert advise(quiet, facts) is None
    overall = Verdict(ask("OverallFrameworkMetrics").spec, {})
    assert advise(overall, facts) == loading
    assert advise(overall, WELL) is None


@pytest.mark.parametrize(("facts", "better"), [(replace(WELL, workers=5), 0), (replace(GPU, cores=4, workers=9), 4)])
def test_too_many_loading_processes(facts: Facts, better: int) -> None:
    assert str(advise(fired("Dataloader"), facts)).startswith(f"Set workers={better} (now {facts.workers}): ")


def test_rules_that_fired_are_in_the_headline_once() -> None:
    size = fired("LowGPUUtilization")
    facts = replace(GPU, gpu_p95=50.0, gpu_memory_p95=20.0)
    size.advice = advise(size, facts)
    assert headline(facts, [size]) == [size.advice]
    growing = fired("GPUMemoryIncrease")
    growing.advice = advise(growing, facts)
    assert headline(GPU, [growing]) == [f"GPUMemoryIncrease: {growing.spec.advice}"]


def test_every_hyperparameter_that_is_named_exists() -> None:
    # cache is advised only where it is among the job's settings.
    known = set(Hyperparameters.__dataclass_fields__)
    assert set(SETTINGS) - known <= {"cache"}


# The figures that advice is made from.


def test_the_stages_of_a_job(tmp_path: Path) -> None:
    run = read(write_job(tmp_path, steps=steps(10, at=5.0), stages={"initialization": 0.0}))
    # Steps from 5 to 6 s; nothing told when training ended.
    assert stages(run) == pytest.approx(Stages(5, 1, 0))
    waiting = read(write_job(tmp_path / "b", [sample(19)], stages={"initialization": 0.0}))
    assert stages(waiting) == Stages(10, 0, 0)


def test_the_figures_are_of_the_training_loop(tmp_path: Path) -> None:
    # Samples at 0.5 ... 10 s; training from 4 to 8 s: indices 7 to 14.
    rows = [sample(index, (10.0, 30.0) if 7 <= index < 15 else (100.0, 100.0), memory=index) for index in range(20)]
    timed = [step(number, 4 + number / 10, 1 + number // 6) for number in range(10)]
    timed[5]["recorded"] = True
    facts = Facts.of(read(write_job(tmp_path, rows, timed, {"training": 4.0, "finalization": 8.0})))
    assert facts.stages == Stages(4, 4, 2)
    assert (facts.cpu, facts.process, facts.memory_max, facts.iowait) == (20, 55, 14, 1)
    assert [facts.steps_s, facts.recorded_s] == pytest.approx([1, 0.1])
    assert (facts.steps_per_epoch, facts.workers, facts.device, facts.cores) == (6, 0, "cpu", 2)
    assert facts.share("forward", "backward") == pytest.approx(80)
    assert math.isnan(facts.gpu_p95)
    assert math.isnan(facts.get("no_such_setting"))


def test_settings_may_be_json_in_strings(tmp_path: Path) -> None:
    chosen = Hyperparameters(batch_size=4, freeze="backbone")
    run = read(write_job(tmp_path, config={"hyperparameters": chosen.to_json()}))
    found = settings(run)
    assert (found["batch_size"], found["freeze"], found["lr"]) == (4, "backbone", 0.001)
