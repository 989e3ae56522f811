"""Each piece of advice, where it is given and where it isn't."""

from dataclasses import replace
from typing import Any

import pytest

from monitor.profiler.advice import TOPICS, Facts, Stages
from monitor.profiler.headline import headline
from tests.train.profiles import GPU, LOADING, SHARES, WELL, changed

ONCE = "freeze=backbone computes the features once and trains the head alone"


def told(topic: str, facts: Facts) -> str | None:
    advice = TOPICS[topic](facts)
    return advice.text if advice else None


def test_nothing_is_advised_where_nothing_is_wrong() -> None:
    for facts in (WELL, GPU):
        assert {topic: told(topic, facts) for topic in TOPICS} == dict.fromkeys(TOPICS)
    assert headline(WELL) == ["Nothing stands out: forward and backward take 70 % of a step, the CPU is used 95 %."]
    assert headline(GPU)[0].endswith("the CPU is used 95 %, the GPU up to 90 %.")


def test_loading_that_takes_more_than_15_percent() -> None:
    facts = changed(WELL, shares=LOADING, cores=8, cpu=60.0)
    assert told("data", facts) == (
        "Loading data takes 41 % of a step: set cache=memory (decoded images stay in memory) or workers=4."
    )
    assert told("data", changed(facts, shares={**LOADING, "data": 0.15})) is None


@pytest.mark.parametrize(
    ("chosen", "other", "remedy"),
    [
        # Images that are kept already, read but once, or that there is no room for.
        ({"cache": "memory"}, {}, "set workers=1 (now 0)."),
        ({"epochs": 1}, {}, "set workers=1 (now 0)."),
        ({}, {"memory_max": 81.0}, "set workers=1 (now 0)."),
        ({}, {"memory_max": 80.0}, "set cache=memory (decoded images stay in memory) or workers=1."),
        # A CPU that is busy with the network has nothing left for loading processes.
        ({}, {"cpu": 85.0}, "set cache=memory (decoded images stay in memory)."),
        ({}, {"workers": 1}, "set cache=memory (decoded images stay in memory)."),
        ({"cache": "memory"}, {"cpu": 85.0, "iowait": 21.0}, "pack the images in archives (python -m train.pack)."),
        ({"cache": "memory"}, {"cpu": 85.0, "iowait": 20.0}, "a machine with more CPU cores would help."),
        ({"cache": "memory", "pretrained": "imagenet"}, {"cpu": 85.0},
         "set freeze=backbone (features are computed once)."),
        ({"cache": "memory", "freeze": "backbone", "feature_views": 0}, {"cpu": 85.0},
         "set feature_views=4 (features are computed once)."),
    ],
)  # fmt: skip
def test_faster_loading_on_the_cpu(chosen: dict[str, Any], other: dict[str, Any], remedy: str) -> None:
    facts = changed(WELL, chosen, **{"shares": LOADING, "cpu": 60.0, **other})
    assert told("data", facts) == f"Loading data takes 41 % of a step: {remedy}"


@pytest.mark.parametrize(
    ("workers", "cores", "remedy"),
    [(2, 4, "set workers=4 (now 2)."), (4, 16, "set workers=8 (now 4)."),
     (8, 16, "a machine with more CPU cores would help.")],
)  # fmt: skip
def test_faster_loading_beside_a_gpu(workers: int, cores: int, remedy: str) -> None:
    facts = changed(GPU, {"cache": "memory"}, shares=LOADING, workers=workers, cores=cores)
    assert told("data", facts) == f"Loading data takes 41 % of a step: {remedy}"


def test_a_cache_that_this_version_does_not_have_is_not_advised() -> None:
    without = {name: value for name, value in WELL.settings.items() if name != "cache"}
    assert "cache" not in str(told("data", replace(WELL, settings=without, shares=LOADING)))


