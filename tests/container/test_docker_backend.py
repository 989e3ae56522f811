"""The backend contract, kept by the Docker backend with the image under test, and what only Docker can get wrong."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Backend, create
from backends.errors import BackendError
from tests.backends.photos import make_photos
from tests.backends.terminal import TINY, deploy
from tests.container.docker_cli import HUNG_S, Docker
from tests.contracts.machine_contract import MachineContract


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module", autouse=True)
def client_that_works(docker: Docker) -> Iterator[None]:
    """The backend takes the docker client that the other container tests use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER", docker.client)
        yield


class TestDockerBackend(MachineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, docker: Docker) -> Backend:
        return create("docker", docker.image)


def test_an_image_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(BackendError, match=r"there is no image kennel-nowhere:none; make image builds it"):
        create("docker", "kennel-nowhere:none")


def test_a_missing_docker_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER", "/nowhere/docker")
    with pytest.raises(BackendError, match="/nowhere/docker can't be run"):
        create("docker", "kennel:latest")


def test_deploy_py_does_the_main_job_in_containers(docker: Docker, data: Path, tmp_path: Path) -> None:
    answer = deploy("run", "--on", "docker", "--image", docker.image, "--data", data, *TINY, "--runs", tmp_path,
                    "--trials", "2", "--port", "0", timeout=HUNG_S)  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert re.search(r"(?m)^data +3 classes; 36 train, 12 valid, 12 test images$", answer.stdout), answer.stdout
    for page in ("tuning", "evaluation", "debugger", "profiler"):
        assert re.search(rf"(?m)^{page} page +\S+\.html$", answer.stdout), answer.stdout
    records = [json.loads(file.read_text()) for file in tmp_path.glob("*/run.json")]
    kinds = sorted((record["kind"], record["status"]) for record in records)
    # Of two trials the second may be ended early by the first one's value.
    assert kinds[:2] == [("deployment", "stopped"), ("training", "completed")]
    assert kinds[2] in [("training", "completed"), ("training", "pruned")]
    assert kinds[3:] == [("tuning", "completed")]
    left = docker.call("ps", "--all", "--format", "{{.Names}}").split()
    assert not {record["container"] for record in records if "container" in record} & set(left)
