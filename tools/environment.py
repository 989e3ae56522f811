"""Make .venv, Kennel's own environment: `make setup`.

    python -m tools.setup_env

TORCH=cpu or TORCH=cuda overrides the choice of torch's build. A second run finds its own stamp and does
nothing; what an interrupted run left is made anew.
"""

import importlib.util
import os
import platform
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from tools import SetupError, stamp
from tools.installer import Installer
from tools.lockfile import read
from tools.torch_build import CPU_INDEX, BuildChoice, BuildFacts, choose, nvidia_gpu, reachable, wants_cpu_build

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
VENV = ROOT / ".venv"
GROUPS = ("image", "client", "dev")
TESTED = (3, 11)
GIGABYTES = {"cpu": 2, "cuda": 8}  # of free disk space, downloads included
TRIAL = "import torch, numpy, PIL, safetensors, flask, gunicorn, typer, rich, pytest"


def check_platform() -> None:
    """Raise SetupError where no environment can be made."""
    if os.name != "posix":
        raise SetupError("Kennel runs on Linux and macOS: on Windows, use it inside WSL.")
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python3.{sys.version_info[1]}-venv"
        raise SetupError(
            f"{sys.executable} cannot make virtual environments, as its ensurepip module is missing: "
            f"on Debian and Ubuntu `sudo apt-get install {package}` adds it."
        )


def clear_venv() -> None:
    """Remove a .venv that was made here. Raises SetupError on one that was not."""
    old = VENV.with_name(".venv-old")  # renamed first: half a .venv without its stamp would pass for somebody else's
    if VENV.is_symlink() or (VENV.exists() and any(VENV.iterdir()) and not (VENV / stamp.NAME).exists()):
        raise SetupError(f"{VENV} was not made by `make setup`: move it away, then run `make setup` again.")
    shutil.rmtree(old, ignore_errors=True)
    if VENV.exists():
        VENV.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def versions() -> dict[str, str]:
    """The versions of torch and torchvision in requirements/torch.txt, by name."""
    return {block.name: block.version for block in read(LOCKS / "torch.txt")}


def gather(pip: Installer, requested: str, gpu: bool) -> BuildFacts:
    """Find out what the choice of torch depends on, looking for CPU builds only where one is wanted."""
    facts = BuildFacts(platform.system(), requested, gpu)
    if wants_cpu_build(facts):
        facts = replace(facts, at_hand=pip.finds(f"torch=={versions()['torch']}+cpu"))
        facts = replace(facts, index=not facts.at_hand and reachable(f"{CPU_INDEX}/torch/"))
    return facts


def install_torch(pip: Installer, choice: BuildChoice) -> None:
    """Install torch and torchvision as chosen. Raises SetupError."""
    if choice.source == "pypi":
        pip.install_locked(LOCKS / "torch-cuda.txt")
        return
    torch, torchvision = (f"{name}=={versions()[name]}+cpu" for name in ("torch", "torchvision"))
    if choice.source == "index":
        pip.install("--index-url", CPU_INDEX, torch, torchvision)
        return
    pip.install(torch)
    if pip.finds(torchvision):
        pip.install(torchvision)
        return
    # PyPI's is linked against CUDA torch: beside this one its compiled operators are missing, and not needed.
    alone = VENV / "torchvision.txt"
    alone.write_text(next(block.text for block in read(LOCKS / "torch-cuda.txt") if block.name == "torchvision"))
    pip.install_locked(alone)


def check_space(build: str) -> None:
    """Raise SetupError where the disk is too full for this build of torch and the rest."""
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < GIGABYTES[build]:
        raise SetupError(
            f"{ROOT} has {free:.1f} GB of disk space left, but the environment takes {GIGABYTES[build]} GB: "
            "make room, then run `make setup` again."
        )


def make(requested: str, gpu: bool) -> None:
    """Make the environment from nothing. Raises SetupError."""
    start = time.monotonic()
    key = stamp.key(LOCKS, VENV)
    choose(
        BuildFacts(platform.system(), requested, gpu, at_hand=True)
    )  # a TORCH that cannot be had fails before any work
    clear_venv()
    VENV.mkdir()
    stamp.write(VENV, state="unfinished")
    pip = Installer(VENV)
    untested = "" if sys.version_info[:2] == TESTED else " (accepted; what is tested is 3.11)"
    print(f"1/5 environment .venv, Python {platform.python_version()}{untested}", flush=True)
    # Inside an activated .venv, sys.executable has just been removed.
    pip.run([getattr(sys, "_base_executable", sys.executable), "-m", "venv", str(VENV)])

    facts = gather(pip, requested, gpu)
    choice = choose(facts)
    check_space(choice.build)
    print(f"2/5 torch {versions()['torch']}, {choice.build.upper()} build: {choice.why}", flush=True)
    try:
        install_torch(pip, choice)
    except SetupError as fault:
        if choice.source == "pypi":
            raise
        print(f"    {fault}", flush=True)
        choice = choose(replace(facts, at_hand=False, index=False))
        print(f"2/5 torch {versions()['torch']} from elsewhere: {choice.why}", flush=True)
        install_torch(pip, choice)

    locks = [LOCKS / f"{group}.txt" for group in GROUPS]
    print(f"3/5 {len({block.name for lock in locks for block in read(lock)})} packages, as locked", flush=True)
    pip.install_locked(*locks)
    print("4/5 compiling them to bytecode", flush=True)
    pip.compile()
    print("5/5 trying them out", flush=True)
    pip.run([str(pip.python), "-W", "ignore", "-c", TRIAL])
    made = {"state": "ready", "key": key, "build": choice.build, "source": choice.source, "asked": requested}
    stamp.write(VENV, **made, bytecode=stamp.COMPILED)
    print(f"Ready in {time.monotonic() - start:.0f} s.", flush=True)


def compile_existing(made: dict[str, str]) -> None:
    """Compile the packages of an environment from before set-ups did. Raises SetupError."""
    print("Compiling the packages in .venv to bytecode, once", flush=True)
    Installer(VENV).compile()
    stamp.write(VENV, **(made | {"bytecode": stamp.COMPILED}))


def wait_for_turn() -> None:
    """Keep two set-ups of one folder apart, until this process ends."""
    import fcntl  # not on Windows, which check_platform refuses

    folder = os.open(LOCKS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another set-up of this folder is at work: waiting for it.", flush=True)
        fcntl.flock(folder, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks


def main() -> int:
    """Make .venv unless it is there and current. Exit code 0 ready, 1 failed, 130 interrupted."""
    requested = os.environ.get("TORCH", "")
    try:
        check_platform()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        wait_for_turn()
        gpu = nvidia_gpu()
        made = stamp.read(VENV)
        if not stamp.is_current(made, stamp.key(LOCKS, VENV), requested, gpu):
            make(requested, gpu)
        elif made.get("bytecode") != stamp.COMPILED:
            compile_existing(made)
    except SetupError as error:
        print(f"make setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmake setup: interrupted; run it again to start afresh.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
