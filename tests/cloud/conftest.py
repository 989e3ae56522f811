"""The account that the tests of the cloud work in: simulated, on a port of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.sagemaker.account import Account
from backends.settings.sections import AccountSettings, Settings
from tests.cloud.policies import Call, hold, within_policy
from tests.cloud.service_models import read_once
from tests.cloud.simulator.moto import Moto
from tests.cloud.simulator.server import Simulator, furnish
from tests.cloud.simulator.store import ACCOUNT, REGION
from tests.cloud.simulator.work import Prepared

# Hold for every test of the room.
__all__ = ["read_once", "within_policy"]

ROLE = f"arn:aws:iam::{ACCOUNT}:role/kennel-execution"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/kennel:1.0"
BUCKET = "kennel-bucket"


def settings(**sections: object) -> Settings:
    """What a person who has begun would have in kennel.toml; other sections by name."""
    given = AccountSettings(region=REGION, role=ROLE, bucket=BUCKET, image=IMAGE)
    return Settings(**{"sagemaker": given, **sections})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """Emptied for each account."""
    with Moto() as moto:
        yield moto


@pytest.fixture
def cloud(
    tmp_path: Path, moto: Moto, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Simulator]:
    """A furnished account that this process and its children find, whose containers are Kennel's commands."""
    with Simulator(tmp_path / "cloud", moto) as simulator:
        furnish(simulator)
        for name, value in simulator.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KENNEL_POLL_S", "0.05")
        # Of a training's: they wait for each other by spinning, on a busy machine most of the time.
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        yield simulator
    # Those of child processes, too: Kennel's clients call themselves so.
    kennels = (call for call in simulator.calls if call.agent.split()[-1:] == ["kennel"])
    hold((Call(call.service, call.operation, call.request) for call in kennels), request)


@pytest.fixture
def prepared(cloud: Simulator) -> Prepared:
    """In place of processes: set what jobs leave and print, and what endpoints answer."""
    cloud.work = Prepared()
    return cloud.work


@pytest.fixture
def account(cloud: Simulator) -> Account:
    """The account through Kennel's eyes; consents to everything."""
    return Account(settings(), lambda _items: None)
