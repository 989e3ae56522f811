"""An artifact to deploy, deployments of it, and what the service model says of requests."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from backends.runs import Run, create_run
from backends.sagemaker.account import Account
from backends.sagemaker.endpoints import endpoints
from backends.settings.sections import Settings
from tests.backends.sagemaker_requests import breaches
from tests.cloud.simulator.store import REGION

DIGEST_OF_ARTIFACT = "9525a00ff8b9f00f"


def make_artifact(folder: Path) -> Path:
    """Three small files; DIGEST_OF_ARTIFACT was worked out with sha256sum, not by us."""
    (folder / "openvino").mkdir(parents=True)
    (folder / "kennel.json").write_text("{}\n")
    (folder / "model.safetensors").write_bytes(b"weights\n")
    (folder / "openvino" / "model.xml").write_text("<net/>\n")
    return folder


def interrupt_instead_of(sleep: Callable[[float], None]) -> Callable[[float], None]:
    """A time.sleep in which Ctrl-C reaches the main thread; the simulated account's threads sleep on."""

    def interrupted(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        sleep(seconds)

    return interrupted


def account_of(settings: Settings) -> Account:
    return Account(settings, lambda _items: None)


def deployment(tmp_path: Path, name: str = "first") -> Run:
    return create_run(tmp_path / "runs", "deployment", name, backend="sagemaker")


def up(account: Account, run: Run, artifact: Path) -> None:
    """Deployed, and answering."""
    endpoints.deploy(account, run, artifact)
    assert endpoints.wait_ready(account, run, lambda: True)


def tags_of(run: Run, endpoint: str) -> list[dict[str, str]]:
    return [{"Key": "kennel:run", "Value": endpoint}, {"Key": "kennel:kind", "Value": run.kind}]


def checked(service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """The request, which the service model allows."""
    client = boto3.client(service, region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none")
    shape = client.meta.service_model.operation_model(operation).input_shape
    assert breaches(request, shape) == []
    return request
