"""Captured requests and answers, brought from S3."""

import json
from pathlib import Path

from backends.sagemaker.endpoints import invoke
from backends.sagemaker.endpoints.capture import capture_location, fetch_captured
from backends.settings.sections import Deploy
from tests.cloud.conftest import settings
from tests.cloud.endpoint_cases import account_of, deployment, make_artifact, up
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared

PREDICTIONS = [{"label": "Pug", "index": 1, "probability": 0.75}]


def event(data: str, encoding: str, answer: str, time: str) -> str:
    sides = {
        "endpointInput": {"observedContentType": "any/thing", "mode": "INPUT", "data": data, "encoding": encoding},
        "endpointOutput": {"mode": "OUTPUT", "data": answer, "encoding": "JSON"},
    }
    return json.dumps({"captureData": sides, "eventMetadata": {"eventId": "1", "inferenceTime": time}})


def test_what_an_endpoint_was_asked_comes_back_as_images_and_rows(
    cloud: Simulator, prepared: Prepared, tmp_path: Path
) -> None:
    prepared.answer = json.dumps({"predictions": PREDICTIONS})
    account, run = account_of(settings(deploy=Deploy(capture_percent=100))), deployment(tmp_path)
    up(account, run, make_artifact(tmp_path / "artifact"))
    (tmp_path / "dog.jpg").write_bytes(b"\xff\xd8\xffjpeg")
    invoke.ask_deployment(account, run, tmp_path / "dog.jpg")
    assert fetch_captured(account, run, tmp_path / "out") == 1
    (row,) = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert row.pop("time")
    assert row == {"file": "000001.jpg", "predictions": PREDICTIONS}
    assert (tmp_path / "out" / "000001.jpg").read_bytes() == b"\xff\xd8\xffjpeg"


def test_the_content_decides_and_the_hours_are_in_order(cloud: Simulator, tmp_path: Path) -> None:
    account, run = account_of(settings()), deployment(tmp_path)
    place = capture_location(account, run)
    # base64 of the first bytes of a PNG, and of "what".
    later = [event("iVBORw0=", "BASE64", "[[0.25]]", "t3"), "", event("d2hhdA==", "BASE64", "<html>", "t4")]
    earlier = [event('{"instances": []}', "JSON", '{"predictions": []}', "t1")]
    cloud.objects.write(f"{place.url}/one/AllTraffic/2026/11/29/18/a.jsonl", "\n".join(later).encode())
    cloud.objects.write(f"{place.url}/one/AllTraffic/2026/11/29/09/b.jsonl", "\n".join(earlier).encode())
    cloud.objects.write(f"{place.url}/one/AllTraffic/note.txt", b"none of ours")
    assert fetch_captured(account, run, tmp_path / "out") == 3
    rows = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert rows == [
        {"file": "000001.json", "time": "t1", "predictions": []},
        {"file": "000002.png", "time": "t3", "answer": "[[0.25]]"},
        {"file": "000003.bin", "time": "t4", "answer": "<html>"},
    ]
    assert (tmp_path / "out" / "000003.bin").read_bytes() == b"what"


def test_nothing_captured(cloud: Simulator, tmp_path: Path) -> None:
    assert fetch_captured(account_of(settings()), deployment(tmp_path), tmp_path / "out") == 0
    assert (tmp_path / "out" / "predictions.jsonl").read_text() == ""
