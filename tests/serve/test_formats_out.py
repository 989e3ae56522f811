"""Forms of answer, options and headers, over HTTP to a real server."""

import csv
import io
import json
import re

import numpy as np
import pytest

from model.artifact import Artifact
from tests.serve.bodies import BLUE, FORM, GREEN, JSON, LINES, NPY, RED, ROWS, flat, form, instances, lines, npy, pixels
from tests.serve.conftest import Start, Toy
from tests.serve.process import Answer, Served

THREE = instances(flat(RED), flat(BLUE), flat(GREEN))
WANTED = np.array([ROWS[RED], ROWS[BLUE], ROWS[GREEN]])
BEST = [
    {"label": "Red dog", "index": 0, "probability": 0.5},
    {"label": "Green dog", "index": 1, "probability": 0.25},
    {"label": "Blue dog", "index": 2, "probability": 0.25},
]
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"


def three(server: Served, accept: str = "*/*", query: str = "", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = server.request("POST", f"/invocations{query}", THREE, {**JSON, "Accept": accept, **named})
    assert answer.status == 200, answer
    return answer


def test_predictions_of_several_images(toy_server: Served) -> None:
    answer = three(toy_server)
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json) == ["predictions"]
    assert answer.json["predictions"][0] == BEST
    assert [each[0]["label"] for each in answer.json["predictions"]] == ["Red dog", "Blue dog", "Green dog"]


def test_a_list_of_one_is_a_list(toy_server: Served) -> None:
    png, array = flat(RED), pixels(RED)
    for body, label in [(instances(png), JSON), (lines(png), LINES), (form([("a.png", png)]), FORM), (npy(array), NPY)]:
        asked = toy_server.request("POST", "/invocations", body, label).json
        assert asked["predictions"] == [BEST]
        assert asked.get("files") == (["a.png"] if label == FORM else None)
        probabilities = toy_server.request("POST", "/invocations?format=probabilities", body, label).json
        assert probabilities == [[0.5, 0.25, 0.25]]
    for body, label in [(png, {}), (npy(array[0]), NPY)]:
        assert toy_server.request("POST", "/invocations", body, label).json == {"predictions": BEST}
        flat_list = toy_server.request("POST", "/invocations?format=probabilities", body, label).json
        assert flat_list == [0.5, 0.25, 0.25]


def test_probabilities(toy_server: Served) -> None:
    assert three(toy_server, "application/json;format=probabilities").json == WANTED.tolist()


def test_the_tutorials_list(toy_server: Served) -> None:
    answer = toy_server.invoke(flat(BLUE), Accept="application/json;format=list")
    assert answer.headers["content-type"] == "application/json"
    assert np.argmax(json.loads(answer.body), 1).tolist() == [2]
    assert np.argmax(three(toy_server, "application/json;format=list").json, 1).tolist() == [0, 2, 1]


