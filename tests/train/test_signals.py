"""SIGTERM and Ctrl-C at each stage of a job."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model.artifact import Artifact
from tests.train.support import QUICK, REPOSITORY, TIMEOUT_S, Finished, configure, finish, make_classes, start


def stopped_when(root: Path, reached: Callable[[Path], bool], number: int, **hyperparameters: str) -> Finished:
    """A job of very many epochs that gets the signal as soon as `reached` is true of its tree."""
    make_classes(root / "input" / "data" / "train", 6)
    (root / "model").mkdir()
    (root / "model" / "kennel.json").write_text("{}")
    configure(root, {**QUICK, "epochs": "10000", **hyperparameters})
    process = start(["train"], root)
    give_up = time.monotonic() + TIMEOUT_S
    while not reached(root) and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    return finish(process, root)


def epochs_done(root: Path) -> int:
    file = root / "output" / "data" / "metrics.jsonl"
    return file.read_text().count("\n") if file.exists() else 0


def test_sigterm_keeps_the_best_epoch_so_far(tmp_path: Path) -> None:
    result = stopped_when(tmp_path, lambda root: epochs_done(root) >= 2, signal.SIGTERM, workers="1")
    assert result.code == 143, result.err
    assert result.cause == (
        f"Stopped: SIGTERM came before training had ended; the best epoch so far is in {tmp_path / 'model'}"
    )
    assert "Traceback" not in result.err
    artifact = Artifact.load(tmp_path / "model")
    assert artifact.provenance["completed"] is False
    best = max(result.metrics, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert artifact.provenance["best_epoch"] == best["epoch"]
    assert artifact.metrics["validation_loss"] == best["validation_loss"]


def test_ctrl_c_too(tmp_path: Path) -> None:
    result = stopped_when(tmp_path, lambda root: epochs_done(root) >= 1, signal.SIGINT)
    assert result.code == 130, result.err
    assert result.cause.startswith("Stopped: interrupted by Ctrl-C before training had ended; the best epoch")
    assert Artifact.load(tmp_path / "model").provenance["completed"] is False


def test_sigterm_before_an_epoch_was_finished(tmp_path: Path) -> None:
    def reading_data(root: Path) -> bool:
        file = root / "output" / "progress.json"
        return file.exists() and json.loads(file.read_text())["phase"] == "checking images"

    # An epoch at this size takes far longer than to send a signal.
    result = stopped_when(tmp_path, reading_data, signal.SIGTERM, image_size="512")
    assert result.code == 143, result.err
    assert result.cause == (
        "Stopped: SIGTERM came before training had ended; no epoch was finished, so there is no model"
    )
    assert not (tmp_path / "model" / "kennel.json").exists()


@pytest.mark.parametrize("after_ms", range(0, 1000, 125))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_python_still_imports(tmp_path: Path, number: int, after_ms: int) -> None:
    def importing(root: Path) -> bool:
        if (root / "model" / "kennel.json").exists():
            return False
        time.sleep(after_ms / 1000)
        return True

    # An epoch at this size takes far longer than to send a signal.
    result = stopped_when(tmp_path, importing, number, image_size="512")
    assert result.code == {signal.SIGTERM: 143, signal.SIGINT: 130}[signal.Signals(number)], result.err
    assert result.cause.endswith("no epoch was finished, so there is no model")
    assert "Traceback" not in result.err


# The signal comes within the callback, as far as its loop.
LOST = """
import os, signal, time, weakref
from train.__main__ import Terminated, install_signal_handlers
install_signal_handlers()
class Thing: ...
def callback(_reference):
    os.kill(os.getpid(), signal.SIG)
    for _ in range(1000): ...
    print("not within the callback")
thing = Thing()
reference = weakref.ref(thing, callback)
try:
    del thing
    time.sleep(20)
    print("lost")
except (Terminated, KeyboardInterrupt) as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(("number", "raised"), [("SIGTERM", "Terminated"), ("SIGINT", "KeyboardInterrupt")])
def test_a_signal_in_a_callback_of_pythons_own_is_not_lost(number: str, raised: str) -> None:
    command = [sys.executable, "-c", LOST.replace("SIG)", f"{number})")]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert (answer.stdout, answer.stderr) == (f"{raised}\n", "")


@pytest.mark.long
def test_sigterm_while_forms_are_made(tmp_path: Path) -> None:
    def quantizing(root: Path) -> bool:
        file = root / "output" / "progress.json"
        return file.exists() and json.loads(file.read_text())["phase"] == "quantizing"

    result = stopped_when(tmp_path, quantizing, signal.SIGTERM, epochs="1", export="int8")
    assert result.code == 143, result.err
    assert "Traceback" not in result.err
    artifact = Artifact.load(tmp_path / "model")
    assert artifact.forms == {}
    assert {file.name for file in artifact.path.iterdir()} == {
        "kennel.json",
        "model.safetensors",
        "history.json",
        "model_card.md",
    }
