"""A virtual environment for each peer, with the versions that the figures are of."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

# The same in each, so that engine and decoding are what Kennel has.
_ENGINE: Final = ("numpy==2.2.6", "pillow==13.0.0", "openvino==2026.4.1")
_TORCH: Final = ("torch==2.13.0", "safetensors==0.8.0")
# What pip is asked for, and then, as its own requirements would bring a CUDA build, without them.
PINS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "litserve": (("litserve==0.2.19", *_ENGINE, *_TORCH), ("torchvision==0.28.0",)),
    "bentoml": (("bentoml==1.4.39", *_ENGINE, *_TORCH), ("torchvision==0.28.0",)),
    # A newer uvloop ends MLServer's workers at their start.
    "mlserver": (("mlserver==1.7.1", "uvloop==0.21.0", *_ENGINE), ()),
    "torchserve": (("torchserve==0.12.0", "torch-model-archiver==0.12.0", "pyyaml==6.0.3", *_ENGINE, *_TORCH), ()),
    "mms": (("multi-model-server==1.1.11", "model-archiver==1.0.3", *_ENGINE), ()),
}
NEEDS_JAVA: Final = ("torchserve", "mms")


def bench_folder() -> Path:
    """Environments, artifact, photos and results: KENNEL_BENCH_DIR, else runs/benchmarks/serving in the project."""
    return Path(os.environ.get("KENNEL_BENCH_DIR") or ROOT / "runs" / "benchmarks" / "serving")


def missing(name: str) -> str | None:
    """What this machine lacks for the peer, in words; None when nothing."""
    if name in NEEDS_JAVA and shutil.which("java") is None:
        return "there is no Java here (apt-get install --no-install-recommends openjdk-17-jre-headless)"
    return None


def python(name: str | None) -> Path:
    """The interpreter of a peer's environment, or with None our own."""
    return Path(sys.executable) if name is None else bench_folder() / "venvs" / name / "bin" / "python"


def make(name: str) -> str | None:
    """Make a peer's environment unless it is there with these versions. Returns why it can't be had, or None."""
    folder = bench_folder() / "venvs" / name
    with_needs, alone = PINS[name]
    stamp, wanted = folder / "pins.txt", "\n".join([*with_needs, *alone])
    if stamp.is_file() and stamp.read_text() == wanted:
        return None
    print(f"  installing {name} into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    steps = [
        [sys.executable, "-m", "venv", str(folder)],
        [str(python(name)), "-m", "pip", "install", "-q", *with_needs],
    ]
    if alone:
        steps.append([str(python(name)), "-m", "pip", "install", "-q", "--no-deps", *alone])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return f"its environment can't be made ({last[:200]})"
    stamp.write_text(wanted)
    return None


def plain_environment() -> dict[str, str]:
    """This process's variables without those that would change how a server computes."""
    ours = ("OMP_", "MKL_", "KMP_", "ONEDNN_", "DNNL_", "OPENBLAS_", "SAGEMAKER_", "KENNEL_", "TORCH_", "BENCHMARK_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
