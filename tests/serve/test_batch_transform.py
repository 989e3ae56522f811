"""What a batch transform job finds: its parameters, room for all its requests, and what becomes of a bad image."""

import threading
from pathlib import Path

import pytest

from contract.errors import ConfigError
from serve.app import execution_parameters
from serve.settings import ServeSettings
from tests.serve.conftest import Start, encoded, photo
from tests.serve.process import Answer, Served, eventually

SAGEMAKER = {"SAGEMAKER_BATCH": "true"}


@pytest.mark.parametrize(
    ("variables", "cores", "requests", "megabytes"),
    [
        ({}, 1, 8, 6),  # 8 a core
        ({}, 2, 16, 6),
        ({}, 64, 16, 6),  # 16 x 6 = 96, 17 x 6 = 102 would be above 100
        ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"}, 4, 32, 1),
        ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"}, 64, 100, 1),
        ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "60"}, 2, 1, 60),
        ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"}, 2, 1, 100),  # no limit
        ({"KENNEL_MAX_WAITING": "3"}, 2, 3, 6),
        ({"SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "5"}, 2, 5, 6),
        ({"SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "50"}, 2, 16, 6),
        ({"SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "50", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2"}, 2, 50, 2),
        ({"SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "5", "KENNEL_MAX_WAITING": "3"}, 2, 5, 6),
    ],
)
def test_parameters_follow_cores_and_settings(
    variables: dict[str, str], cores: int, requests: int, megabytes: int
) -> None:
    found = execution_parameters(ServeSettings.from_environ(variables), cores)
    assert found == {
        "MaxConcurrentTransforms": requests, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": megabytes,
    }  # fmt: skip
    assert requests * megabytes <= 100


def test_a_job_can_ask(toy_server: Served) -> None:
    answer = toy_server.request("GET", "/execution-parameters")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["MaxConcurrentTransforms"] in (8, 16)  # with one core, or more
    assert answer.json == {**answer.json, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 6}
    # No key of its own in the body, which is SageMaker's.
    assert len(answer.json) == 3
    assert answer.headers["x-kennel-max-images"] == "64"
    assert toy_server.request("POST", "/execution-parameters").status == 405


def test_the_jobs_own_values_are_told_in_both_spellings(start: Start) -> None:
    values = {"SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "7", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "4"}
    for strategy in ("MULTI_RECORD", "MultiRecord"):
        server = start(**SAGEMAKER, **values, SAGEMAKER_BATCH_STRATEGY=strategy)
        server.wait_ready()
        assert server.request("GET", "/execution-parameters").json == {
            "MaxConcurrentTransforms": 7, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 4,
        }  # fmt: skip


def test_there_is_room_for_all_requests_of_a_job(start: Start, tmp_path: Path) -> None:
    server = start(**SAGEMAKER, KENNEL_MAX_WAITING="1", SAGEMAKER_MAX_CONCURRENT_TRANSFORMS="5")
    server.wait_ready()
    image = encoded(photo(1))
    (tmp_path / "hold").touch()
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(server.invoke(image))) for _ in range(8)]
    for each in threads:
        each.start()
    # Five hold the server's places until the engine goes on, so three of the eight are refused at once.
    eventually("three are answered", lambda: len(answers) == 3)
    (tmp_path / "hold").unlink()
    for each in threads:
        each.join()
    assert [answer.status for answer in answers] == [503] * 3 + [200] * 5


@pytest.mark.parametrize("errors", ["status", "answer"])
def test_a_bad_image_fails_its_object_or_is_told_in_its_answer(start: Start, errors: str) -> None:
    server = start(**SAGEMAKER, KENNEL_BATCH_ERRORS=errors, SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    server.wait_ready()
    for body, code, reason in ((b"no image", 400, "not an image"), (bytes(1024 * 1024 + 1), 413, "larger than the")):
        answer = server.invoke(body)
        assert answer.status == (code if errors == "status" else 200)
        assert answer.json["error"]["code"] == code
        assert reason in answer.json["error"]["message"]
        # The log keeps what it was.
        assert f" {code} " in server.log.splitlines()[-1]
    good = encoded(photo(1))
    assert server.invoke(good).json["predictions"][0]["label"]
    # These are the job's fault, and all its objects share it.
    assert server.invoke(good, Accept="image/png").status == 406
    assert server.request("GET", "/nowhere").status == 404


def test_an_endpoint_never_hides_an_error(start: Start) -> None:
    server = start(KENNEL_BATCH_ERRORS="answer")
    server.wait_ready()
    assert server.invoke(b"no image").status == 400


def test_wrong_values_are_told() -> None:
    wrong = {"SAGEMAKER_BATCH": "yes", "SAGEMAKER_BATCH_STRATEGY": "one", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "-1",
             "KENNEL_BATCH_ERRORS": "hide"}  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        ServeSettings.from_environ(wrong)
    for name, value in wrong.items():
        assert f"{name} must be" in str(caught.value)
        assert f"got {value!r}" in str(caught.value)
