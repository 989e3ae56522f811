"""Sends image files to a server, many requests at a time, and yields the results in the order of the files.

Decides what a response means for a file, and when a request is repeated. Servers of Kennel take several images in one.
"""

import itertools
import json
import os
import queue
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backends.client import content_type
from backends.errors import BackendError
from backends.http import Connection, Dropped, HttpResponse, Silent, Unreachable
from backends.transform.parameters import Parameters

# The file's own fault, or the server's with this one file: the file's result is an error, and the others go on.
_OF_THE_FILE: Final = frozenset((400, 413, 415, 422, 424, 500))
# Busy or loading, or a proxy that says so: the request is repeated.
_LATER: Final = frozenset((408, 429, 502, 503, 504))
_PATIENCE_S: Final = 300.0
_LONGEST_PAUSE_S: Final = 30.0
# A restarted server listens within seconds.
_AWAY_LIMIT_S: Final = 30.0
_MOST_DROPS: Final = 5
# For several images at once: one of them may be to blame, which shows when each is sent alone.
_MOST_DROPS_TOGETHER: Final = 2


class Closed(Exception):
    """The transform is over; the result isn't needed."""


@dataclass(frozen=True)
class ServerSession:
    """What all threads that send to one server share.

    alive: whether the server, if it is our own, still runs; raises BackendError with the reason when it doesn't.
    labels: the classes' in order, to ask for all probabilities; None for the best predictions alone.
    """

    url: str
    parameters: Parameters
    alive: Callable[[], None] = lambda: None
    labels: tuple[str, ...] | None = None
    closed: threading.Event = field(default_factory=threading.Event)


class ImageClient:
    """One thread's requests, over a connection of its own."""

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._connection = Connection(session.url)
        all_of_them = session.labels is not None
        self._accept = "application/json;format=probabilities" if all_of_them else "application/json"

    def close(self) -> None:
        self._connection.close()

    def predict(self, files: Sequence[str]) -> list[dict[str, Any]]:
        """For each image file, in order: {"file", "predictions": [...]} or {"file", "error"}, with "probabilities"
        where the session has labels.

        Images share a request; where its response doesn't have a part for each, they are sent one by one. Raises
        BackendError when other files would fail as well, and Closed when the transform is over.
        """
        contents = [self._read(file) for file in files]
        results = [{"error": content} if isinstance(content, str) else {} for content in contents]
        bodies = {number: content for number, content in enumerate(contents) if isinstance(content, bytes)}
        sizes = {number: len(body) for number, body in bodies.items()}
        for group in groups(sizes, self._session.parameters.most_bytes):
            parts = self._predict_together([bodies[number] for number in group]) if len(group) > 1 else None
            for index, number in enumerate(group):
                results[number] = parts[index] if parts else self._predict_one(files[number], bodies[number])
        return [{"file": file, **result} for file, result in zip(files, results, strict=True)]

    def _read(self, file: str) -> bytes | str:
        """The file's bytes, or why they can't be sent."""
        try:
            # Not by pathlib, which takes as long as the file does.
            with open(file, "rb") as image:  # noqa: PTH123
                size = os.fstat(image.fileno()).st_size
                if size > (most := self._session.parameters.most_bytes):
                    return f"the file has {size} bytes, and the server takes {most} at most"
                return image.read()
        except OSError as error:
            return f"the file can't be read ({error.strerror})"

    def _predict_together(self, bodies: Sequence[bytes]) -> list[dict[str, Any]] | None:
        """The result of each; None when they have to be sent one by one."""
        labels = self._session.labels
        try:
            headers = {"Accept": self._accept, "Content-Type": CONTENT_TYPE}
            answer = self._send(form(bodies), headers, _MOST_DROPS_TOGETHER)
        except Dropped:
            return None
        parts = parse_parts(answer, len(bodies), None if labels is None else len(labels))
        return None if parts is None else [_outcome(part, labels) for part in parts]

    def _predict_one(self, file: str, body: bytes) -> dict[str, Any]:
        suffix = os.path.splitext(file)[1]  # noqa: PTH122
        try:
            answer = self._send(body, {"Accept": self._accept, "Content-Type": content_type(suffix)}, _MOST_DROPS)
            return parse_response(answer, self._session.labels, f"{self._session.url}/invocations")
        except Dropped as error:
            return {"error": f"the server ended the connection {_MOST_DROPS} times ({error})"}

    def _send(self, body: bytes, headers: Mapping[str, str], most_drops: int) -> HttpResponse:
        """The final response, after repetitions. Raises Dropped when `most_drops` connections end without one."""
        started, drops = time.monotonic(), 0
        away_since: float | None = None
        while True:
            try:
                answer = self._connection.request("POST", "/invocations", body, headers)
            except Unreachable as error:
                self._session.alive()
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > _AWAY_LIMIT_S:
                    raise BackendError(f"{self._session.url} is gone ({error})") from error
                self._pause(0.2)
            except Dropped:
                self._session.alive()
                drops += 1
                if drops == most_drops:
                    raise
                self._pause(0.1 * 2**drops)
            except Silent as error:
                raise BackendError(f"{self._session.url} gave no answer within two minutes") from error
            else:
                if answer.status not in _LATER:
                    return answer
                if time.monotonic() - started > _PATIENCE_S:
                    message = answer.error_message()
                    raise BackendError(f"{self._session.url} has been answering {answer.status}: {message}")
                away_since = None
                self._pause(_retry_after(answer))

    def _pause(self, seconds: float) -> None:
        # Random, so that the requests aren't repeated at the same moment.
        if self._session.closed.wait(seconds * random.uniform(1, 1.25)):
            raise Closed