@pytest.mark.parametrize(
    ("share", "chosen", "remedy"),
    [
        (0.03, {}, None),
        # Twice the 3 % that it may take: half as often.
        (0.06, {}, "set debug_interval=20 (now 10)."),
        (0.06, {"debug_interval": 0}, "set debug_interval higher than the automatic choice, or debug=off."),
        (0.06, {"debug": "off"}, "set tensorboard=off."),
        (0.06, {"debug": "off", "tensorboard": "off"}, None),
    ],
)
def test_observers_that_take_more_than_3_percent(share: float, chosen: dict[str, Any], remedy: str | None) -> None:
    found = told("hook", changed(WELL, chosen, shares={**SHARES, "hook": share}))
    assert found == (f"Saving tensors and other observers take 6 % of a step: {remedy}" if remedy else None)


@pytest.mark.parametrize(
    ("share", "size", "steps", "remedy"),
    [
        (0.15, 2, 1000, None),
        # 20 % of a step. To be 5 %, the rest must be 19 times it, which is now 4 times: 4.75 times the images, 8 as a
        # power of two.
        (0.20, 2, 1000, "set batch_size=16 (now 2)."),
        # 80 images an epoch: four steps of 20, so of 16.
        (0.20, 8, 10, "set batch_size=16 (now 8)."),
        (0.20, 8, 8, "set batch_size=16 (now 8)."),
        (0.20, 8, 7, None),
        (0.20, 64, 1000, None),
    ],
)
def test_an_optimizer_that_has_too_few_images(share: float, size: int, steps: int, remedy: str | None) -> None:
    facts = changed(WELL, {"batch_size": size}, shares={**SHARES, "optimizer": share}, steps_per_epoch=steps)
    lead = "The optimizer takes 20 % of a step, however many images it has: "
    assert told("batch", facts) == (f"{lead}{remedy}" if remedy else None)


@pytest.mark.parametrize(("gpu", "used", "fires"), [(69.0, 69.0, True), (70.0, 69.0, False), (69.0, 70.0, False)])
def test_a_gpu_with_room_for_larger_batches(gpu: float, used: float, fires: bool) -> None:
    found = told("batch", replace(GPU, gpu_p95=gpu, gpu_memory_p95=used))
    expected = "The GPU is used up to 69 % and its memory up to 69 % (95th percentiles): set batch_size=64 (now 32)."
    assert found == (expected if fires else None)
    # A GPU that waits for data is not helped by a larger batch.
    assert told("batch", replace(GPU, gpu_p95=gpu, gpu_memory_p95=used, shares=LOADING)) is None


@pytest.mark.parametrize(("cpu", "fires"), [(52.0, True), (60.0, False)])
def test_idle_cores(cpu: float, fires: bool) -> None:
    found = told("idle", replace(WELL, cpu=cpu))
    expected = "Training uses 52 % of 2 CPU cores on average: set batch_size=64 (now 32)."
    assert found == (expected if fires else None)
    assert told("idle", replace(WELL, cpu=cpu, shares=LOADING)) is None
    assert told("idle", replace(GPU, cpu=cpu)) is None


@pytest.mark.parametrize(("process", "fires"), [(60.0, True), (70.0, False)])
def test_processes_of_others(process: float, fires: bool) -> None:
    found = told("others", replace(WELL, process=process))
    expected = "Other processes use 35 % of this machine's CPU: training would be faster alone."
    assert found == (expected if fires else None)


@pytest.mark.parametrize(
    ("seconds", "chosen", "remedy"),
    [
        (22.4, {}, None),
        (31.5, {"cache": "memory"}, "where no validation data is given, validation_fraction=0.1 (now 0.2)."),
        (31.5, {"validation_fraction": 0.1}, "set cache=memory (decoded images stay in memory)."),
        (31.5, {"cache": "memory", "validation_fraction": 0.1, "test_image_size": 288},
         "test_image_size=224 (now 288)."),
        (31.5, {"cache": "memory", "validation_fraction": 0.1}, None),
    ],
)  # fmt: skip
def test_long_validation(seconds: float, chosen: dict[str, Any], remedy: str | None) -> None:
    found = told("validation", changed(WELL, chosen, validation_s=seconds))
    assert found == (f"Validation takes 35 % of the training loop: {remedy}" if remedy else None)


