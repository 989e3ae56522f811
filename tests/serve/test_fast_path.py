"""POST /invocations goes the fast path, and /invocations/ Flask's: what comes out is the same."""

import http.client
import json
import re

import pytest

from tests.serve.conftest import encoded, photo
from tests.serve.process import JPEG, Answer, Served, read_answer

BODY = encoded(photo(1))
# What differs from one request to the next.
_MOMENT = re.compile(r"(dur=|_ms=)[\d.]+")
REQUESTS = {
    "good": ("", BODY, JPEG),
    "options in the query": ("?top_k=1&format=jsonlines", BODY, JPEG),
    "options in the header": ("", BODY, {**JPEG, "X-Amzn-SageMaker-Custom-Attributes": "top_k=2,trace=7"}),
    "another form": ("", BODY, {**JPEG, "Accept": "text/csv;q=0.9, application/json;q=0.1"}),
    "no label": ("", BODY, {}),
    "no form that is wanted": ("", BODY, {**JPEG, "Accept": "image/png"}),
    "another label": ("", BODY, {"Content-Type": "text/html"}),
    "an unknown option": ("?top=1", BODY, JPEG),
    "no image": ("", b"nonsense", JPEG),
    "an empty body": ("", b"", JPEG),
    "too large": ("", bytes(7_000_000), JPEG),
    "JSON": ("", json.dumps({"instances": []}).encode(), {"Content-Type": "application/json"}),
}


def plain(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    headers = {name: _MOMENT.sub(r"\1", value) for name, value in answer.headers.items() if name != "date"}
    return answer.status, headers, answer.body


@pytest.mark.parametrize("name", REQUESTS)
def test_both_ways_answer_alike(toy_server: Served, name: str) -> None:
    query, body, headers = REQUESTS[name]
    fast, slow = (toy_server.request("POST", f"/invocations{end}{query}", body, headers) for end in ("", "/"))
    assert plain(fast) == plain(slow)
    assert fast.headers["server"] == "gunicorn"
    assert fast.headers["connection"] == "keep-alive"


def test_repeated_headers_are_one(toy_server: Served) -> None:
    lines = ["Accept: text/csv;q=0.5", "Accept: application/x-npy", f"Content-Length: {len(BODY)}"]
    for path in ("/invocations", "/invocations/"):
        with toy_server.connect() as sock:
            head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", "Content-Type: image/jpeg", *lines, "", ""])
            sock.sendall(head.encode() + BODY)
            assert read_answer(sock).headers["content-type"] == "application/x-npy"


def test_who_wants_to_close_is_closed(toy_server: Served) -> None:
    for head in ("HTTP/1.1\r\nHost: x\r\nConnection: close", "HTTP/1.0"):
        with toy_server.connect() as sock:
            request = f"POST /invocations {head}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(BODY)}\r\n\r\n"
            sock.sendall(request.encode() + BODY)
            answer = read_answer(sock)
            assert answer.status == 200
            assert answer.headers["connection"] == "close"
            assert sock.recv(1) == b""


def test_who_asks_before_sending_is_told_to_go_on(toy_server: Served) -> None:
    with toy_server.connect() as sock:
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(BODY)}\r\n"
        sock.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        response = http.client.HTTPResponse(sock)
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(BODY)
        response.begin()
        assert response.status == 200
