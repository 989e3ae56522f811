"""`deploy.py transform` against decoding and engine in a loop: what client and server of a batch transform cost.

In pairs, next to each other: the loop (a process for each core that decodes and predicts, one photo at a time, then
eight) and a whole transform of its own, server and all. CPU time is what a shared machine's load changes least.
"""

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.serving.environments import ROOT, bench_folder, plain_environment
from benchmarks.serving.floor import Floor
from benchmarks.serving.inputs import make_artifact, photos
from benchmarks.timing import print_facts

_SIZE: Final = "500x375"
_MANY: Final = 1200
# What starting takes is what so many take.
_FEW: Final = 16
_PAIRS: Final = 7
_LOOP_S: Final = 3.0


@dataclass(frozen=True)
class Transform:
    """seconds: without the server's start. cpu_s: of all its processes, that start included."""

    seconds: float
    cpu_s: float


def main() -> None:
    """Run it in pairs, and print each and what they come to."""
    print_facts("openvino", "flask", "gunicorn", "pillow")
    folder = bench_folder()
    files = photos(folder)
    artifact = make_artifact(folder, files)
    rates, times = [], []
    with tempfile.TemporaryDirectory(prefix="kennel-bench-") as name:
        many, few = (spread(files[_SIZE], Path(name) / str(count), count) for count in (_MANY, _FEW))
        for number in range(_PAIRS):
            loop = _loop(artifact, files[_SIZE]) if number % 2 == 0 else None
            ran, start = (transform(each, artifact, Path(name) / "out") for each in (many, few))
            rate, cpu = loop or _loop(artifact, files[_SIZE])
            own = 1000 * (ran.cpu_s - start.cpu_s) / (_MANY - _FEW)
            rates.append(_MANY / ran.seconds / rate)
            times.append(cpu / own)
            print(
                f"pair {number + 1}: loop {rate:.0f}, transform {_MANY / ran.seconds:.0f} images/s: {rates[-1]:.2f}; "
                f"CPU time an image {cpu:.2f} and {own:.2f} ms: {times[-1]:.2f}",
                flush=True,
            )
    for what, ratios in (("images a second, transform / loop", rates), ("CPU time, loop / transform", times)):
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(f"{what}, {_MANY} photos of {_SIZE}: {middle:.2f} ({low:.2f} to {high:.2f}, n = {_PAIRS} pairs)")


def spread(files: Sequence[Path], folder: Path, count: int) -> Path:
    """Copy the files in turn to `count` names in a new folder; returns the folder."""
    folder.mkdir(parents=True)
    for number in range(count):
        shutil.copyfile(files[number % len(files)], folder / f"{number:05d}{files[0].suffix}")
    return folder


def transform(images: Path, artifact: Path, out: Path) -> Transform:
    """One `deploy.py transform` from beginning to end, with a server of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "deploy.py", "transform", str(images), "--out", str(out), "--restart"]
    command += ["--artifact", str(artifact), "--runs", str(out.parent / "runs")]
    subprocess.run(command, cwd=ROOT, env=plain_environment(), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = json.loads((out / "summary.json").read_text())
    if summary["failed"]:
        raise RuntimeError(f"{summary['failed']} images were not predicted: {summary['failures'][0]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Transform(summary["seconds"], used)


def _loop(artifact: Path, files: Sequence[Path]) -> tuple[float, float]:
    """Without a server: images a second, and milliseconds of CPU time of one; one at a time or eight, whichever is
    faster.
    """
    found = []
    for batch in (1, 8):
        with Floor(artifact, files, batch, plain_environment()) as floor:
            found.append(floor.measure(_LOOP_S))
    return max(rate for rate, _ in found), min(cpu for _, cpu in found)
