"""The backend contract, kept by SageMaker's backend in a simulated account whose containers are Kennel's commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Backend
from backends.cancel import CancelToken
from backends.runs import Run
from backends.sagemaker.backend import CloudBackend
from backends.sagemaker.jobs.report import fetch_report
from tests.backends.photos import make_photos
from tests.cloud.conftest import moto, settings
from tests.cloud.service_models import read_once
from tests.cloud.simulator.jobs import DONE
from tests.cloud.simulator.moto import Moto
from tests.cloud.simulator.server import Simulator, furnish
from tests.contracts.backend_contract import BackendContract

pytestmark = pytest.mark.long

__all__ = ["moto", "read_once"]

# What tests of the contract have the account do.
JOBS = {
    "test_trains_into_the_run_folder": "TrainingJob",
    "test_searches_and_writes_the_page": "HyperParameterTuningJob",
    "test_evaluates_to_what_training_measured": "ProcessingJob",
    "test_transforms_a_folder_by_a_server_that_is_gone_afterwards": "TransformJob",
}


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
            patch.setenv("KENNEL_POLL_S", "0.3")
            patch.setenv("OMP_NUM_THREADS", "1")
            # Evaluations have run folders of their own.
            patch.chdir(folder)
            yield account
            # The deployments of all tests are gone, and their jobs have ended.
            assert account.store.of("Endpoint") == []
            assert [each.name for each in account.store if each.kind.is_job() and each.status not in DONE] == []

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, account: Simulator) -> Backend:
        return CloudBackend(settings(), lambda _items: None)

    @pytest.fixture(scope="class")
    @classmethod
    def tensors(cls, backend: CloudBackend, trained: Run) -> str:
        # They stay in S3, where the job sent them as it ran, until they are asked for.
        fetch_report(backend.account, trained.name, trained.path.parent, lambda _: None, CancelToken())
        return str(trained.ml / "output" / "tensors")

    @pytest.fixture(autouse=True)
    def it_is_a_job_of_the_account(self, account: Simulator, request: pytest.FixtureRequest) -> Iterator[None]:
        yield
        if noun := JOBS.get(request.node.originalname):
            assert account.store.of(noun)
