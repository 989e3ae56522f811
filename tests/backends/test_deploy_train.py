"""deploy.py train, evaluate, data and predict, as a person at the terminal sees them."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.backends.terminal import ROOT, TINY, deploy, start


def test_help_is_quick_because_it_loads_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", str(ROOT / "deploy.py"), "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in answer.stderr.splitlines()}
    assert {"typer", "os"} <= loaded
    heavy = {"torch", "torchvision", "numpy", "boto3", "sagemaker", "flask", "PIL", "train", "optuna", "psutil"}
    assert not loaded & heavy
    assert {name for name in loaded if name.split(".")[0] in ("backends", "cli")} == {
        "cli", "cli.attach", "cli.context", "cli.endpoints", "cli.options", "cli.registry", "cli.runs",
        "cli.setup", "cli.transform", "cli.tune",
    }  # fmt: skip
    for command_name in (
        "run",
        "data",
        "train",
        "tune",
        "evaluate",
        "debug",
        "report",
        "deploy",
        "predict",
        "status",
        "delete",
    ):
        assert f" {command_name} " in answer.stdout


def test_a_run_folder_holds_artifact_log_and_record(trained: Path) -> None:
    record = json.loads((trained / "run.json").read_text())
    assert record["status"] == "completed"
    assert record["kind"] == "training"
    assert record["hyperparameters"]["epochs"] == 2
    manifest = json.loads((trained / "ml" / "model" / "kennel.json").read_text())
    assert record["metrics"] == manifest["metrics"]
    assert manifest["provenance"]["training_job_name"] == "first"
    assert "epoch=2; train_loss=" in (trained / "log.txt").read_text()
    # The tree is what SageMaker would have made: every hyperparameter a JSON-encoded string.
    given = json.loads((trained / "ml" / "input" / "config" / "hyperparameters.json").read_text())
    assert given["image_size"] == "32"
    assert given["pretrained"] == '"none"'


def test_evaluate_gives_what_training_measured(trained: Path, data: Path, runs: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    answer = deploy("evaluate", "--artifact", trained / "ml" / "model", "--data", data, "--json", report)
    assert answer.returncode == 0, answer.stderr
    mine = json.loads(report.read_text())
    theirs = json.loads((trained / "ml" / "output" / "data" / "evaluation.json").read_text())
    assert mine["n"] == 12
    assert {"accuracy", "top5_accuracy", "macro_f1"} <= set(mine)
    assert mine["accuracy"] == theirs["accuracy"]
    assert mine["predictions"].keys() == theirs["predictions"].keys()
    row = mine["predictions"]["001.Red_dog/0.jpg"]
    assert row["label"] in ("Red dog", "Green dog", "Blue dog")
    assert row["probability"] == pytest.approx(theirs["predictions"]["001.Red_dog/0.jpg"]["probability"], abs=1e-5)


@pytest.mark.long
def test_evaluate_compares_two_runs_and_leaves_a_page(trained: Path, data: Path, runs: Path, tmp_path: Path) -> None:
    options = ("--set", "pretrained=none", "--set", "image_size=32", "--set", "epochs=1", "--set", "seed=5")
    answer = deploy("train", "--data", data, *options, "--runs", tmp_path, "--name", "other")
    assert answer.returncode == 0, answer.stderr
    compared = deploy(
        "evaluate", "--artifact", tmp_path / "other", "--compare", "first", "--data", data, "--runs", runs,
        "--json", tmp_path / "new" / "comparison.json",
    )  # fmt: skip
    assert compared.returncode == 0, compared.stderr
    report = json.loads((tmp_path / "new" / "comparison.json").read_text())
    for side, run in (("artifact", tmp_path / "other"), ("baseline", trained)):
        own = json.loads((run / "ml" / "output" / "data" / "evaluation.json").read_text())
        assert report[side]["accuracy"] == own["accuracy"]
    lines = compared.stdout.splitlines()
    assert lines[-3:] == [
        f"12 images: {report['verdict']}",
        str(tmp_path / "new" / "comparison.html"),
        str(tmp_path / "new" / "comparison.json"),
    ]
    assert "<h1>Comparison</h1>" in (tmp_path / "new" / "comparison.html").read_text()


def test_evaluate_tells_faults_in_one_sentence(trained: Path, data: Path, runs: Path, tmp_path: Path) -> None:
    missing = deploy("evaluate", "--artifact", "first", "--compare", "second", "--data", data, "--runs", runs)
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: there is no artifact in second (no kennel.json)")
    page = tmp_path / "report.html"
    answer = deploy("evaluate", "--artifact", "first", "--data", data, "--runs", runs, "--json", page)
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == [
        f"error: --json {page} is where the page would go; give the report a name that ends in .json"
    ]
    assert not page.exists()


def test_predict_needs_no_server_and_no_run_name_twice(trained: Path, data: Path, runs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    photo = data / "test" / "003.Blue_dog" / "1.jpg"
    answer = deploy("predict", "--artifact", "first", "--runs", runs, "--json", photo, broken)
    assert answer.returncode == 1  # one of the two could not be classified
    good, bad = (json.loads(line) for line in answer.stdout.splitlines())
    assert good["file"] == str(photo)
    expected = json.loads((trained / "ml" / "output" / "data" / "evaluation.json").read_text())["predictions"]
    assert good["predictions"][0]["label"] == expected["003.Blue_dog/1.jpg"]["label"]
    assert good["predictions"][0]["probability"] == pytest.approx(
        expected["003.Blue_dog/1.jpg"]["probability"], abs=1e-4
    )
    assert bad["file"] == str(broken)
    assert "not an image" in bad["error"]


def test_data_tells_counts_and_what_it_skipped(data: Path, runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            (folder / name / f"{number}.jpg").write_bytes(
                (data / "train" / "001.Red_dog" / f"{number}.jpg").read_bytes()
            )
    (folder / "cat" / "notes.txt").write_text("not a photo")
    answer = deploy("data", "--data", folder, "--runs", tmp_path)
    assert answer.returncode == 0, answer.stderr
    report = json.loads((tmp_path / "data.json").read_text())
    assert report["images_by_class"] == {"train": {"cat": 3, "dog": 3}}
    assert "skipped train/cat/notes.txt: not an image" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--on", "sagemaker", "-o", "spot=perhaps"], "-o spot: must be true or false, got perhaps"),
        (["--on", "moon"], "--on: must be local, docker, sagemaker or MODULE:CLASS, got moon"),
        (["--set", "epochs"], "--set takes NAME=VALUE, got 'epochs'"),
        (["--set", "lr=1", "--set", "lr=2"], "--set lr is given twice; give it once"),
        (["--set", "epoch=2", "--set", "lr=-1"],
         ("2 hyperparameter faults: epoch: no such hyperparameter; did you mean epochs? | "
          "lr: must be a number above 0 and at most 10, got -1")),
        (["--name", "a name"], "--name may have letters, digits and single hyphens, 63 at most, got 'a name'"),
        (["--set", "pretrained=nowhere.pth"],
         "pretrained: there is no file nowhere.pth; give imagenet, none or a weights file"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_sentence(arguments: list[str], sentence: str, data: Path, tmp_path: Path) -> None:
    answer = deploy("train", "--data", data, "--runs", tmp_path / "runs", *arguments)
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[0].startswith(f"error: {sentence}")
    assert "Traceback" not in answer.stderr
    assert not list((tmp_path / "runs").glob("*/ml/model/*"))


def test_missing_data_makes_no_run(tmp_path: Path) -> None:
    answer = deploy("train", "--data", tmp_path / "nowhere", "--runs", tmp_path / "runs")
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: there is no data folder {tmp_path / 'nowhere'}; give --data")
    assert not (tmp_path / "runs").exists()


def test_a_taken_name_is_refused_and_the_run_kept(trained: Path, data: Path, runs: Path) -> None:
    before = (trained / "run.json").read_text()
    answer = deploy("train", "--data", data, "--runs", runs, "--name", "first")
    assert answer.returncode == 2
    assert "there is a run named first" in answer.stderr
    assert (trained / "run.json").read_text() == before


def test_a_failed_training_says_why_here_and_in_its_record(tmp_path: Path, data: Path) -> None:
    one_class = tmp_path / "photos"
    one_class.mkdir()
    (one_class / "dog").symlink_to(data / "train" / "001.Red_dog")
    answer = deploy("train", "--data", one_class, *TINY, "--runs", tmp_path / "runs", "--name", "one")
    assert answer.returncode == 2
    assert "holds one class (dog), a classifier needs at least two" in answer.stderr
    record = json.loads((tmp_path / "runs" / "one" / "run.json").read_text())
    assert record["status"] == "failed"
    assert "at least two" in record["reason"]
    assert "failed" in deploy("status", "--runs", tmp_path / "runs").stdout


def test_pretrained_weights_from_a_file_travel_in_a_channel(trained: Path, data: Path, tmp_path: Path) -> None:
    weights = trained / "ml" / "model" / "model.safetensors"
    settings = (f"pretrained={weights}", "freeze=backbone", "image_size=32", "epochs=1", "export=none")
    options = [part for setting in settings for part in ("--set", setting)]
    answer = deploy("train", "--data", data, *options, "--runs", tmp_path, "--name", "second")
    assert answer.returncode == 0, answer.stderr
    given = json.loads((tmp_path / "second" / "ml" / "input" / "config" / "hyperparameters.json").read_text())
    assert json.loads(given["pretrained"]).endswith("/input/data/pretrained/model.safetensors")
    manifest = json.loads((tmp_path / "second" / "ml" / "model" / "kennel.json").read_text())
    assert manifest["provenance"]["pretrained"] == "file model.safetensors"


def test_ctrl_c_stops_the_training_and_leaves_a_verdict(data: Path, tmp_path: Path) -> None:
    process = start("train", "--data", data, "--set", "pretrained=none", "--set", "image_size=32",
                    "--set", "epochs=5000", "--runs", tmp_path, "--name", "long")  # fmt: skip
    metrics = tmp_path / "long" / "ml" / "output" / "data" / "metrics.jsonl"
    _wait(lambda: metrics.is_file() and metrics.read_text().count("\n") >= 1)
    trainer = psutil.Process(json.loads((tmp_path / "long" / "run.json").read_text())["pid"])
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the best epoch so far is in" in error
    assert not trainer.is_running()
    assert json.loads((tmp_path / "long" / "run.json").read_text())["status"] == "stopped"
    manifest = json.loads((tmp_path / "long" / "ml" / "model" / "kennel.json").read_text())
    assert manifest["provenance"]["completed"] is False


def _wait(condition: object, limit: float = 90) -> None:
    assert callable(condition)
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
