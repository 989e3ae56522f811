"""The backend contract, kept by SageMaker's backend in a simulated account whose containers are Kennel's commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Backend
from backends.cloud.backend import CloudBackend
from backends.cloud.report import fetch_report
from backends.runs import Run
from backends.stop import Stop
from tests.backends.photos import make_photos
from tests.cloud.conftest import moto, settings
from tests.cloud.service_models import read_once
from tests.cloud.simulator.moto import Moto
from tests.cloud.simulator.server import Simulator, furnish
from tests.contracts.backend_contract import BackendContract

__all__ = ["moto", "read_once"]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"))


class TestCloudBackend(BackendContract):
    transformed = ("transform", "completed")

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls, tmp_path_factory: pytest.TempPathFactory, moto: Moto) -> Iterator[Simulator]:
        folder = tmp_path_factory.mktemp("account")
        with Simulator(folder / "cloud", moto) as account, pytest.MonkeyPatch.context() as patch:
            furnish(account)
            for name, value in account.environment().items():
                patch.setenv(name, value)
            patch.setenv("KENNEL_POLL_S", "0.1")
            # Evaluations have run folders of their own.
            patch.chdir(folder)
            yield account

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, account: Simulator) -> Backend:
        return CloudBackend(settings(), lambda _items: None)

    @pytest.fixture(scope="class")
    @classmethod
    def tensors(cls, backend: CloudBackend, trained: Run) -> str:
        # They stay in S3, where the job sent them as it ran, until they are asked for.
        fetch_report(backend.account, trained.name, trained.path.parent, lambda _: None, Stop())
        return str(trained.ml / "output" / "tensors")

    def test_the_account_is_empty_once_all_is_stopped(self, backend: Backend, account: Simulator) -> None:
        # After all tests of the class: their deployments are gone, and their jobs have ended.
        jobs = ("TrainingJob", "HyperParameterTuningJob", "ProcessingJob", "TransformJob")
        endpoints = [each.name for each in account.store if each.kind.noun == "Endpoint"]
        assert [name for name in endpoints if "deployment" not in name] == []
        running = [each.name for noun in jobs for each in account.store.of(noun) if each.status == "InProgress"]
        assert running == []
        assert {each.kind.noun for each in account.store} >= set(jobs)
