"""Reading the answer to an HTTP request as it comes in."""

from typing import Final

BROKEN: Final = 0  # the "status" of a request whose connection was refused or ended before its answer did


class AnswerParser:
    """As much of HTTP/1.1 as tells where an answer ends: by its length, by its chunks, or with the connection."""

    def __init__(self) -> None:
        self.complete = False
        self.keep_alive = True
        self.status = BROKEN
        self.body = b""
        self._data = b""
        self._length: int | None = None
        self._chunked = False
        self._in_body = False

    @property
    def began(self) -> bool:
        return self._in_body or bool(self._data)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._data += data
        if not self._in_body:
            head, separator, rest = self._data.partition(b"\r\n\r\n")
            if not separator:
                return
            self._read_head(head.decode("latin-1"))
            self._data, self._in_body = rest, True
        if self._chunked:
            self._read_chunks()
        elif self._length is not None and len(self._data) >= self._length:
            self.body, self.complete = self._data[: self._length], True

    def end(self) -> None:
        """The connection was closed: the end of an answer that didn't tell its length."""
        self.keep_alive = False
        if self._in_body and not self._chunked and self._length is None:
            self.body, self.complete = self._data, True

    def _read_head(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        version, status = first.split(" ")[:2]
        self.status = int(status)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        connection = headers.get("connection", "").lower()
        self.keep_alive = connection == "keep-alive" if version == "HTTP/1.0" else connection != "close"
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        if "content-length" in headers:
            self._length = int(headers["content-length"])

    def _read_chunks(self) -> None:
        while True:
            line, separator, rest = self._data.partition(b"\r\n")
            if not separator:
                return
            size = int(line.split(b";")[0], 16)
            if len(rest) < size + 2:
                return
            self.body += rest[:size]
            self._data = rest[size + 2 :]
            if size == 0:
                self.complete = True
                return
