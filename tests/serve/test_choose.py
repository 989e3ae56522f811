"""The engine `auto` on machines and for artifacts of all kinds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.errors import ArtifactError, ConfigError
from model.artifact import Artifact
from model.forms import OPENVINO, OPENVINO_INT8, TORCH, Form
from model.preprocess import Preprocess
from serve.engines import choose as module
from serve.engines import registry
from serve.engines.base import EngineOptions
from serve.engines.choose import Choice, Machine, choose, gpu_visible

FORMS = (TORCH, OPENVINO, OPENVINO_INT8)


def with_forms(*forms: str) -> Artifact:
    return Artifact(
        path=Path("/artifact"),
        architecture="resnet18",
        head="linear",
        classes=("a",),
        labels=("A",),
        preprocess=Preprocess(),
        weights_sha256="0" * 64,
        forms={name: Form() for name in forms},
        default_form=forms[-1] if forms else None,
    )


def never() -> str | None:
    raise AssertionError("asked for nothing")


def answers(answer: str | None) -> Callable[[], str | None]:
    return lambda: answer


HERE = answers(None)


def machine(
    gpu: bool = False, gpu_fault: Callable[[], str | None] = never, openvino: Callable[[], str | None] = HERE
) -> Machine:
    return Machine(lambda: gpu, gpu_fault, openvino)


def options_for(device: str = "auto", form: str = "auto") -> EngineOptions:
    return EngineOptions(device, 1, form=form)


def test_without_a_gpu_torch_is_not_asked() -> None:
    choice = choose(with_forms(*FORMS), options_for(), machine(gpu_fault=never))
    assert choice == Choice("openvino", "there is no NVIDIA GPU and the artifact has a form for OpenVINO")


def test_a_gpu_that_can_be_used() -> None:
    choice = choose(with_forms(*FORMS), options_for(), machine(gpu=True, gpu_fault=answers(None), openvino=never))
    assert choice == Choice("torch", "there is an NVIDIA GPU")


def test_a_gpu_that_cannot_be_used_is_told() -> None:
    choice = choose(with_forms(*FORMS), options_for(), machine(gpu=True, gpu_fault=answers("the driver is too old")))
    assert choice.engine == "openvino"
    assert choice.warning == "the GPU can't be used, so predictions run on the CPU: the driver is too old"


def test_the_cpu_is_wanted_on_a_machine_with_a_gpu() -> None:
    choice = choose(with_forms(*FORMS), options_for(device="cpu"), machine(gpu=True, gpu_fault=never))
    assert choice == Choice("openvino", "device cpu is wanted and the artifact has a form for OpenVINO")


def test_an_artifact_without_forms_is_slower_and_that_is_told() -> None:
    choice = choose(with_forms(), options_for(), machine(openvino=never))
    assert choice.engine == "torch"
    assert "slower and takes more memory" in choice.warning
    assert "train with export=int8" in choice.warning
    assert choose(with_forms(TORCH), options_for(), machine(openvino=never)) == choice


def test_openvino_that_cannot_be_imported() -> None:
    choice = choose(with_forms(*FORMS), options_for(), machine(openvino=answers("No module named 'openvino'")))
    assert choice.engine == "torch"
    assert choice.warning.endswith("No module named 'openvino'")


@pytest.mark.parametrize(
    ("options", "engine", "reason"),
    [
        (options_for(device="cuda"), "torch", "device cuda is wanted"),
        (options_for(device="cuda", form=OPENVINO), "torch", "device cuda is wanted"),
        (options_for(form=TORCH), "torch", "form torch is wanted"),
        (options_for(form=OPENVINO), "openvino", "form openvino is wanted"),
        (options_for(form=OPENVINO_INT8), "openvino", "form openvino-int8 is wanted"),
    ],
)
def test_options_are_met_without_a_look_at_the_machine(options: EngineOptions, engine: str, reason: str) -> None:
    unseen = Machine(lambda: bool(never()), never, never)
    assert choose(with_forms(*FORMS), options, unseen) == Choice(engine, reason)


@pytest.mark.parametrize(
    ("files", "environ", "shows"),
    [
        ((), {}, False),
        (("nvidia0", "nvidiactl"), {}, True),
        (("nvidia0",), {"CUDA_VISIBLE_DEVICES": "0", "NVIDIA_VISIBLE_DEVICES": "all"}, True),
        (("nvidia0",), {"CUDA_VISIBLE_DEVICES": ""}, False),
        (("nvidia0",), {"CUDA_VISIBLE_DEVICES": "-1"}, False),
        (("nvidia0",), {"NVIDIA_VISIBLE_DEVICES": "void"}, False),
        # A container that was given the driver, but none of the GPUs.
        (("nvidiactl", "nvidia-uvm"), {"NVIDIA_VISIBLE_DEVICES": "all"}, False),
        (("dxg",), {}, True),
    ],
)
def test_what_shows_a_gpu(files: tuple[str, ...], environ: dict[str, str], shows: bool, tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for file in files:
        (tmp_path / "dev" / file).touch()
    assert gpu_visible(tmp_path, environ) is shows


@pytest.mark.parametrize(
    ("engine", "options", "reason"),
    [
        ("openvino", options_for(device="cuda"), "choose the engine torch for a GPU"),
        ("openvino", options_for(form=TORCH), "runs the forms openvino, openvino-int8, not torch"),
        ("torch", options_for(form=OPENVINO), "runs the form torch, not openvino"),
        ("auto", options_for(device="cuda", form=OPENVINO_INT8), "runs the form torch, not openvino-int8"),
    ],
)
def test_options_that_exclude_each_other(engine: str, options: EngineOptions, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        registry.find(engine)(with_forms(*FORMS), options)


@pytest.mark.parametrize(
    ("forms", "form", "reason"),
    [
        ((), "auto", r"has no form openvino for OpenVINO \(it has: none\); train with export=int8"),
        ((TORCH, OPENVINO), OPENVINO_INT8, r"has no form openvino-int8 for OpenVINO \(it has: openvino\)"),
    ],
)
def test_a_form_that_is_missing(forms: tuple[str, ...], form: str, reason: str) -> None:
    with pytest.raises(ArtifactError, match=reason):
        registry.find("openvino")(with_forms(*forms), options_for(form=form))


def test_the_warning_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(module._log, "warning", lambda text, *values: warnings.append(text % values))
    # There are no files to this artifact, which ends the loading right after the choice.
    artifact = with_forms()
    with pytest.raises(ArtifactError, match=r"has no model\.safetensors"):
        registry.find("auto")(artifact, options_for(device="cpu"))
    (warning,) = warnings
    assert "train with export=int8" in warning
