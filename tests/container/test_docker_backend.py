"""The backend contract, kept by the Docker backend with the image under test, and what only Docker can get wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Backend, create
from backends.errors import BackendError
from tests.backends.photos import make_photos
from tests.container.docker_cli import Docker
from tests.contracts.backend_contract import BackendContract


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module", autouse=True)
def client_that_works(docker: Docker) -> Iterator[None]:
    """The backend takes the docker client that the other container tests use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER", docker.client)
        yield


class TestDockerBackend(BackendContract):
    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, docker: Docker) -> Backend:
        return create("docker", docker.image)


def test_an_image_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(BackendError, match=r"there is no image kennel-nowhere:none; make image builds it"):
        create("docker", "kennel-nowhere:none")


def test_a_missing_docker_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER", "/nowhere/docker")
    with pytest.raises(BackendError, match="the Docker daemon doesn't answer"):
        create("docker", "kennel:latest")
