"""The monitor beside real trainings: status lines, actions, and reports however the training ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from model.artifact import Artifact
from tests.shared import made_once
from tests.train.saved_steps import DOCUMENT_KEYS
from tests.train.support import (
    QUICK,
    REPOSITORY,
    TIMEOUT_S,
    Finished,
    configure,
    finish,
    make_classes,
    start,
    start_train,
    train,
)

WATCHED: dict[str, Any] = {"debug": "on", "profile": "on", "debug_interval": "1", "profile_interval": "100"}
REPORTS = ("debugger-report.html", "debugger-report.json", "profiler-report.html", "profiler-report.json")
# Every gradient is smaller than that: it fires with the first step that is saved.
ALWAYS = "VanishingGradient:threshold=1e6"


def tree(root: Path) -> Path:
    """12 training images of each of three classes, and none for the test."""
    make_classes(root / "input" / "data" / "train", 12)
    return root


def document(result: Finished, name: str = "debugger") -> dict[str, Any]:
    value = json.loads((result.root / "output" / "data" / f"{name}-report.json").read_text())
    assert isinstance(value, dict)
    return value


def rule(result: Finished, name: str) -> dict[str, Any]:
    (found,) = [each for each in document(result)["rules"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


def has_reports(result: Finished) -> None:
    """All four files are there, and each page is one."""
    folder = result.root / "output" / "data"
    assert [name for name in REPORTS if not (folder / name).is_file()] == []
    for kind in ("debugger", "profiler"):
        assert "<h1" in (folder / f"{kind}-report.html").read_text()
    assert set(document(result)) == DOCUMENT_KEYS
    assert document(result, "profiler")["system"]["samples"] > 0


def left_behind(root: Path) -> list[list[str]]:
    """The command lines of processes that still work on the tree."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("KENNEL_ML_ROOT") == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Two epochs; rules of the default set, one of them with a command, and one with nothing to judge."""
    return made_once(tmp_path_factory, "watched", train_watched)


def train_watched(folder: Path) -> Finished:
    root = tree(folder)
    command = 'echo "$KENNEL_RULE|$KENNEL_STEP|$KENNEL_FINDING" > noted.txt; echo heard it; exit 3'
    rules = f"default,SaturatedActivation,{ALWAYS}:action=run:cd {root}; {command}"
    result = train(root, epochs="2", rules=rules, **WATCHED)
    assert result.code == 0, result.err
    return result


def test_status_lines_people_know(watched: Finished) -> None:
    lines = watched.out.splitlines()
    assert lines.index("Overfit: InProgress") < lines.index(f"artifact written to {watched.model}")
    (first,) = [line for line in lines if re.fullmatch(r"VanishingGradient: IssuesFound \(step \d+: .+\)", line)]
    assert (
        lines.index("VanishingGradient: InProgress")
        < lines.index(first)
        < lines.index("VanishingGradient: IssuesFound")
    )
    final = {line for line in lines if re.fullmatch(r"\w+: (NoIssuesFound|IssuesFound|Stopped|Error.*)", line)}
    assert {line.split(":")[0] for line in final} >= {"Overfit", "VanishingGradient", "BatchSize"}
    asked = [line for line in lines if line.startswith("SaturatedActivation: ")]
    assert asked[0] == "SaturatedActivation: InProgress"
    assert asked[1].startswith("SaturatedActivation: Error (nothing to judge: it needs ")
    assert len(asked) == 2


def test_reports_of_a_completed_run(watched: Finished) -> None:
    has_reports(watched)
    found = document(watched)
    assert found["outcome"] == {"completed": True, "reason": None}
    # 30 training images in batches of 8 are 4 steps an epoch, the first 8 of training steps 0 to 7.
    assert (found["steps"]["TRAIN"], found["steps_per_epoch"]) == (8, 4)
    assert [row[0] for row in found["trends"]["losses"]["TRAIN"]] == list(range(8))
    assert [row["epoch"] for row in found["epochs"]] == [1, 2]
    assert found["hyperparameters"]["image_size"] == 32
    layers = found["trends"]["gradient_norm"]["layers"]
    assert layers[0].endswith("conv1.weight")
    assert "head" in layers[-1]
    fired = [each["name"] for each in found["rules"] if each["status"] == "IssuesFound"]
    assert [each["name"] for each in found["rules"]][: len(fired)] == fired
    assert f"debugger report: {watched.root}/output/data/debugger-report.html" in watched.out
    assert f"profiler report: {watched.root}/output/data/profiler-report.html" in watched.out


