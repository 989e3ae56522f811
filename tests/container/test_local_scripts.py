"""train_local.sh, serve_local.sh and predict.sh with the image, and the compose file."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.container.docker_cli import Docker, request

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "local_test"


@pytest.fixture(scope="module")
def environ(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the scripts find the tree, the client and a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tree = tmp_path_factory.mktemp("ml")
    return {**os.environ, "DOCKER": docker.client, "KENNEL_ML_ROOT": str(tree), "PORT": str(port)}


@pytest.fixture(scope="module")
def trained(docker: Docker, environ: dict[str, str], sample_data: Path) -> Path:
    """The tree after train_local.sh IMAGE."""
    tree = Path(environ["KENNEL_ML_ROOT"])
    shutil.copytree(sample_data, tree / "input" / "data")
    answer = run(environ, "train_local.sh", docker.image, "epochs=1", "image_size=32")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return tree


def run(environ: dict[str, str], script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A script started from elsewhere, to its end."""
    command = [str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", env=environ, timeout=280)


def test_training_leaves_a_model_that_belongs_to_the_user(trained: Path) -> None:
    assert (trained / "model" / "kennel.json").is_file()
    left = [path for folder in ("model", "output") for path in (trained / folder).rglob("*")]
    assert left
    assert {path.stat().st_uid for path in left} == {os.getuid()}


def test_serving_and_asking(docker: Docker, environ: dict[str, str], trained: Path, dog: Path) -> None:
    with subprocess.Popen([SCRIPTS / "serve_local.sh", docker.image], cwd="/", env=environ) as server:
        try:
            while True:
                assert server.poll() is None
                try:
                    if request(f"http://127.0.0.1:{environ['PORT']}/ping").status == 200:
                        break
                except OSError:
                    time.sleep(0.2)
            answer = run(environ, "predict.sh", dog)
            assert answer.returncode == 0, answer.stderr
            assert len(json.loads(answer.stdout)["predictions"]) == 5
        finally:
            server.terminate()  # the docker command hands the signal on to `serve`
    assert server.returncode == 0


def test_an_image_that_is_not_there_is_told_with_what_to_do(environ: dict[str, str]) -> None:
    answer = run(environ, "train_local.sh", "kennel-test-no-such-image")
    assert answer.returncode == 1
    assert "there is no image kennel-test-no-such-image: build it with docker/build.sh" in answer.stderr


def test_the_image_draws_the_sample_data_where_there_is_none(docker: Docker, tmp_path: Path) -> None:
    """As train_local.sh does it, with fewer pictures: the host needs no Python."""
    mounts = ("--volume", f"{ROOT}/examples:/kennel/examples:ro", "--volume", f"{tmp_path}:/data")
    draw = ("python", "-m", "examples.sample_data", "/data", "--train", "1", "--valid", "0", "--test", "0")
    user = ("--user", f"{os.getuid()}:{os.getgid()}", "--env", "PYTHONPATH=/kennel", "--network", "none")
    answer = docker.run(*draw, options=(*mounts, *user))
    assert answer.returncode == 0, answer.stderr
    assert len(list(tmp_path.glob("train/*/*.jpg"))) == 6
    script = (SCRIPTS / "train_local.sh").read_text()
    assert "$root/examples:/kennel/examples:ro" in script
    assert "python -m examples.sample_data /data" in script


def test_compose_file_keeps_what_the_scripts_keep() -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    assert sorted(services) == ["serve", "serve-gpu", "train", "train-gpu"]
    for name, service in services.items():
        assert service["command"] == [name.removesuffix("-gpu")]
        assert service["user"] == "${KENNEL_USER:-1000:1000}"
        assert service["read_only"] is True
        # Only what Compose 1 knows too: Debian's refuses a file with bind options.
        assert all(set(volume) <= {"type", "source", "target", "read_only"} for volume in service["volumes"])
        assert ("deploy" in service) == name.endswith("-gpu")
    assert services["train"]["shm_size"] == "1g"
    assert "/ping" in services["serve"]["healthcheck"]["test"][-1]
