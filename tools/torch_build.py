"""Which build of torch this machine gets, and from where.

PyPI's build for Linux brings CUDA, of which a machine without an NVIDIA GPU has no use: 5 GB on disk. The CPU
build of the same version takes a seventh of that, but lies only on PyTorch's own index, or as a wheel in the
places where this machine's pip is set to look.
"""

import shutil
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tools import SetupError

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 4.0
CUDA_SIZE = "1.4 GB to download, 5 GB on disk"


@dataclass(frozen=True)
class BuildFacts:
    """What the choice depends on. `system` is platform.system(), `requested` the variable TORCH or ""."""

    system: str
    requested: str
    gpu: bool
    at_hand: bool = False  # pip finds a wheel of the CPU build in the places it is configured for
    index: bool = False  # PyTorch's own index answers


@dataclass(frozen=True)
class BuildChoice:
    """A build of torch, where it comes from, and the reason in words."""

    build: str  # "cpu" or "cuda"
    source: str  # "at hand", "index" or "pypi"
    why: str


def wants_cpu_build(facts: BuildFacts) -> bool:
    """Whether a CPU build has to be looked for at all."""
    return facts.system == "Linux" and (facts.requested == "cpu" or (not facts.requested and not facts.gpu))


def choose(facts: BuildFacts) -> BuildChoice:
    """Choose build and source.

    Raises SetupError where TORCH has an unknown value, or asks for what cannot be had here.
    """
    if facts.requested not in ("", "cpu", "cuda"):
        raise SetupError(f"TORCH={facts.requested} is not known: choose TORCH=cpu or TORCH=cuda, or leave it unset.")
    if facts.system == "Darwin":
        if facts.requested == "cuda":
            raise SetupError("TORCH=cuda was asked for, but there is no CUDA build for macOS: leave TORCH unset.")
        return BuildChoice("cpu", "pypi", "the only build for macOS")
    if facts.requested == "cuda":
        return BuildChoice("cuda", "pypi", "asked for by TORCH=cuda")
    if not wants_cpu_build(facts):
        return BuildChoice("cuda", "pypi", "this machine has an NVIDIA GPU")
    why = "asked for by TORCH=cpu" if facts.requested else "no NVIDIA GPU here"
    if facts.at_hand:
        return BuildChoice("cpu", "at hand", f"{why}; pip has its wheel at hand")
    if facts.index:
        return BuildChoice("cpu", "index", f"{why}; from PyTorch's own index")
    if facts.requested:
        raise SetupError(
            f"TORCH=cpu was asked for, but {CPU_INDEX} cannot be reached and pip finds no CPU wheel: "
            "mend the network, or put the wheel into a folder and name that in PIP_FIND_LINKS."
        )
    why += f", but {CPU_INDEX} cannot be reached: PyPI has only CUDA's, {CUDA_SIZE}"
    return BuildChoice("cuda", "pypi", why)


def reachable(url: str, seconds: float = PROBE_SECONDS) -> bool:
    """Whether `url` answers within `seconds` in all: name lookup, which knows no time limit, included."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=seconds) as response:
                answers.append(response.status == 200)
        except urllib.error.URLError as fault:
            # pip brings its own certificates: where only Python's are missing, let pip have a try.
            answers.append(isinstance(fault.reason, ssl.SSLCertVerificationError))
        except OSError:
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers == [True]


def nvidia_gpu(root: Path = Path("/")) -> bool:
    """Whether an NVIDIA GPU can be used here; `root` is where /proc and /dev are."""
    # A container sees the host's /proc, so the driver alone proves nothing: its device must be there too.
    if any((root / "proc/driver/nvidia/gpus").glob("*")) and any((root / "dev").glob("nvidia[0-9]*")):
        return True
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listing.returncode == 0 and "GPU " in listing.stdout