def test_a_command_runs_with_what_was_found(watched: Finished) -> None:
    name, step, finding = (watched.root / "noted.txt").read_text().strip().split("|")
    assert (name, step) == ("VanishingGradient", "0")
    assert finding == rule(watched, "VanishingGradient")["findings"][0]["text"]
    assert "heard it" in watched.out.splitlines()
    assert "VanishingGradient: its command failed with exit code 3" in watched.out
    assert rule(watched, "VanishingGradient")["action"].startswith("ran the command cd ")


def test_nobody_is_left(watched: Finished) -> None:
    assert left_behind(watched.root) == []
    assert "WARNING" not in watched.err


@pytest.mark.long
def test_stop_ends_the_job_as_failed(tmp_path: Path) -> None:
    entry = {
        "RuleConfigurationName": "gone-far-enough",
        "RuleEvaluatorImage": "503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest",
        "RuleParameters": {
            # Once 100 labels were seen, in the third epoch, any difference between the classes' counts is too large.
            "rule_to_invoke": "ClassImbalance", "samples": "100", "threshold_imbalance": "1",
            "threshold_misprediction": "0", "action_json": r"[{\"name\": \"stoptraining\"}]",
        },
    }  # fmt: skip
    result = train(tree(tmp_path), epochs="5000", rules=json.dumps([entry]), **WATCHED)
    assert result.code == 2, result.err
    pattern = r"ClientError: rule ClassImbalance stopped the training at step \d+: .+; class_balance is none: class_.+"
    assert re.fullmatch(pattern, result.cause), result.cause
    assert result.failure.count("\n") == 1
    assert Artifact.load(result.model).provenance["completed"] is False
    has_reports(result)
    assert document(result)["outcome"]["completed"] is False
    assert document(result)["outcome"]["reason"] in result.cause
    assert rule(result, "ClassImbalance")["action"] == "stopped the training as failed"
    assert left_behind(tmp_path) == []


def test_finish_ends_the_job_as_completed(tmp_path: Path) -> None:
    # What it finds is no error, so rule_action is not for it; its own action is.
    rules = f"{ALWAYS}:action=finish"
    result = train(tree(tmp_path), epochs="5000", rules=rules, rule_action="stop", **WATCHED)
    assert result.code == 0, result.err
    assert re.search(r"training ends in epoch \d+: rule VanishingGradient ended the training at step 0: ", result.out)
    assert Artifact.load(result.model).provenance["completed"] is True
    assert not (tmp_path / "output" / "failure").exists()
    has_reports(result)
    found = document(result)["outcome"]
    assert found["completed"] is True
    assert found["reason"].startswith("rule VanishingGradient ended the training at step 0: ")
    assert rule(result, "VanishingGradient")["action"] == "ended the training as completed"


def saved_steps(root: Path) -> int:
    return len(list((root / "output" / "tensors" / "index").rglob("*.json")))


def while_training(root: Path, act: Callable[[subprocess.Popen[str]], None], **hyperparameters: str) -> Finished:
    """Acts on an endless job once some steps are saved and an epoch is done, and waits for everybody's end."""
    process = start_train(tree(root), epochs="5000", **{**WATCHED, **hyperparameters})
    give_up = time.monotonic() + TIMEOUT_S
    metrics = root / "output" / "data" / "metrics.jsonl"
    while saved_steps(root) < 6 or not metrics.is_file() or not metrics.read_text():
        assert time.monotonic() < give_up
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    act(process)
    return finish(process, root)


def test_reports_after_sigterm(tmp_path: Path) -> None:
    result = while_training(tmp_path, lambda process: process.send_signal(signal.SIGTERM))
    assert result.code == 143, result.err
    has_reports(result)
    found = document(result)
    assert found["outcome"]["completed"] is False
    assert found["outcome"]["reason"].startswith("Stopped: SIGTERM came before training had ended")
    # What found nothing in a training that was cut short has not found that all is well.
    assert {each["status"] for each in found["rules"]} <= {"IssuesFound", "Stopped"}
    assert "DeadRelu: Stopped" in result.out
    assert left_behind(tmp_path) == []


