"""Tiny image folders, and `python -m train` as a real process on a tree of its own."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.forked import Popen

REPOSITORY = Path(__file__).resolve().parents[2]
CLASSES = ("001.Affenpinscher", "German_shepherd_dog", "pug")
TIMEOUT_S = 120
# Quick and on the CPU, whatever machine this is, and without libraries that take seconds to import.
QUICK = {
    "pretrained": "none", "epochs": "1", "image_size": "32", "batch_size": "8", "device": "cpu", "tensorboard": "off",
    "export": "none", "debug": "off", "profile": "off",
}  # fmt: skip


def picture(seed: int, level: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Noise around one grey level."""
    pixels = np.random.default_rng((seed, level)).normal(level, 20, (size[1], size[0], 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def make_classes(folder: Path, count: int, classes: Sequence[str] = CLASSES, seed: int = 0) -> None:
    """`count` JPEG files a class; the classes differ in brightness."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            file = folder / name / f"{index:02d}.jpg"
            picture(seed + index, 50 + 70 * number).save(file, quality=90)


def configure(root: Path, hyperparameters: Mapping[str, object], others: Mapping[str, object] | None = None) -> None:
    """Write hyperparameters.json and other files (name without .json -> content) into input/config."""
    folder = root / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"hyperparameters": hyperparameters, **(others or {})}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


@dataclass(frozen=True)
class Finished:
    """A process that has ended, and the tree it worked on."""

    root: Path
    code: int
    out: str
    err: str

    @property
    def failure(self) -> str:
        return (self.root / "output" / "failure").read_text()

    @property
    def cause(self) -> str:
        """The failure file's first line."""
        return self.failure.splitlines()[0]

    @property
    def model(self) -> Path:
        return self.root / "model"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return self._json(self.model / "kennel.json")

    @cached_property
    def data(self) -> dict[str, Any]:
        return self._json(self.root / "output" / "data" / "data.json")

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        return self._json(self.root / "output" / "data" / "evaluation.json")

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        text = (self.root / "output" / "data" / "metrics.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    @staticmethod
    def _json(file: Path) -> dict[str, Any]:
        value = json.loads(file.read_text())
        assert isinstance(value, dict)
        return value

    def fails_for_user(self, *words: str) -> str:
        """Asserts exit code 2 and one sentence, the same in log and failure file; returns it."""
        assert self.code == 2, self.err
        assert self.failure.count("\n") == 1, self.failure
        assert self.cause.startswith("ClientError: ")
        assert self.cause in self.err
        assert "Traceback" not in self.err + self.out
        for word in words:
            assert word in self.cause, (word, self.cause)
        assert not (self.model / "kennel.json").exists()
        return self.cause


_cores: Iterator[int] = itertools.cycle(sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0])


def start(
    command: Sequence[str], root: Path, environ: Mapping[str, str] | None = None, *, fresh: bool = False
) -> subprocess.Popen[str]:
    """`python -m COMMAND` from the repository, on one core: batches this small run no faster on more.

    fresh: make all imports, for tests of the start itself.
    """
    # A child inherits the affinity.
    before = os.sched_getaffinity(0) if sys.platform == "linux" else set()
    if sys.platform == "linux":
        os.sched_setaffinity(0, {next(_cores)})
    try:
        return (subprocess.Popen if fresh else Popen)(
            [sys.executable, "-m", *command],
            cwd=REPOSITORY,
            env={**os.environ, "KENNEL_ML_ROOT": str(root), **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        if sys.platform == "linux":
            os.sched_setaffinity(0, before)


def finish(process: subprocess.Popen[str], root: Path) -> Finished:
    """Wait for the process's end. Fails with what it has said when that takes too long."""
    with process:
        try:
            out, err = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"it goes on after {TIMEOUT_S} s\n{out}\n{err}")
        finally:
            process.kill()
    return Finished(root, process.returncode, out, err)


def run(command: Sequence[str], root: Path, environ: Mapping[str, str] | None = None) -> Finished:
    """`python -m COMMAND` to its end."""
    return finish(start(command, root, environ), root)


def start_train(
    root: Path, environ: Mapping[str, str] | None = None, **hyperparameters: object
) -> subprocess.Popen[str]:
    """`python -m train` below `root`, quick unless told otherwise."""
    configure(root, {**QUICK, **hyperparameters})
    return start(["train"], root, environ)


def train(root: Path, environ: Mapping[str, str] | None = None, **hyperparameters: object) -> Finished:
    """The same, to its end."""
    return finish(start_train(root, environ, **hyperparameters), root)


def no_seconds(line: str) -> str:
    """A metric line without the time it took."""
    return re.sub(r" epoch_seconds=[^;]*;", "", line)