def parse_response(answer: HttpResponse, labels: tuple[str, ...] | None, where: str) -> dict[str, Any]:
    """The result in a response for one image. labels: as in ServerSession. where: the server, for messages.

    Raises BackendError for what concerns all images.
    """
    if answer.status in _OF_THE_FILE:
        return {"error": answer.error_message()}
    try:
        value = json.loads(answer.body) if answer.status == 200 else None
    except ValueError:
        value = None
    # A server of batch transform may report an image's fault with status 200.
    if isinstance(value, dict) and "error" in value:
        return {"error": answer.error_message()}
    if labels is None and isinstance(value, dict) and isinstance(value.get("predictions"), list):
        return _outcome(value["predictions"], labels)
    if labels is not None and isinstance(value, list) and len(value) == len(labels):
        return _outcome(value, labels)
    wanted = "predictions" if labels is None else f"{len(labels)} probabilities"
    raise BackendError(f"{where} doesn't answer with {wanted}: {answer.error_message()}; is it this artifact's?")


def _outcome(value: list[Any], labels: tuple[str, ...] | None) -> dict[str, Any]:
    """value: an image's best predictions; with labels, its probabilities."""
    return {"predictions": value} if labels is None else {"predictions": _best(value, labels), "probabilities": value}


def _best(probabilities: list[float], labels: tuple[str, ...]) -> list[dict[str, Any]]:
    order = sorted(range(len(labels)), key=lambda index: -probabilities[index])[:5]
    return [{"label": labels[index], "index": index, "probability": probabilities[index]} for index in order]


def _retry_after(answer: HttpResponse) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), _LONGEST_PAUSE_S) if text.isdecimal() and len(text) < 9 else 1.0


# For images that are larger than this together, HTTP costs nothing beside their decoding.
_MOST_BYTES: Final = 1024 * 1024
_BOUNDARY: Final = secrets.token_hex(16)
CONTENT_TYPE: Final = f"multipart/form-data; boundary={_BOUNDARY}"


def groups(sizes: Mapping[int, int], limit: int) -> Iterator[list[int]]:
    """Which images go together, in order. sizes: bytes by the image's number. limit: the largest body, in bytes.

    An image that is too large for company comes alone, whatever the limit.
    """
    group: list[int] = []
    total = 0
    for number, size in sizes.items():
        # The form itself takes less than 200 bytes an image.
        if group and total + size + 200 * (len(group) + 2) > min(limit, _MOST_BYTES):
            yield group
            group, total = [], 0
        group.append(number)
        total += size
    if group:
        yield group


def form(images: Sequence[bytes]) -> bytes:
    """A body of CONTENT_TYPE with the images, in order."""
    pieces = []
    for number, image in enumerate(images):
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{number}"\r\n\r\n'
        pieces += [head.encode(), image, b"\r\n"]
    return b"".join((*pieces, f"--{_BOUNDARY}--\r\n".encode()))


def parse_parts(answer: HttpResponse, count: int, all_classes: int | None) -> list[Any] | None:
    """The parts of a response for `count` images; None when it doesn't have so many, and each has to be sent alone.

    all_classes: how many probabilities there have to be; None for the best predictions.
    """
    try:
        value = json.loads(answer.body) if answer.status == 200 else None
    except ValueError:
        return None
    if all_classes is None:
        value = value.get("predictions") if isinstance(value, dict) else None
    if not isinstance(value, list) or len(value) != count:
        return None
    good = all(isinstance(part, list) and all_classes in (None, len(part)) for part in value)
    return value if good else None


# Results that wait for an earlier one, for each request under way: a repeated request delays no other soon.
_WINDOW: Final = 16
# Fewer at once would leave the server without work while the next is on its way.
_REQUESTS: Final = 4
# Results are collected this often: waking for each one would take as long as everything else that is done for it.
_SWEEP_S: Final = 0.02


@dataclass
class _Pending:
    """Files of one request. outcome: their results, or what was raised."""

    files: list[str]
    outcome: list[dict[str, Any]] | BaseException | None = None

    def finish(self, outcome: list[dict[str, Any]] | BaseException) -> None:
        self.outcome = outcome


def predict_all(files: Iterator[str], session: ServerSession, goes_on: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """The result of each file, in order, from threads that together send as many images at once as the server wants.

    Memory is bounded, however many files there are. Ends early when `goes_on` returns False; raises what a client
    raises, after the results before it.
    """
    images = session.parameters.concurrent
    # Where that is enough for several requests, images share one.
    together = max(1, min(session.parameters.together, images // _REQUESTS))
    count = -(-images // together)
    waiting: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
    # Daemons: one that still waits for a response must not keep the process from ending.
    for _ in range(count):
        threading.Thread(target=_work, args=(session, waiting), daemon=True).start()
    window: deque[_Pending] = deque()
    try:
        while goes_on():
            while len(window) < _WINDOW * count and (some := list(itertools.islice(files, together))):
                window.append(_Pending(some))
                waiting.put(window[-1])
            if not window:
                return
            if window[0].outcome is None:
                time.sleep(_SWEEP_S)
                continue
            while window and (outcome := window[0].outcome) is not None:
                if isinstance(outcome, BaseException):
                    raise outcome
                yield from outcome
                window.popleft()
    finally:
        session.closed.set()
        for _ in range(count):
            waiting.put(None)


def _work(session: ServerSession, waiting: "queue.SimpleQueue[_Pending | None]") -> None:
    client = ImageClient(session)
    while (pending := waiting.get()) is not None and not session.closed.is_set():
        try:
            pending.finish(client.predict(pending.files))
        except Closed:
            break
        except BaseException as error:  # noqa: BLE001 - handed on
            pending.finish(error)
    client.close()
