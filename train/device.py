"""Which device to train on, and a network's latency there.

A GPU that is there but can't be used ends the job: hours on the CPU at a GPU's price are worse than an error.
"""

import os
import re
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from contract.errors import DeviceError
from model.network import Classifier

# The root of /proc/driver/nvidia/version, /dev/nvidia0 ...
_SYSTEM = Path("/")


@dataclass(frozen=True)
class GpuInfo:
    """A GPU's name and driver, as nvidia-smi reports them."""

    name: str
    driver: str


def choose_device(wanted: str) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`. Raises DeviceError if a GPU is present or requested but unusable."""
    if wanted == "cpu":
        return torch.device("cpu")
    gpu = find_gpu()
    if fault := gpu_fault(gpu, wanted):
        raise DeviceError(fault)
    return torch.device("cpu" if gpu is None and not torch.cuda.is_available() else "cuda")


def find_gpu() -> GpuInfo | None:
    """The first NVIDIA GPU, by nvidia-smi (which NVIDIA's container runtime brings); None without one.

    CUDA_VISIBLE_DEVICES set to nothing, or to -1, hides it on purpose.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return None
    if program := shutil.which("nvidia-smi"):
        # Not compute_cap: driver 470, SageMaker's default on some hosts, doesn't know that field and fails.
        query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        try:
            answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            answer = None
        # Without a GPU some versions say so on stdout.
        if answer is not None and answer.returncode == 0 and "," in answer.stdout:
            name, driver = answer.stdout.splitlines()[0].split(",")[:2]
            return GpuInfo(name.strip(), driver.strip())
    return _gpu_without_tool()


def _gpu_without_tool() -> GpuInfo | None:
    # A container sees its host's /proc: the driver counts only with a device, as without --gpus there is none.
    driver = _SYSTEM / "proc/driver/nvidia/version"
    if not driver.exists() or not any((_SYSTEM / "dev").glob("nvidia[0-9]*")):
        return None
    version = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", driver.read_text(errors="replace"))
    return GpuInfo("an NVIDIA GPU", version.group(1) if version else "of unknown version")


def gpu_fault(gpu: GpuInfo | None, wanted: str) -> str | None:
    """Why the GPU can't be used, in one sentence: what was found, what is needed, what to choose; else None."""
    choose = "or set device=cpu to train on the CPU on purpose"
    if gpu is None and not torch.cuda.is_available():
        if wanted == "cuda":
            return f"device=cuda, but no NVIDIA GPU was found; choose a GPU instance (docker run --gpus all), {choose}"
        return None
    what = f"found {gpu.name} with driver {gpu.driver}" if gpu else "found a GPU"
    build = torch.version.cuda
    if build is None:
        return (
            f"{what}, but this is a CPU build of torch {torch.__version__}; "
            f"use the CUDA image (build with TORCH=cuda), {choose}"
        )
    if not torch.cuda.is_available():
        return (
            f"{what}, but torch {torch.__version__} can't use it: its build for CUDA {build} needs a "
            f"driver for that{_least_driver(build)}; choose a host with a newer driver, or an image built "
            f"for an older CUDA, {choose}"
        )
    return _generation_fault(what, build, choose)


def _generation_fault(what: str, build: str, choose: str) -> str | None:
    major, minor = torch.cuda.get_device_capability(0)
    known = [name for name in torch.cuda.get_arch_list() if name.startswith(("sm_", "compute_"))]
    if not known or runs_on(known, major, minor):
        return None
    return (
        f"{what}, of compute capability {major}.{minor}, but this build of torch (CUDA {build}) knows "
        f"{', '.join(known)} only; choose a GPU of a generation it knows, {choose}"
    )


def runs_on(known: list[str], major: int, minor: int) -> bool:
    """Whether code built for the architectures `known` (sm_80, compute_90 ...) runs on major.minor.

    Binary code (sm_) runs on its generation from its minor number up, intermediate code (compute_)
    on every later one. Source: CUDA C++ programming guide, binary and PTX compatibility.
    """
    for name in known:
        kind, _, digits = name.partition("_")
        number = int("".join(c for c in digits if c.isdigit()))
        built_major, built_minor = divmod(number, 10)
        if kind == "sm" and built_major == major and built_minor <= minor:
            return True
        if kind == "compute" and (built_major, built_minor) <= (major, minor):
            return True
    return False


def _least_driver(cuda: str) -> str:
    """NVIDIA's table of the least Linux driver for each CUDA major version (CUDA release notes)."""
    least = {"11": "450.80", "12": "525.60", "13": "580"}.get(cuda.split(".", 1)[0])
    return f" ({least} or newer)" if least else ""


_WARM_UP: Final = 5
_MEASURED: Final = 20


@torch.inference_mode()
def measure_latency(network: Classifier, image_size: int, device: torch.device) -> float:
    """Milliseconds from pixels to logits for a single image: the median of 20, after 5 that don't count.

    image_size: side of the input in pixels. The network is left on `device`, in evaluation mode.
    """
    network.to(device).eval()
    image = torch.zeros(1, image_size, image_size, 3, dtype=torch.uint8, device=device)
    times = []
    for number in range(_WARM_UP + _MEASURED):
        start = time.perf_counter()
        # Copying to the CPU waits for the GPU to finish.
        network(image).cpu()
        if number >= _WARM_UP:
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)
