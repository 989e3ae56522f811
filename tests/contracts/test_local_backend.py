"""The backend contract, kept by the local backend.

(For Docker: tests/container/test_docker_backend.py; for SageMaker: tests/contracts/test_cloud_backend.py.)
"""

from pathlib import Path

import pytest

from backends.base import BACKENDS, Backend, create
from tests.backends.photos import make_photos
from tests.contracts.machine_contract import MachineContract


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


class TestLocalBackend(MachineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        return create("local", "")


def test_there_are_three_backends_so_three_suites() -> None:
    assert sorted(BACKENDS) == ["docker", "local", "sagemaker"]
