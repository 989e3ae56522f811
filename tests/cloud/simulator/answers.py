"""HTTP answers: of SageMaker's own API, of containers, of moto, and refusals in each service's own form."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

from tests.cloud.simulator.recording import Call
from tests.cloud.simulator.store import Fault
from tests.cloud.simulator.work import Answer


@dataclass
class Http:
    """error: the code of a refusal."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    error: str | None = None


def as_json(value: Mapping[str, Any]) -> Http:
    """Of a service that speaks JSON."""
    body = json.dumps(value).encode()
    return Http(200, body, [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", "simulated")])


def of_container(answer: Answer) -> Http:
    """What an endpoint said."""
    return Http(answer.status, answer.body, [("Content-Type", answer.content_type), *answer.headers.items()])


def of_application(application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Http:
    """What a WSGI application answers."""
    found: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]], _fault: object = None) -> Callable[[bytes], object]:
        found.update(status=int(status.split(maxsplit=1)[0]), headers=headers)
        return lambda _data: None

    parts = application(environ, start)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    kept = [(name, value) for name, value in found["headers"] if name.lower() != "connection"]
    code = next((value for name, value in kept if name.lower() == "x-amzn-errortype"), None)
    return Http(found["status"], body, kept, code)


def refusal(call: Call, fault: Fault, environ: Mapping[str, Any]) -> Http:
    """A fault as the service that was asked would word it."""
    headers = [("x-amzn-errortype", fault.code), ("x-amzn-RequestId", "simulated")]
    if "/operation/" in str(environ.get("PATH_INFO", "")):
        headers += [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
        return Http(fault.status, _cbor({"__type": fault.code, "message": fault.message}), headers)
    if call.service in ("s3", "sts", "iam"):
        told = f"<Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"
        whole = (
            f"<Error>{told}</Error>"
            if call.service == "s3"
            else f"<ErrorResponse><Error>{told}</Error></ErrorResponse>"
        )
        return Http(fault.status, whole.encode(), [*headers, ("Content-Type", "text/xml")])
    told_json = {"__type": fault.code, "message": fault.message, "Message": fault.message, **fault.more}
    return Http(
        fault.status, json.dumps(told_json).encode(), [*headers, ("Content-Type", "application/x-amz-json-1.1")]
    )


def _cbor(values: Mapping[str, str]) -> bytes:
    """A map of short texts (RFC 8949)."""

    def text(value: str) -> bytes:
        data = value.encode()[:65535]
        return b"\x79" + len(data).to_bytes(2, "big") + data

    return bytes([0xA0 + len(values)]) + b"".join(text(key) + text(value) for key, value in values.items())


def send(answer: Http, start: Callable[..., Any]) -> Iterable[bytes]:
    """As WSGI has it."""
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Fault"
    headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
    length = next((value for name, value in answer.headers if name.lower() == "content-length"), None)
    # HEAD tells a length without a body.
    headers.append(("Content-Length", length if length is not None and not answer.body else str(len(answer.body))))
    start(f"{answer.status} {phrase}", headers)
    return [answer.body]
