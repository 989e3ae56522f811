"""Asking an endpoint: at once, or through S3."""

import json
from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.endpoints import invoke
from backends.settings.sections import Deploy
from tests.cloud.conftest import BUCKET, settings
from tests.cloud.endpoint_cases import account_of, deployment, make_artifact, up
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Answer, Prepared

PREDICTIONS = {"predictions": [{"label": "Pug", "index": 1, "probability": 0.75}]}


class Refusing:
    """A server that answers everything with one refusal."""

    def __init__(self, status: int, body: str) -> None:
        self._answer = Answer(status, "application/json", body.encode())

    def ask(self, *_request: object) -> Answer:
        return self._answer

    def close(self) -> None:
        """There is nothing to end."""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "pug.jpg").write_bytes(b"jpeg")
    return tmp_path / "pug.jpg"


def deployed(prepared: Prepared, tmp_path: Path, kind: str = "realtime") -> tuple[Account, Run]:
    prepared.answer = json.dumps(PREDICTIONS)
    account, run = account_of(settings(deploy=Deploy(kind=kind))), deployment(tmp_path)
    up(account, run, make_artifact(tmp_path / "artifact"))
    return account, run


def refusing(cloud: Simulator, status: int, body: str) -> None:
    (endpoint,) = cloud.endpoints.values()
    endpoint.server = Refusing(status, body)


def test_an_image_is_sent_as_it_is(cloud: Simulator, prepared: Prepared, tmp_path: Path, photo: Path) -> None:
    account, run = deployed(prepared, tmp_path)
    assert invoke.ask_deployment(account, run, photo) == PREDICTIONS
    (request,) = cloud.requests("InvokeEndpoint")
    assert (request["EndpointName"], request["ContentType"], request["Accept"]) == (
        run.record["sagemaker"]["endpoint"], "image/jpeg", "application/json",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["realtime", "serverless", "async"])
def test_an_endpoint_is_asked_by_its_name_alone(
    cloud: Simulator, prepared: Prepared, tmp_path: Path, photo: Path, kind: str
) -> None:
    account, run = deployed(prepared, tmp_path, kind)
    name = run.record["sagemaker"]["endpoint"]
    assert invoke.kind_of(account, name) == kind
    assert invoke.ask_endpoint(account, name, photo) == PREDICTIONS


def test_asynchronous_goes_through_s3_and_leaves_no_image_there(
    cloud: Simulator, prepared: Prepared, tmp_path: Path, photo: Path
) -> None:
    account, run = deployed(prepared, tmp_path, "async")
    name = run.record["sagemaker"]["endpoint"]
    assert invoke.ask_deployment(account, run, photo) == PREDICTIONS
    (request,) = cloud.requests("InvokeEndpointAsync")
    assert request["InputLocation"].startswith(f"s3://{BUCKET}/kennel/requests/{name}/")
    assert (request["ContentType"], request["Accept"]) == ("image/jpeg", "application/json")
    assert list(cloud.objects.keys(BUCKET, "kennel/requests/")) == []
    assert len(list(cloud.objects.keys(BUCKET, f"kennel/runs/{name}/async/output/"))) == 1


@pytest.mark.parametrize("kind", ["realtime", "async"])
def test_the_servers_own_sentence_is_the_refusal(
    cloud: Simulator, prepared: Prepared, tmp_path: Path, photo: Path, kind: str
) -> None:
    account, run = deployed(prepared, tmp_path, kind)
    refusing(cloud, 400, json.dumps({"error": {"code": 400, "message": "not an image: it begins with 'jpeg'"}}))
    with pytest.raises(BackendError, match=r"^not an image: it begins with 'jpeg'$"):
        invoke.ask_deployment(account, run, photo)


def test_a_refusal_of_another_kind_is_told_too(
    cloud: Simulator, prepared: Prepared, tmp_path: Path, photo: Path
) -> None:
    account, run = deployed(prepared, tmp_path)
    refusing(cloud, 502, "Bad gateway\nfor some reason")
    with pytest.raises(BackendError, match=r"^the server answered 502: Bad gateway$"):
        invoke.ask_deployment(account, run, photo)


@pytest.mark.parametrize(("kind", "limit"), [("realtime", 6_291_456), ("serverless", 4_194_304)])
def test_what_is_too_large_isnt_sent(
    cloud: Simulator, prepared: Prepared, tmp_path: Path, photo: Path, kind: str, limit: int
) -> None:
    account, run = deployed(prepared, tmp_path, kind)
    photo.write_bytes(b"x" * (limit + 1))
    with pytest.raises(BackendError, match=f"takes {limit:,} at most; .*kind async"):
        invoke.ask_deployment(account, run, photo)
    assert cloud.requests("InvokeEndpoint") == []


def test_an_endpoint_that_isnt_there(cloud: Simulator, account: Account, photo: Path) -> None:
    with pytest.raises(BackendError, match="there is no endpoint others in eu-west-1"):
        invoke.ask_endpoint(account, "others", photo)


def test_a_file_that_isnt_there(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"nowhere.jpg can't be read"):
        invoke.ask_endpoint(account, "others", tmp_path / "nowhere.jpg")


@pytest.mark.parametrize("answer", ["[[0.5]]", "<html>"])
def test_an_endpoint_of_somebody_elses(
    cloud: Simulator, prepared: Prepared, tmp_path: Path, photo: Path, answer: str
) -> None:
    account, run = deployed(prepared, tmp_path)
    refusing(cloud, 200, answer)
    with pytest.raises(BackendError, match="is it an endpoint of Kennel's"):
        invoke.ask_deployment(account, run, photo)


def test_the_image_is_encrypted_in_s3(cloud: Simulator, prepared: Prepared, tmp_path: Path, photo: Path) -> None:
    from dataclasses import replace

    account, run = deployed(prepared, tmp_path, "async")
    chosen = account.settings
    guarded = replace(chosen, sagemaker=replace(chosen.sagemaker, kms_key="alias/dogs"))
    invoke.ask_deployment(account_of(guarded), run, photo)
    request = cloud.requests("PutObject")[-1]
    assert (request["ServerSideEncryption"], request["SSEKMSKeyId"]) == ("aws:kms", "alias/dogs")
