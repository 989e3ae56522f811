"""What starting costs: CPU time and memory of short commands, with bytecode and without, and against another commit.

CPU time is that of a command's process and of all its children; memory is the largest process's peak. Each command runs
on one core, where threads can't wait for each other.
"""

import argparse
import http.client
import itertools
import json
import os
import random
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.serving.environments import ROOT
from benchmarks.serving.process import free_port
from benchmarks.timing import print_facts

CLASSES: Final = ("a", "b", "c")
IMAGES: Final = 8  # of a class
SHORT: Final = {"pretrained": "none", "epochs": "1", "image_size": "64", "device": "cpu"}
# A process that can't find bytecode, and leaves none.
_BYTECODE: Final = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
_PATIENCE_S: Final = 300.0


@dataclass(frozen=True)
class Used:
    """cpu_s: user and system time. peak_mb: of the largest process, in millions of bytes."""

    cpu_s: float
    peak_mb: float


Measure = Callable[[Path, Mapping[str, str]], Used]  # (checkout, environment)


def main(words: Sequence[str] = ()) -> None:
    """Run each command in turn in both checkouts, and print what it took."""
    with tempfile.TemporaryDirectory(prefix="kennel-bench-") as name:
        folder = Path(name)
        commands = _commands(folder)
        chosen = _arguments(words, list(commands))
        checkouts = {"this": ROOT, **({"other": chosen.against.resolve()} if chosen.against else {})}
        print_facts("torch", "torchvision", "openvino")
        for which in chosen.only or commands:
            for bytecode in (True, False):
                _compare(which, commands[which], checkouts, _environment(folder, bytecode), bytecode, chosen.rounds)


def _arguments(words: Sequence[str], commands: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks startup", description=__doc__)
    parser.add_argument("--against", type=Path, metavar="DIR", help="a folder with another commit of Kennel")
    parser.add_argument("--only", action="append", choices=commands, help="this command; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(words)


def _commands(folder: Path) -> dict[str, Measure]:
    return {
        "train": lambda checkout, environ: _train(folder, checkout, environ, export="none"),
        "train-export": lambda checkout, environ: _train(folder, checkout, environ),
        "serve": lambda checkout, environ: _serve(folder, checkout, environ),
        "deploy-help": lambda checkout, environ: _run([sys.executable, "deploy.py", "--help"], checkout, environ),
    }


def _environment(folder: Path, bytecode: bool) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KENNEL_", "SAGEMAKER_"))}
    for name in (*_BYTECODE, "PYTHONPATH"):
        kept.pop(name, None)
    if bytecode:
        return kept
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(folder / "no-bytecode")}


def _compare(
    which: str, measure: Measure, checkouts: Mapping[str, Path], environ: dict[str, str], bytecode: bool, rounds: int
) -> None:
    if bytecode:
        # Kennel's own may not have any yet.
        for checkout in checkouts.values():
            measure(checkout, environ)
    used: dict[str, list[Used]] = {name: [] for name in checkouts}
    for number in range(rounds):
        # Each goes first in half of the rounds.
        for name in list(checkouts)[:: -1 if number % 2 else 1]:
            used[name].append(measure(checkouts[name], environ))
    print(f"{which}, {'with' if bytecode else 'without'} bytecode (n = {rounds})")
    for name, values in used.items():
        cpu, peak = ([each.cpu_s for each in values], [each.peak_mb for each in values])
        line = f"  {name:<6} CPU {statistics.median(cpu):6.2f} s ({min(cpu):.2f} to {max(cpu):.2f})"
        print(f"{line}   peak {statistics.median(peak):5.0f} MB ({min(peak):.0f} to {max(peak):.0f})")
    if "other" in used:
        pairs = list(zip(used["this"], used["other"], strict=True))
        _print_ratios("CPU", [own.cpu_s / other.cpu_s for own, other in pairs])
        _print_ratios("peak", [own.peak_mb / other.peak_mb for own, other in pairs])
    sys.stdout.flush()


def _print_ratios(what: str, ratios: Sequence[float]) -> None:
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"  this / other, {what}: {middle:.2f} ({low:.2f} to {high:.2f})")


_number = itertools.count()


def _train(folder: Path, checkout: Path, environ: Mapping[str, str], **hyperparameters: str) -> Used:
    """`python -m train` on a tree of its own."""
    root = folder / f"tree-{next(_number)}"
    for level, name in enumerate(CLASSES):
        photos = root / "input" / "data" / "train" / name
        photos.mkdir(parents=True)
        for index in range(IMAGES):
            (photos / f"{index}.png").write_bytes(_picture(40 + 60 * level, index))
    config = root / "input" / "config"
    config.mkdir()
    (config / "hyperparameters.json").write_text(json.dumps(SHORT | hyperparameters))
    return _run([sys.executable, "-m", "train"], checkout, {**environ, "KENNEL_ML_ROOT": str(root)})


def _picture(level: int, seed: int) -> bytes:
    """A grey PNG of noise. By hand: a library's memory would count as its children's, whose peaks begin with it."""
    noise = random.Random(seed)
    rows = b"".join(bytes([0, *(level + noise.randrange(60) for _ in range(64))]) for _ in range(64))
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _serve(folder: Path, checkout: Path, environ: Mapping[str, str]) -> Used:
    """`python -m serve` until it has answered one request."""
    trees = [tree for tree in folder.glob("tree-*") if (tree / "model" / "openvino_int8.xml").exists()]
    if not trees:
        _train(folder, checkout, environ)
        return _serve(folder, checkout, environ)
    port = free_port()
    settings = {"KENNEL_ML_ROOT": str(trees[0]), "KENNEL_HOST": "127.0.0.1", "KENNEL_PORT": str(port)}
    photo = next((trees[0] / "input" / "data" / "train").rglob("*.png")).read_bytes()
    command = [sys.executable, "-m", "serve"]
    return _run(command, checkout, {**environ, **settings}, lambda: _ask(port, photo))


def _ask(port: int, photo: bytes) -> None:
    end = time.monotonic() + _PATIENCE_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        try:
            connection.request("POST", "/invocations", photo, {"Content-Type": "image/png"})
            answer = connection.getresponse()
            if answer.status == 200 or time.monotonic() > end:
                assert answer.status == 200, answer.read()
                return
        except OSError:
            if time.monotonic() > end:
                raise
        finally:
            connection.close()
        time.sleep(0.05)


def _run(
    command: list[str], checkout: Path, environ: Mapping[str, str], until: Callable[[], None] | None = None
) -> Used:
    """What the command has used at its end; `until`: what to do before it is asked to end."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=checkout, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            if sys.platform == "linux":
                os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
            if until is not None:
                until()
                process.send_signal(signal.SIGTERM)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        log.seek(0)
        assert process.returncode == 0, log.read().decode(errors="replace")
    # In kilobytes, but on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)
