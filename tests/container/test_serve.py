"""`docker run -p 8080:8080 IMAGE serve` by SageMaker's inference contract."""

import shutil
import subprocess
from pathlib import Path

import pytest

from model.artifact import Artifact
from tests.container.docker_cli import READ_ONLY, USER, Docker, give_to_user, request

GRACE_S = 30  # SageMaker's SIGKILL follows SIGTERM after so long
JPEG = {"Content-Type": "image/jpeg"}


def test_answers_as_no_root_on_a_read_only_root_and_ends_on_sigterm(docker: Docker, model: Path, dog: Path) -> None:
    labels = Artifact.load(model).labels
    with docker.serve(model, *USER, *READ_ONLY) as server:
        *before, ready = server.wait_until_ready()
        assert ready == 200
        assert set(before) <= {503}

        reply = request(f"{server.url}/invocations", dog.read_bytes(), JPEG)
        assert reply.status == 200, reply.body
        predictions = reply.json()["predictions"]
        assert len(predictions) == 5
        assert {entry["label"] for entry in predictions} <= set(labels)
        assert all(labels[entry["index"]] == entry["label"] for entry in predictions)

        every = request(f"{server.url}/invocations", dog.read_bytes(), {**JPEG, "Accept": "text/csv"})
        assert every.status == 200, every.body
        probabilities = [float(number) for number in every.body.decode().strip().split(",")]
        assert len(probabilities) == len(labels)
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-4)
        assert predictions[0]["index"] == probabilities.index(max(probabilities))

        assert server.stop(GRACE_S) == 0, server.logs()


def test_answers_as_root_on_the_port_that_sagemaker_names(docker: Docker, model: Path, dog: Path) -> None:
    mount = ("--volume", f"{model}:/opt/ml/model:ro", "--env", "SAGEMAKER_BIND_TO_PORT=8081")
    ask = "import urllib.request as u; print(u.urlopen('http://localhost:8081/ping').status)"
    with docker.start("serve", options=mount) as server:
        server.wait_for_log("listening on http://0.0.0.0:8081")
        while subprocess.run(
            [docker.client, "exec", server.name, "python", "-c", ask], check=False, capture_output=True
        ).returncode:
            assert server.exit_code is None, server.logs()
        assert docker.call("exec", server.name, "python", "-c", ask) == "200"


def test_the_tutorials_curl_gives_the_label(docker: Docker, model: Path, dog: Path) -> None:
    with docker.serve(model) as server:
        server.wait_until_ready()
        command = [
            "curl",
            "--silent",
            "--data-binary",
            f"@{dog}",
            "-H",
            "Content-Type: image/jpeg",
            f"{server.url}/invocations",
        ]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert any(f'"label": "{label}"' in answer.stdout for label in Artifact.load(model).labels), answer.stdout


def test_without_a_model_it_ends_at_once_with_a_sentence(docker: Docker, tmp_path: Path) -> None:
    mount = ("--volume", f"{tmp_path}:/opt/ml/model:ro")
    answer = docker.run("serve", options=mount)
    assert answer.returncode == 2
    assert "/opt/ml/model" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_damaged_artifact_is_refused(docker: Docker, model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "model"
    shutil.copytree(model, damaged)
    weights = bytearray((damaged / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(weights)
    give_to_user(damaged)
    mount = ("--volume", f"{damaged}:/opt/ml/model:ro")
    # The engine that loads this file; another has no use for it.
    answer = docker.run("serve", options=(*USER, *mount, "--env", "KENNEL_ENGINE=torch"))
    assert answer.returncode == 2
    assert "model.safetensors" in answer.stderr
    assert "Traceback" not in answer.stderr
