"""HTTP/1.1 over connections that stay open, and no more of it than a transform needs.

The client has to share the cores with the server: http.client takes four times the processor time for each request,
most of it for headers (docs/transform.md). Before a transform the server is asked for /ping and /execution-parameters.
"""

import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from backends.errors import BackendError

_TIMEOUT_S: Final = 120.0
_PORTS: Final = {"http": 80, "https": 443}
# As in http.client: whoever sends more isn't a web server.
_LONGEST_LINE: Final = 65536
_MOST_HEADERS: Final = 100


@dataclass(frozen=True)
class HttpResponse:
    """One answer of a server; header names in lower case, of repeated ones the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(Exception):
    """No connection could be made, so nothing was asked."""


class Dropped(Exception):
    """The connection ended before an answer came, or what came was none."""


class Silent(Exception):
    """No answer came within two minutes."""


class Connection:
    """One connection, for one thread at a time: made when it is needed, and again when the server has closed it."""

    def __init__(self, url: str) -> None:
        """url: as from `client.base`."""
        self._parts = urlsplit(url)
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """Raises Unreachable, Dropped or Silent when no answer comes."""
        named = {"Host": self._parts.netloc, "Content-Length": str(len(body)), **(headers or {})}
        lines = [f"{method} {self._parts.path}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
        message = "\r\n".join([*lines, "", ""]).encode() + body
        if self._socket is not None:
            try:
                return self._exchange(message)
            except Dropped:
                # A server may end a connection between two requests, without being any worse for it.
                pass
        return self._exchange(message)

    def close(self) -> None:
        """End it; the next request makes another."""
        if self._reader is not None:
            self._reader.close()
        if self._socket is not None:
            self._socket.close()
        self._reader = self._socket = None

    def _exchange(self, message: bytes) -> HttpResponse:
        if self._socket is None or self._reader is None:
            self._connect()
        assert self._socket is not None
        assert self._reader is not None
        try:
            self._socket.sendall(message)
            answer = read_answer(self._reader)
        except TimeoutError as error:
            self.close()
            raise Silent from error
        except (OSError, ValueError) as error:
            self.close()
            raise Dropped(str(error)) from error
        if answer.headers.get("connection", "").lower() == "close" or not _is_bounded(answer.headers):
            self.close()
        return answer

    def _connect(self) -> None:
        host, port = self._parts.hostname or "", self._parts.port or _PORTS[self._parts.scheme]
        try:
            made = socket.create_connection((host, port), timeout=_TIMEOUT_S)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._parts.scheme == "https":
                made = ssl.create_default_context().wrap_socket(made, server_hostname=host)
        except OSError as error:
            raise Unreachable(str(error)) from error
        self._socket, self._reader = made, made.makefile("rb")


def read_answer(reader: BinaryIO) -> HttpResponse:
    """The next answer to a request other than HEAD. Raises ValueError when it is none or isn't whole."""
    status = 100
    headers: dict[str, str] = {}
    while status < 200:
        words = _line(reader).split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise ValueError("what answers is no web server")
        status, headers = int(words[1]), _headers(reader)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join(_chunks(reader))
    elif "content-length" in headers:
        body = _exactly(reader, int(headers["content-length"]))
    else:
        body = b"" if status in (204, 304) else reader.read()
    return HttpResponse(status, headers, body)


def _is_bounded(headers: Mapping[str, str]) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers


def _headers(reader: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        line = _line(reader).rstrip(b"\r\n")
        if not line:
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    raise ValueError("the answer has too many headers")


def _chunks(reader: BinaryIO) -> list[bytes]:
    chunks = []
    while size := int(_line(reader).split(b";")[0], 16):
        chunks.append(_exactly(reader, size))
        _line(reader)
    _headers(reader)
    return chunks


def _line(reader: BinaryIO) -> bytes:
    line = reader.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise ValueError("it was closed without an answer" if not line else "the answer isn't whole")
    return line


def _exactly(reader: BinaryIO, size: int) -> bytes:
    body = reader.read(size)
    if len(body) < size:
        raise ValueError("the answer isn't whole")
    return body


# SageMaker's defaults where a container says nothing.
DEFAULT_CONCURRENT: Final = 1
DEFAULT_PAYLOAD_MB: Final = 6
# 0 says that there is no limit.
_UNLIMITED_MB: Final = 1024
# Kennel's own word for it; SageMaker has none.
_IMAGES: Final = "x-kennel-max-images"
# As many as the engine predicts at once.
_MOST_TOGETHER: Final = 4
# A server that is being loaded answers, that it isn't ready; one that isn't there doesn't.
_SILENT_LIMIT_S: Final = 10.0
_LOADING_LIMIT_S: Final = 120.0


@dataclass(frozen=True)
class Parameters:
    """How a server wants to be asked: images under way at once, the largest body in bytes, and images in a request."""

    concurrent: int = DEFAULT_CONCURRENT
    most_bytes: int = DEFAULT_PAYLOAD_MB * 1024 * 1024
    together: int = 1


def wait_ready(url: str, goes_on: Callable[[], bool]) -> bool:
    """Wait until /ping answers 200; False when `goes_on` said no before. Raises BackendError when it doesn't come."""
    connection, start = Connection(url), time.monotonic()
    heard, said = start, "nobody answers"
    while goes_on():
        now = time.monotonic()
        try:
            status = connection.request("GET", "/ping").status
        except (Unreachable, Dropped, Silent) as error:
            said = f"nobody answers: {error}"
        else:
            if status == 200:
                connection.close()
                return True
            heard, said = now, f"it answers {status}"
        if now - heard > _SILENT_LIMIT_S or now - start > _LOADING_LIMIT_S:
            raise BackendError(f"{url}/ping gives no 200 ({said}); deploy.py status shows what is up")
        time.sleep(0.1)
    return False


def ask_parameters(url: str) -> Parameters:
    """What /execution-parameters says; SageMaker's defaults where there is no such path. Raises BackendError."""
    connection = Connection(url)
    images = ""
    try:
        answer = connection.request("GET", "/execution-parameters")
        images = answer.headers.get(_IMAGES, "")
        values = json.loads(answer.body) if answer.status == 200 else {}
    except ValueError:
        values = {}
    except (Unreachable, Dropped, Silent) as error:
        raise BackendError(f"{url} gave no answer ({error}); deploy.py status shows what is up") from error
    finally:
        connection.close()
    values = values if isinstance(values, dict) else {}
    concurrent = _count(values.get("MaxConcurrentTransforms"), DEFAULT_CONCURRENT)
    payload = _count(values.get("MaxPayloadInMB"), DEFAULT_PAYLOAD_MB)
    together = min(int(images), _MOST_TOGETHER) if images.isdecimal() and len(images) < 9 else 1
    return Parameters(concurrent or DEFAULT_CONCURRENT, (payload or _UNLIMITED_MB) * 1024 * 1024, max(1, together))


def _count(value: object, default: int) -> int:
    return value if type(value) is int and value >= 0 else default
