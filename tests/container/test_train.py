"""`docker run IMAGE train` by SageMaker's training contract."""

import json
from pathlib import Path

from model.artifact import Artifact
from tests.container.docker_cli import READ_ONLY, UID, USER, Docker, write_job

BREEDS = 6


def test_training_leaves_artifact_metrics_and_no_failure(job: Path) -> None:
    artifact = Artifact.load(job / "model")
    assert len(set(artifact.labels)) == BREEDS
    assert artifact.weights.stat().st_size > 40_000_000  # a ResNet-18: 11.2 million numbers of 4 bytes
    assert not (job / "output" / "failure").exists()
    printed = (job / "stdout.txt").read_text()
    lines = [line for line in printed.splitlines() if line.startswith("epoch=")]
    assert [line.split(";")[0] for line in lines] == ["epoch=1", "epoch=2"]
    assert all("; train_loss=" in line and "; validation_accuracy=" in line for line in lines)
    assert "average test loss=" in printed
    recorded = [json.loads(line) for line in (job / "output" / "data" / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in recorded if "train_loss" in entry] == [1, 2]


def test_rules_judged_it_and_both_reports_are_there(job: Path) -> None:
    data = job / "output" / "data"
    debugger, profiler = (json.loads((data / f"{name}-report.json").read_text()) for name in ("debugger", "profiler"))
    assert (debugger["outcome"]["completed"], profiler["job"]["completed"]) == (True, True)
    judged = {rule["name"]: rule["report"]["Datapoints"] for rule in debugger["rules"]}
    assert {"ExplodingTensor", "VanishingGradient", "DeadRelu", "WeightUpdateRatio"} <= set(judged)
    assert min(judged.values()) > 0
    assert profiler["system"]["samples"] > 0
    assert profiler["steps"]["n"] > 0
    printed = (job / "stdout.txt").read_text()
    assert "ExplodingTensor: InProgress\n" in printed
    assert "ExplodingTensor: NoIssuesFound\n" in printed
    for name in ("debugger", "profiler"):
        assert (data / f"{name}-report.html").read_text().rstrip().endswith("</html>")


def test_everything_it_leaves_belongs_to_the_user_who_ran_it(job: Path) -> None:
    left = [path for folder in ("model", "output") for path in (job / folder).rglob("*")]
    assert len(left) >= 4
    assert {path.stat().st_uid for path in left} == {UID}


def test_bad_hyperparameters_are_the_users_fault_all_named_in_the_failure_file(
    docker: Docker, sample_data: Path, tmp_path: Path
) -> None:
    tree = write_job(tmp_path / "ml", sample_data, epochs="many", learnig_rate=0.1, image_size=32)
    answer = docker.run("train", options=(*USER, "--volume", f"{tree}:/opt/ml", "--network", "none"))
    assert answer.returncode == 2
    cause = (tree / "output" / "failure").read_text().splitlines()[0]
    assert cause.startswith("ClientError: ")
    assert "epochs" in cause
    assert "many" in cause
    assert "learnig_rate" in cause
    assert "Traceback" not in answer.stderr
    assert list((tree / "model").iterdir()) == []


def test_sigterm_ends_training_with_143_and_says_so(docker: Docker, sample_data: Path, tmp_path: Path) -> None:
    tree = write_job(tmp_path / "ml", sample_data, pretrained="none", image_size=32, epochs=10_000, batch_size=16)
    options = (*USER, *READ_ONLY, "--volume", f"{tree}:/opt/ml", "--shm-size", "256m", "--network", "none")
    with docker.start("train", options=options) as container:
        container.wait_for_log("epoch=1;")
        assert container.stop(grace_s=110) == 143
    assert (tree / "output" / "failure").read_text().startswith("Stopped: SIGTERM")
    report = json.loads((tree / "output" / "data" / "debugger-report.json").read_text())
    assert report["outcome"]["completed"] is False
    assert report["outcome"]["reason"].startswith("Stopped: SIGTERM")