@pytest.mark.long
def test_reports_after_sigkill(tmp_path: Path) -> None:
    result = while_training(tmp_path, lambda process: process.kill(), workers="1")
    assert result.code == -signal.SIGKILL
    has_reports(result)
    assert document(result)["outcome"]["reason"] == "the training process ended without a word: it was killed"
    assert document(result)["last_step"] >= 4
    assert document(result, "profiler")["job"]["completed"] is False
    end = time.monotonic() + 20
    while left_behind(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)  # torch's own loading processes look for their parent every few seconds
    assert left_behind(tmp_path) == []


def test_reports_of_a_run_that_fails(tmp_path: Path) -> None:
    result = train(
        tree(tmp_path), epochs="3", lr="10", optimizer="sgd", warmup_ratio="0", rules="ExplodingTensor", **WATCHED
    )
    cause = result.fails_for_user("loss became", "lower lr (it is 10)")
    has_reports(result)
    assert document(result)["outcome"] == {"completed": False, "reason": cause}
    found = rule(result, "ExplodingTensor")
    assert found["status"] == "IssuesFound"
    assert "lr is 10: try lr=1." in found["advice"]


def monitors_of(pid: int | None = None) -> list[psutil.Process]:
    """The monitors among a process's descendants, this one's by default."""
    found = []
    for each in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):  # one that has ended
            if "-m monitor" in " ".join(each.cmdline()):
                found.append(each)
    return found


@pytest.mark.long
def test_training_goes_on_without_its_monitor(tmp_path: Path) -> None:
    process = start_train(tree(tmp_path), epochs="2", **WATCHED)
    give_up = time.monotonic() + TIMEOUT_S
    while saved_steps(tmp_path) < 1:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    (monitor,) = monitors_of(process.pid)
    monitor.kill()
    result = finish(process, tmp_path)
    assert result.code == 0, result.err
    assert result.err.count("the monitor process has ended early") == 1
    assert Artifact.load(result.model).provenance["completed"] is True
    assert not (tmp_path / "output" / "data" / "debugger-report.json").exists()


# `python -m train` with a job that comes to no step.
STUCK = """
import sys, time, types
import train.__main__
sys.modules["train.job"] = types.SimpleNamespace(run_job=lambda *_arguments: time.sleep(600))
sys.exit(train.__main__.main())
"""


@pytest.mark.long
def test_a_stuck_job_is_ended_by_the_rule_that_notices(tmp_path: Path) -> None:
    rules = "StalledTrainingRule:threshold=1:stop_training_on_fire=true"
    configure(tmp_path, {**QUICK, **WATCHED, "rules": rules})
    environ = {**os.environ, "KENNEL_ML_ROOT": str(tmp_path)}
    command = [sys.executable, "-c", STUCK]
    answer = subprocess.run(
        command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    result = Finished(tmp_path, answer.returncode, answer.stdout, answer.stderr)
    said = "rule StalledTrainingRule stopped the training: no new step came for"
    cause = result.fails_for_user(said, "1 s are allowed; If loading hangs, workers=0")
    assert "the training process doesn't get to its next step and is sent SIGTERM" in result.out
    has_reports(result)
    assert rule(result, "StalledTrainingRule")["action"] == "stopped the training as failed"
    assert document(result)["outcome"] == {"completed": False, "reason": cause}
    assert left_behind(tmp_path) == []


def test_without_debug_and_profile_there_is_none(tmp_path: Path) -> None:
    configure(tree(tmp_path), {**QUICK, "epochs": "5000"})
    process = start(["train"], tmp_path)
    give_up = time.monotonic() + TIMEOUT_S
    while not (tmp_path / "output" / "data" / "metrics.jsonl").exists():
        assert time.monotonic() < give_up
        time.sleep(0.05)
    monitors = monitors_of(process.pid)
    process.terminate()
    finish(process, tmp_path)
    assert monitors == []


@pytest.fixture(autouse=True)
def no_strays() -> Iterator[None]:
    """No monitor outlives a test, whatever the test says."""
    yield
    assert monitors_of() == []
