"""The leader's side of a search with several workers: who has which trial of the one Searcher that they all speak to.

Workers and leader exchange JSON objects by HTTP POST; each path is a call of the coordinator.
"""

import hashlib
import json
import os
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, TypeVar

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters, without_defaults
from train.data.dataset import DataSet
from train.job_config import read_port
from tuning.searcher import Metrics, Searcher, Trial

_T = TypeVar("_T")
LINGER_S: Final = 60.0


class RefusedError(Exception):
    """A request that can't be followed: the HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass
class _Open:
    """A trial that some worker has. answers: those to its reports, by epoch."""

    crew: str
    worker: int
    started: float
    answers: dict[int, bool] = field(default_factory=dict)


class Coordinator:
    """Who has which trial. Each call may come twice, after a lost answer, and counts once.

    A crew is the workers of one host, since its process started; `worker` is a number within it.
    """

    def __init__(self, search: Searcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._search, self._clock = search, clock
        self._lock = threading.RLock()
        self._asked: dict[str, Trial | None] = {}
        self._open: dict[int, _Open] = {}
        self._ended: set[int] = set()
        self._crews: dict[str, tuple[str, float]] = {}  # of other hosts: crew -> (host, last sign of life)
        self._left: set[str] = set()
        self._closed = False
        self.fault: Exception | None = None  # of the searcher's own: the search can't go on

    @property
    def over(self) -> bool:
        """No trial is running, and there is to be no further one."""
        with self._lock:
            return self._closed and not self._open

    def ask(self, crew: str, worker: int, id: str) -> Trial | None:
        """The next trial, the same one again for the same `id`; None when there is to be no further one."""
        with self._lock:
            if id not in self._asked:
                trial = self._guarded(self._search.ask)
                self._asked[id] = trial
                if trial is None:
                    self._closed = True
                else:
                    self._open[trial.number] = _Open(crew, worker, self._clock())
            return self._asked[id]

    def report(self, number: int, epoch: int, metrics: Metrics) -> bool:
        """An epoch's metrics. True: the trial is to be ended, or has been."""
        with self._lock:
            mine = self._known(number)
            if mine is None:
                return True
            if epoch not in mine.answers:
                # Whatever it is by which a pruner says so.
                mine.answers[epoch] = bool(self._guarded(lambda: self._search.report(number, epoch, metrics)))
            return mine.answers[epoch]

    def complete(self, number: int, metrics: Metrics, seconds: float, run: str | None = None) -> None:
        """As Searcher's, once."""
        self._end(number, lambda: self._search.complete(number, metrics, seconds, run))

    def prune(self, number: int, seconds: float, run: str | None = None) -> None:
        """As Searcher's, once."""
        self._end(number, lambda: self._search.prune(number, seconds, run))

    def fail(self, number: int, reason: str, seconds: float, run: str | None = None) -> None:
        """As Searcher's, once."""
        self._end(number, lambda: self._search.fail(number, reason, seconds, run))

    def alive(self, crew: str, host: str) -> bool:
        """Another host's sign of life; the answer is `over`."""
        with self._lock:
            self._crews[crew] = (host, self._clock())
            return self.over

    def leave(self, crew: str, host: str) -> None:
        """Another host has no worker any more."""
        with self._lock:
            self._crews.pop(crew, None)
            self.lost(crew, f"host {host} has left the search")
            self._left.add(host)

    def refuse(self, host: str) -> None:
        """A host that is at another search: it is not waited for."""
        with self._lock:
            if host not in self._left:
                print(f"search: {host} takes no part: its hyperparameters or images are others", flush=True)
            self._left.add(host)

    def lost(self, crew: str, reason: str, worker: int | None = None) -> None:
        """A crew's worker, or all of them, have ended: what they were at is failed."""
        with self._lock:
            for number, each in list(self._open.items()):
                if each.crew == crew and worker in (None, each.worker):
                    self.fail(number, reason, self._clock() - each.started)

    def others(self) -> int:
        """How many other hosts take part. Those that have been silent for too long are given up first."""
        with self._lock:
            for crew, (host, last) in list(self._crews.items()):
                if self._clock() - last > LOST_AFTER_S:
                    del self._crews[crew]
                    self.lost(crew, f"nothing was heard of host {host} for {LOST_AFTER_S:g} s")
            return len(self._crews)

    def linger(self, hosts: Iterable[str], limit: float = LINGER_S) -> None:
        """Wait until these hosts have left, for `limit` seconds at most: they must learn that the search is over."""
        end = self._clock() + limit
        while not self._left.issuperset(hosts) and self._clock() < end:
            time.sleep(0.05)

    def _end(self, number: int, end: Callable[[], None]) -> None:
        with self._lock:
            if self._known(number) is not None:
                self._guarded(end)
                del self._open[number]
                self._ended.add(number)

    def _known(self, number: int) -> _Open | None:
        """None: it has been ended."""
        if number not in self._open and number not in self._ended:
            raise RefusedError(404, f"there is no trial {number} in this search")
        return self._open.get(number)

    def _guarded(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except Exception as error:
            self.fault = self.fault or error
            raise


PORT: Final = 7931
PORT_VARIABLE: Final = "KENNEL_TUNING_PORT"
FINGERPRINT_HEADER: Final = "Kennel-Search"
BODY_LIMIT: Final = 1 << 20
# A connection on which nothing comes for so long is given up.
SILENCE_S: Final = 30.0
# How often a host reports that it is alive, and the silence after which its trials are given up.
ALIVE_EVERY_S: Final = 5.0
LOST_AFTER_S: Final = 60.0


def fingerprint(hyperparameters: Hyperparameters, data: DataSet) -> str:
    """Of all that the hosts of one search must have in common: hyperparameters, classes and the images' names."""
    digest = hashlib.sha256(json.dumps([asdict(hyperparameters), data.classes], sort_keys=True).encode())
    for name, split in sorted(data.splits.items()):
        digest.update(name.encode())
        for sample in split.samples:
            digest.update(f"\n{sample.label} {sample.name}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


def port_of(environ: Mapping[str, str] = os.environ) -> int:
    """Where the leader of several hosts listens. Raises ConfigError when KENNEL_TUNING_PORT is no port."""
    return read_port(environ, PORT_VARIABLE, PORT)


def encode_trial(trial: Trial) -> dict[str, Any]:
    """JSON-ready; of the hyperparameters those that differ from their defaults."""
    hyperparameters = without_defaults(asdict(trial.hyperparameters))
    return {"number": trial.number, "values": dict(trial.values), "hyperparameters": hyperparameters}


def decode_trial(encoded: Mapping[str, Any]) -> Trial:
    """The trial that `encode_trial` wrote."""
    return Trial(encoded["number"], encoded["values"], Hyperparameters(**encoded["hyperparameters"]))


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
        except Exception as error:  # noqa: BLE001 - the leader itself reports it, with its traceback
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
