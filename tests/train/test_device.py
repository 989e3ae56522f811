"""GPUs that are there and can't be used."""

from pathlib import Path

import pytest
import torch

from contract.errors import DeviceError
from train.device import GpuInfo, choose_device, find_gpu, gpu_fault, runs_on

T4 = GpuInfo("Tesla T4", "470.57.02")


@pytest.mark.parametrize(
    ("known", "capability", "runs"),
    [
        (["sm_80"], (8, 6), True),  # a later minor of the same generation
        (["sm_80"], (8, 0), True),
        (["sm_86"], (8, 0), False),  # an earlier one
        (["sm_90"], (8, 0), False),
        (["sm_80"], (9, 0), False),  # binary code stays in its generation
        (["sm_90", "compute_90"], (12, 0), True),  # intermediate code is compiled for later ones
        (["compute_90"], (8, 9), False),
        (["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"], (7, 0), False),
        (["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"], (7, 5), True),
        (["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"], (10, 3), True),
        (["sm_90a"], (9, 0), True),
        ([], (8, 0), False),
    ],
)
def test_which_code_runs_where(known: list[str], capability: tuple[int, int], runs: bool) -> None:
    assert runs_on(known, *capability) is runs


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """torch as if built for CUDA 13.0, with a GPU of capability 7.5 that works."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _index: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90", "compute_120"])
    return monkeypatch


def test_a_gpu_that_works(cuda_build: pytest.MonkeyPatch) -> None:
    assert gpu_fault(T4, "auto") is None
    assert gpu_fault(None, "cuda") is None


def test_a_driver_too_old(cuda_build: pytest.MonkeyPatch) -> None:
    cuda_build.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_fault(T4, "auto") == (
        f"found Tesla T4 with driver 470.57.02, but torch {torch.__version__} can't use it: its build "
        "for CUDA 13.0 needs a driver for that (580 or newer); choose a host with a newer driver, or an image built "
        "for an older CUDA, or set device=cpu to train on the CPU on purpose"
    )


def test_a_generation_the_build_does_not_know(cuda_build: pytest.MonkeyPatch) -> None:
    cuda_build.setattr(torch.cuda, "get_device_capability", lambda _index: (7, 0))
    fault = gpu_fault(GpuInfo("Tesla V100-SXM2-16GB", "580.82.07"), "auto")
    assert fault == (
        "found Tesla V100-SXM2-16GB with driver 580.82.07, of compute capability 7.0, but this build of "
        "torch (CUDA 13.0) knows sm_75, sm_80, sm_90, compute_120 only; choose a GPU of a generation it "
        "knows, or set device=cpu to train on the CPU on purpose"
    )


def test_a_cpu_build_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    fault = gpu_fault(T4, "auto")
    assert fault is not None
    assert f"this is a CPU build of torch {torch.__version__}; use the CUDA image" in fault


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No GPU, and an empty folder as the only one on PATH."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("train.device._SYSTEM", tmp_path)
    return monkeypatch


def test_without_a_gpu(no_gpu: pytest.MonkeyPatch) -> None:
    assert find_gpu() is None
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(DeviceError, match="device=cuda, but no NVIDIA GPU was found; choose a GPU instance"):
        choose_device("cuda")


def nvidia_smi(folder: Path, script: str) -> None:
    file = folder / "nvidia-smi"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.mark.parametrize("script", ["echo 'No devices were found'", "echo 'Tesla T4, 470' ; exit 9"])
def test_an_nvidia_smi_that_finds_nothing(no_gpu: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    nvidia_smi(tmp_path, script)
    assert find_gpu() is None


def test_the_first_of_two_gpus_is_named(no_gpu: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nvidia_smi(tmp_path, "echo 'Tesla T4, 470.57.02'; echo 'Tesla V100, 470.57.02'")
    assert find_gpu() == T4
    with pytest.raises(DeviceError, match=r"found Tesla T4 with driver 470\.57\.02"):
        choose_device("auto")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_hidden_on_purpose(no_gpu: pytest.MonkeyPatch, tmp_path: Path, hidden: str) -> None:
    nvidia_smi(tmp_path, "echo 'Tesla T4, 470.57.02'")
    no_gpu.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert choose_device("auto") == torch.device("cpu")


def driver(system: Path, text: str) -> None:
    """What NVIDIA's kernel module shows in /proc."""
    file = system / "proc" / "driver" / "nvidia" / "version"
    file.parent.mkdir(parents=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02  Tue Jul 13 16:14:05 UTC 2021\nGCC 9.3",
            "470.57.02",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build", "580.65.06"),
        ("something else", "of unknown version"),
    ],
)
def test_a_gpu_without_nvidia_smi(no_gpu: pytest.MonkeyPatch, tmp_path: Path, text: str, version: str) -> None:
    driver(tmp_path, text)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    with pytest.raises(DeviceError, match=f"found an NVIDIA GPU with driver {version},"):
        choose_device("auto")


def test_a_container_that_was_given_no_gpu_of_its_host(no_gpu: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver(tmp_path, "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    assert choose_device("auto") == torch.device("cpu")
