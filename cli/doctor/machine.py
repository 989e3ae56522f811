"""This machine: Python's packages, the folder of the runs, Docker."""

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from backends.settings.sections import General
from cli.doctor.check import CheckResult, State, fault, note, ok

_NEEDED: Final = ("torch", "torchvision", "numpy", "PIL", "safetensors", "gunicorn", "openvino")
_ROOM_GB: Final = 5.0
_LIMIT_S: Final = 60


def check_packages(general: General) -> Iterator[CheckResult]:
    """What jobs as local processes import; only a note where none is to run so."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    version = f"Python {platform.python_version()}"
    if missing:
        state: State = "fault" if general.on == "local" else "note"
        reason = f"{version} lacks {', '.join(missing)}, for jobs on this machine; run: make setup"
        yield CheckResult("Python", state, reason)
    else:
        yield ok("Python", f"{version}, with all that jobs on this machine import")


def check_runs(runs: Path) -> Iterator[CheckResult]:
    """Whether run folders can be made, and how much room there is for them."""
    place = runs.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield fault("run folders", f"{runs} can't be made or written to; set runs in [kennel], or give --runs")
        return
    free = shutil.disk_usage(place).free / 1e9
    if free < _ROOM_GB:
        yield note("run folders", f"{runs}: {free:.1f} GB free, which a search may fill; make room")
    else:
        yield ok("run folders", f"{runs}: {free:.0f} GB free")


def check_docker(general: General) -> Iterator[CheckResult]:
    """The daemon and the image; only notes where no job is to run in Docker."""
    bad: State = "fault" if general.on == "docker" else "note"
    client = os.environ.get("DOCKER") or shutil.which("docker")
    if not client:
        yield CheckResult(
            "Docker", bad, "there is no docker command on the path; install Docker, or set DOCKER to its client"
        )
        return
    version = _ask(client, "version", "--format", "{{.Server.Version}} {{.Server.Os}}/{{.Server.Arch}}")
    if version is None:
        yield CheckResult("Docker", bad, f"{client} reaches no daemon; start Docker, or set DOCKER_HOST")
        return
    yield ok("Docker", f"{client}, daemon {version}")
    yield _image(client, general, bad)


def _image(client: str, general: General, bad: State) -> CheckResult:
    machine = _ask(client, "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", general.image)
    if machine is None:
        return CheckResult("image in Docker", bad, f"there is no image {general.image}; build it with: make image")
    if machine != "linux/amd64":
        here = f"{general.image} is for {machine}: it may run here"
        return note("image in Docker", f"{here}; SageMaker needs linux/amd64, which make image builds")
    return ok("image in Docker", f"{general.image}, for {machine}")


def _ask(client: str, *arguments: str) -> str | None:
    """What a docker command printed; None when it failed."""
    try:
        answer = subprocess.run([client, *arguments], capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
