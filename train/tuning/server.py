"""The leader's side of a search with several workers, over HTTP: each path is a call of the coordinator."""

import json
import socketserver
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from contract.errors import ConfigError
from train.tuning.coordinator import Coordinator, RefusedError
from train.tuning.protocol import BODY_LIMIT, FINGERPRINT_HEADER, PORT_VARIABLE, SILENCE_S, encode_trial
from tuning.searcher import Trial

_OTHER_SEARCH: Final = (
    "this host's hyperparameters or images are not the leader's; give all hosts the same configuration and each of "
    "them all the data (S3DataDistributionType FullyReplicated)"
)

# Path -> the call's arguments and their types. float takes integers, too.
_CALLS: Final[Mapping[str, Mapping[str, type]]] = {
    "ask": {"crew": str, "worker": int, "id": str},
    "report": {"number": int, "epoch": int, "metrics": dict},
    "complete": {"number": int, "metrics": dict, "seconds": float},
    "prune": {"number": int, "seconds": float},
    "fail": {"number": int, "reason": str, "seconds": float},
    "alive": {"crew": str, "host": str},
    "leave": {"crew": str, "host": str},
    "lost": {"crew": str, "reason": str, "worker": int},
}


class Server:
    """Serves a coordinator while the `with` block lasts."""

    def __init__(self, coordinator: Coordinator, fingerprint: str, address: str = "127.0.0.1", port: int = 0) -> None:
        """port: 0 for any free one. Raises ConfigError when it is taken."""
        handler = type("Handler", (_Handler,), {"coordinator": coordinator, "fingerprint": fingerprint})
        try:
            self._server = _Listener((address, port), handler)
        except OSError as error:
            raise ConfigError(
                f"the search's port {port} can't be listened on ({error.strerror}); set {PORT_VARIABLE} to a free one, "
                "the same on all hosts"
            ) from None
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        # Not HTTPServer's, which looks its own name up: without a name server that takes seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "kennel", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that hangs up is no news; anything else is."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    coordinator: Coordinator
    fingerprint: str
    timeout = SILENCE_S
    server_version, sys_version = "kennel", ""

    def do_POST(self) -> None:
        try:
            status, answer = 200, self._answer()
        except RefusedError as refused:
            status, answer = refused.status, {"error": str(refused)}
        except TimeoutError:
            status, answer = 408, {"error": f"the request was not complete within {SILENCE_S:g} s"}
        except Exception as error:  # noqa: BLE001 - the leader itself tells it, with its traceback
            status, answer = 500, {"error": f"the leader can't go on ({type(error).__name__})"}
        self._send(status, answer)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the base class finds wrong: JSON, too."""
        self._send(code, {"error": message or "this request can't be read"})

    def log_message(self, format: str, *args: Any) -> None:
        """The log is the job's."""

    def _answer(self) -> dict[str, Any]:
        name = self.path.removeprefix("/")
        # First: what is left unread when the connection closes would cost the sender the answer.
        body = self._body()
        if name not in _CALLS:
            raise RefusedError(404, f"there is no call {self.path[:80]}; the calls are {', '.join(_CALLS)}")
        if self.headers.get(FINGERPRINT_HEADER) != self.fingerprint:
            if name == "alive" and isinstance(body.get("host"), str):
                self.coordinator.refuse(body["host"])
            raise RefusedError(409, _OTHER_SEARCH)
        arguments = _arguments(_CALLS[name], body)
        result = getattr(self.coordinator, name)(**arguments)
        return {"answer": encode_trial(result) if isinstance(result, Trial) else result}

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise RefusedError(411, "a request needs a Content-Length")
        if len(length) > 9 or int(length) > BODY_LIMIT:
            raise RefusedError(413, f"a request may have {BODY_LIMIT} bytes at most")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise RefusedError(400, "the body is no JSON") from None
        if not isinstance(body, dict):
            raise RefusedError(400, f"the body must be a JSON object, got {type(body).__name__}")
        return body

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _arguments(wanted: Mapping[str, type], body: dict[str, Any]) -> dict[str, Any]:
    """The body's values, their types checked. Raises RefusedError that names all faults."""
    allowed = {**wanted, "run": str} if "seconds" in wanted else wanted
    faults = [f"{name} is missing" for name in wanted if name not in body]
    faults += [f"{name} is unknown" for name in body if name not in allowed]
    faults += [
        f"{name} must be of type {kind.__name__}"
        for name, kind in allowed.items()
        if name in body and not _fits(body[name], kind)
    ]
    if faults:
        raise RefusedError(400, "; ".join(faults)[:500])
    return body


def _fits(value: object, kind: type) -> bool:
    if kind is dict:
        return isinstance(value, dict) and all(_fits(each, float) for each in value.values())
    if isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)
