"""HTTP/1.1 over connections that stay open, and no more of it than a served artifact needs.

A transform's client has to share the cores with the server: http.client takes four times the processor time for each
request, most of it for headers (docs/transform.md).
"""

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final
from urllib.parse import urlsplit

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

    def error_message(self) -> str:
        """The message in an error's JSON body; without one, the status."""
        try:
            value = json.loads(self.body)["error"]
            return str(value["message"] if isinstance(value, dict) else value)
        except (ValueError, KeyError, TypeError):
            return f"the server answered {self.status}"


class NoResponse(Exception):
    """No response came; the text is the reason."""


class Unreachable(NoResponse):
    """No connection could be made, so nothing was sent."""


class Dropped(NoResponse):
    """The connection ended before a response came, or what came was none."""


class Silent(NoResponse):
    """No response came within the time limit."""


class Connection:
    """One connection, for one thread at a time: made when it is needed, and again when the server has closed it."""

    def __init__(self, url: str, timeout_s: float = _TIMEOUT_S) -> None:
        """url: as from `client.base_url`. timeout_s: for the connection, and for each part of a response."""
        self._parts = urlsplit(url)
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """Raises NoResponse: Unreachable, Dropped or Silent."""
        named = {"Host": self._parts.netloc, "Content-Length": str(len(body)), **(headers or {})}
        lines = [f"{method} {self._parts.path}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
        message = "\r\n".join([*lines, "", ""]).encode() + body
        if self._socket is not None:
            try:
                return self._exchange(message)
            except Dropped:
                # A server may end a connection between two requests.
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
            answer = read_response(self._reader)
        except TimeoutError as error:
            self.close()
            raise Silent(f"nothing came within {self._timeout_s:g} s") from error
        except (OSError, ValueError) as error:
            self.close()
            raise Dropped(str(error)) from error
        if answer.headers.get("connection", "").lower() == "close" or not _is_bounded(answer.headers):
            self.close()
        return answer

    def _connect(self) -> None:
        host, port = self._parts.hostname or "", self._parts.port or _PORTS[self._parts.scheme]
        try:
            made = socket.create_connection((host, port), timeout=self._timeout_s)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._parts.scheme == "https":
                made = ssl.create_default_context().wrap_socket(made, server_hostname=host)
        except OSError as error:
            raise Unreachable(str(error)) from error
        self._socket, self._reader = made, made.makefile("rb")


def read_response(reader: BinaryIO) -> HttpResponse:
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
