"""train_local.sh, serve_local.sh and predict.sh without Docker (IMAGE=none)."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "local_test"


def run(script: str, *arguments: object, **environ: object) -> subprocess.CompletedProcess[str]:
    """A script started from elsewhere, to its end."""
    return subprocess.run(
        [SCRIPTS / script, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, **{name: str(value) for name, value in environ.items()}},
        timeout=200,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An /opt/ml tree that train_local.sh has trained on."""
    root = tmp_path_factory.mktemp("ml")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "examples.sample_data",
            root / "input" / "data",
            "--train",
            "6",
            "--valid",
            "2",
            "--test",
            "2",
            "--size",
            "64",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    answer = run(
        "train_local.sh", "none", "epochs=1", "image-size=32", "batch_size=8", "export=none", KENNEL_ML_ROOT=root
    )
    assert answer.returncode == 0, answer.stderr
    return root


@pytest.fixture(scope="module")
def port(tree: Path) -> Iterator[int]:
    """Where serve_local.sh serves the tree's model."""
    number = free_port()
    environ = {**os.environ, "KENNEL_ML_ROOT": str(tree), "PORT": str(number)}
    with subprocess.Popen(
        [SCRIPTS / "serve_local.sh", "none"], cwd="/", env=environ, stderr=subprocess.DEVNULL
    ) as server:
        try:
            while True:
                assert server.poll() is None
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{number}/ping", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield number
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=60) == 0


@pytest.fixture
def dog(tree: Path) -> Path:
    """One JPEG."""
    return sorted((tree / "input" / "data" / "test").glob("*/*.jpg"))[0]


def test_training_writes_hyperparameters_and_a_model(tree: Path) -> None:
    written = json.loads((tree / "input" / "config" / "hyperparameters.json").read_text())
    assert written == {"pretrained": "none", "image_size": "32", "epochs": "1", "batch_size": "8", "export": "none"}
    assert (tree / "model" / "kennel.json").is_file()


def test_a_run_that_fails_keeps_the_model_before_it_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "kennel.json").write_text("old")
    (tmp_path / "input" / "data" / "train").mkdir(parents=True)  # so that no sample data is made
    answer = run("train_local.sh", "none", r'pretrained=a "b\c".pth', "lr=-1", KENNEL_ML_ROOT=tmp_path)
    assert answer.returncode == 2
    assert "ClientError: lr: must be" in answer.stderr
    assert (tmp_path / "model.previous" / "kennel.json").read_text() == "old"
    written = json.loads((tmp_path / "input" / "config" / "hyperparameters.json").read_text())
    assert written["pretrained"] == r'a "b\c".pth'


def test_prediction_guesses_the_content_type_and_prints_the_answer(port: int, dog: Path) -> None:
    answer = run("predict.sh", dog, PORT=port)
    assert answer.returncode == 0, answer.stderr
    assert len(json.loads(answer.stdout)["predictions"]) == 5
    numbers = run("predict.sh", dog, "application/x-image", PORT=port, ACCEPT="text/csv")
    assert len(numbers.stdout.strip().split(",")) == 6


def test_an_error_of_the_server_is_told_with_a_failing_exit_code(port: int, tmp_path: Path) -> None:
    page = tmp_path / "dog.jpg"
    page.write_text("<html>not found</html>")
    answer = run("predict.sh", page, PORT=port)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"answered 400 to {page} as image/jpeg" in answer.stderr


def test_no_server_no_file_and_no_argument_are_told_apart(dog: Path, tmp_path: Path) -> None:
    nobody = run("predict.sh", dog, PORT=free_port())
    assert nobody.returncode == 1
    assert "start a server with local_test/serve_local.sh" in nobody.stderr
    assert "there is no file" in run("predict.sh", tmp_path / "no.jpg").stderr
    for script in ("train_local.sh", "serve_local.sh", "predict.sh"):
        missing = run(script)
        assert missing.returncode == 2
        assert "is missing. Usage:" in missing.stderr
        assert script in run(script, "--help").stdout


def test_serving_without_a_model_says_what_to_do_first(tmp_path: Path) -> None:
    answer = run("serve_local.sh", "none", KENNEL_ML_ROOT=tmp_path)
    assert answer.returncode == 1
    assert "run local_test/train_local.sh none first" in answer.stderr


def test_an_argument_that_is_no_pair_is_refused(tmp_path: Path) -> None:
    answer = run("train_local.sh", "none", "epochs", KENNEL_ML_ROOT=tmp_path)
    assert answer.returncode == 2
    assert "'epochs' is no NAME=VALUE" in answer.stderr
    assert list(tmp_path.iterdir()) == []