@pytest.mark.parametrize(
    ("took", "training", "chosen", "remedy"),
    [
        (29.0, 40.0, {}, None),
        (30.0, 121.0, {}, None),
        (40.0, 60.0, {}, "pack the images in archives (python -m train.pack), which are listed and read faster."),
        (40.0, 60.0, {"freeze": "backbone"}, "set feature_views=2 (now 4; each is a pass over all images)."),
        (40.0, 60.0, {"freeze": "backbone", "feature_views": 1},
         "pack the images in archives (python -m train.pack), which are listed and read faster."),
    ],
)  # fmt: skip
def test_a_late_first_step(took: float, training: float, chosen: dict[str, Any], remedy: str | None) -> None:
    found = told("initialization", changed(WELL, chosen, stages=Stages(took, training, 0.0)))
    assert found == (f"Before the first step 40 s pass, 40 % of the job: {remedy}" if remedy else None)


@pytest.mark.parametrize(
    ("took", "export", "fires"), [(60.0, "int8", True), (59.0, "int8", False), (60.0, "openvino", False)]
)
def test_a_long_end(took: float, export: str, fires: bool) -> None:
    found = told("finalization", changed(WELL, {"export": export}, stages=Stages(10.0, 130.0, took)))
    expected = "After the last step 60 s pass, 30 % of the job: while trying things out, set export=none."
    assert found == (expected if fires else None)


@pytest.mark.parametrize(
    ("seconds", "chosen", "fires"), [(9.0, "auto", True), (8.9, "auto", False), (9.0, "none", False)]
)
def test_recording_that_takes_long(seconds: float, chosen: str, fires: bool) -> None:
    found = told("recording", changed(WELL, {"profile_steps": chosen}, recorded_s=seconds))
    assert (found is not None) == fires
    if fires:
        assert "took 10 % of the training loop: set profile_steps=none" in str(found)


def test_a_gpu_that_is_not_used() -> None:
    asked = changed(WELL, {"device": "cpu"}, gpus=("H200",))
    assert told("device", asked) == "The machine has a GPU (H200), and the CPU trained: set device=auto."
    assert told("device", replace(asked, device="cuda")) is None
    assert told("device", replace(asked, gpus=())) is None
    assert told("device", changed(asked, {"device": "auto"})) is None


@pytest.mark.parametrize(
    ("used", "chosen", "workers", "remedy"),
    [
        (90.0, {"cache": "memory"}, 0, None),
        (91.0, {"cache": "memory"}, 4, "set cache=none."),
        (91.0, {}, 4, "set workers=2 (now 4)."),
        (91.0, {}, 0, "set batch_size=16 (now 32)."),
        (91.0, {"batch_size": 1}, 0, "a machine with more memory is safer."),
    ],
)
def test_memory_that_runs_out(used: float, chosen: dict[str, Any], workers: int, remedy: str | None) -> None:
    found = told("memory", changed(WELL, chosen, memory_max=used, workers=workers))
    assert found == (f"Memory is used up to 91 %: {remedy}" if remedy else None)


@pytest.mark.parametrize(
    ("share", "chosen", "remedy"),
    [
        (0.34, {}, None),
        # 0.7 x 224 = 156.8, the next multiple of 32 is 160; (160 / 224)^2 = 0.51.
        (0.40, {}, "image_size=160 (now 224) needs 51 % of the operations"),
        (0.40, {"pretrained": "imagenet", "image_size": 96},
         ONCE),
        (0.40, {"pretrained": "imagenet", "freeze": "gradual", "image_size": 128},
         f"image_size=96 (now 128) needs 56 % of the operations or {ONCE}"),
        (0.40, {"freeze": "backbone", "feature_views": 0}, "feature_views=4 computes the features once"),
        (0.40, {"freeze": "backbone", "feature_views": 4}, None),
        (0.40, {"image_size": 96}, None),
    ],
)  # fmt: skip
def test_fewer_operations_are_a_trade(share: float, chosen: dict[str, Any], remedy: str | None) -> None:
    found = told("compute", changed(WELL, chosen, shares={**SHARES, "forward": share}))
    assert found == (
        f"Forward and backward take 80 % of a step: {remedy}; look at the accuracy then." if remedy else None
    )