def test_csv(toy_server: Served) -> None:
    answer = three(toy_server, "text/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.body == b"0.5,0.25,0.25\n0.25,0.25,0.5\n0.25,0.5,0.25\n"
    found = list(csv.reader(io.StringIO(answer.body.decode())))
    assert [[float(x) for x in row] for row in found] == WANTED.tolist()


def test_json_lines(toy_server: Served) -> None:
    answer = three(toy_server, "application/x-jsonlines")
    assert answer.headers["content-type"] == "application/jsonlines"
    assert answer.body.endswith(b"}\n")
    found = [json.loads(line) for line in answer.body.splitlines()]
    assert found[0] == {"predictions": BEST}
    assert [each["predictions"][0]["index"] for each in found] == [0, 2, 1]
    files = [("a.png", flat(RED)), ("b.png", flat(GREEN))]
    named = toy_server.request("POST", "/invocations", form(files), {**FORM, "Accept": "application/jsonlines"})
    assert [json.loads(line)["file"] for line in named.body.splitlines()] == ["a.png", "b.png"]
    one = toy_server.invoke(flat(RED), Accept="application/jsonlines")
    assert json.loads(one.body) == {"predictions": BEST}


def test_npy(toy_server: Served) -> None:
    answer = three(toy_server, "application/x-npy")
    assert answer.headers["content-type"] == "application/x-npy"
    found = np.load(io.BytesIO(answer.body), allow_pickle=False)
    assert found.dtype == np.float64
    assert found == pytest.approx(WANTED)
    one = np.load(io.BytesIO(toy_server.invoke(flat(RED), Accept="application/x-npy").body))
    assert one.shape == (1, 3)


@pytest.mark.parametrize(("top_k", "count"), [("1", 1), ("2", 2), ("3", 3), ("4", 3), ("999999999", 3)])
def test_top_k(toy_server: Served, top_k: str, count: int) -> None:
    for answer in (
        three(toy_server, query=f"?top_k={top_k}"),
        three(toy_server, X_Amzn_SageMaker_Custom_Attributes=f"top_k={top_k}"),
    ):
        assert [len(each) for each in answer.json["predictions"]] == [count] * 3
    # The other forms tell every class.
    assert three(toy_server, "text/csv", f"?top_k={top_k}").body.count(b",") == 6


def test_threshold(toy_server: Served) -> None:
    for threshold, count in [("0", 3), ("0.25", 3), ("0.2500001", 1), ("5e-1", 1), ("0.51", 0), ("1", 0)]:
        answer = three(toy_server, query=f"?threshold={threshold}")
        assert [len(each) for each in answer.json["predictions"]] == [count] * 3


def test_the_option_format_beats_accept(toy_server: Served) -> None:
    for accept in ("text/csv", "image/png"):
        assert three(toy_server, accept, "?format=list").json == WANTED.tolist()
    for name, kind in [
        ("predictions", "application/json"),
        ("probabilities", "application/json"),
        ("CSV", "text/csv; charset=utf-8"),
        ("jsonlines", "application/jsonlines"),
        ("npy", "application/x-npy"),
    ]:
        assert three(toy_server, "image/png", f"?format={name}").headers["content-type"] == kind


def test_what_others_write_into_the_attributes_is_left_alone(toy_server: Served) -> None:
    for text in ("c000b4f9-df62-4c85-a0bf-7c525f9104a4", '{"top_k": 1}', "trace=1,=,,;", "x" * 1024, "TOP_K=1"):
        assert len(three(toy_server, X_Amzn_SageMaker_Custom_Attributes=text).json["predictions"][0]) == 3
    mixed = "trace=abc=, top_k = 1 ,format=jsonlines"
    assert three(toy_server, X_Amzn_SageMaker_Custom_Attributes=mixed).body.count(b"label") == 3
    beaten = three(toy_server, query="?top_k=2", X_Amzn_SageMaker_Custom_Attributes="top_k=1,threshold=0.3")
    assert [len(each) for each in beaten.json["predictions"]] == [1] * 3
    unbeaten = three(toy_server, query="?top_k=2", X_Amzn_SageMaker_Custom_Attributes="top_k=1")
    assert [len(each) for each in unbeaten.json["predictions"]] == [2] * 3


@pytest.mark.parametrize(
    ("query", "attributes", "reason"),
    [
        ("?top_k=0", "", "top_k must be an integer of 1 or more, got '0'"),
        ("?top_k=-1", "", "got '-1'"),
        ("?top_k=", "", "got ''"),
        ("?top_k=1e3", "", "got '1e3'"),
        ("?top_k=" + "9" * 900, "", "top_k must be"),
        ("?threshold=nan", "", "threshold must be a number from 0 to 1, got 'nan'"),
        ("?threshold=1.5", "", "got '1.5'"),
        ("?format=xml", "", "format must be one of predictions, probabilities, list, csv, jsonlines, npy, got 'xml'"),
        ("?topk=3", "", "unknown query parameter 'topk'; the options are top_k, threshold, format"),
        ("?top_k=1&top_k=2", "", "top_k is given twice"),
        ("?" + "&".join("a" * 100), "", "more than 16 parameters"),
        ("?%ff=%00", "", "unknown query parameter"),
        ("", "top_k=x", "top_k must be an integer of 1 or more, got 'x'"),
        ("", "top_k=1,top_k=1", "top_k is given twice"),
        ("", "x" * 1025, "at most 1024 characters, got 1025"),
        ("", "top_k=3,näh=1", "visible ASCII"),
    ],
)
def test_wrong_options(toy_server: Served, query: str, attributes: str, reason: str) -> None:
    headers = {**JSON, **({ATTRIBUTES: attributes} if attributes else {})}
    answer = toy_server.request("POST", f"/invocations{query}", THREE, headers)
    assert answer.status == 400
    assert reason in answer.error


def test_headers_tell_the_artifact_and_the_time(toy: Toy, toy_server: Served) -> None:
    answer = toy_server.invoke(flat(RED))
    id = Artifact.load(toy.ml_root / "model").id
    assert answer.headers["x-kennel-artifact"] == id
    number = r"(\d+\.\d)"
    timing = re.fullmatch(
        rf"decode;dur={number}, predict;dur={number}, total;dur={number}", answer.headers["server-timing"]
    )
    assert timing
    decode, predict, total = map(float, timing.groups())
    # Each is rounded to a tenth of a millisecond.
    assert 0 <= decode + predict <= total + 0.15
    assert answer.headers[ATTRIBUTES] == (
        f"artifact={id},decode_ms={timing[1]},predict_ms={timing[2]},total_ms={timing[3]}"
    )


def test_settings_for_many_images_and_the_default_form(start: Start) -> None:
    server = start(KENNEL_MAX_IMAGES="2", SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="application/json;format=list")
    server.wait_ready()
    answer = server.request("POST", "/invocations", instances(flat(RED), flat(BLUE)), JSON)
    assert answer.json == [ROWS[RED], ROWS[BLUE]]
    refused = server.request("POST", "/invocations", THREE, JSON)
    assert refused.status == 413
    assert refused.error == (
        "the request has more images than the limit of 2; send fewer at once, or raise KENNEL_MAX_IMAGES"
    )
