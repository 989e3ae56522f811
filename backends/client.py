"""The HTTP client: /ping and /invocations of a served artifact, wherever it runs."""

import functools
import json
import mimetypes
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from backends.errors import BackendError
from backends.http import Connection, NoResponse

_TIMEOUT_S: Final = 60.0  # SageMaker's own limit for an answer
_PING_TIMEOUT_S: Final = 3.0


def predict(url: str, image: Path) -> dict[str, Any]:
    """Send one image to URL/invocations; returns the answer, {"predictions": [...]}.

    Raises BackendError when the file can't be read or the server can't be reached or refuses.
    """
    try:
        body = image.read_bytes()
    except OSError as error:
        raise BackendError(f"{image} can't be read ({error.strerror})") from error
    server = base_url(url)
    try:
        with closing(Connection(server, _TIMEOUT_S)) as connection:
            response = connection.request("POST", "/invocations", body, {"Content-Type": content_type(image.suffix)})
        if response.status != 200:
            raise BackendError(f"{image}: {response.error_message()}")
        answer: dict[str, Any] = json.loads(response.body)
        return answer
    except (NoResponse, ValueError) as error:
        raise BackendError(
            f"{server}/invocations gave no answer ({error}); deploy.py status shows what is up"
        ) from error


def ask(url: str, image: Path) -> dict[str, Any]:
    """Like `predict`, with the file's name in the answer and a refusal in it as {"file", "error"}."""
    try:
        return {"file": str(image), **predict(url, image)}
    except BackendError as error:
        return {"file": str(image), "error": str(error)}


@functools.cache
def content_type(suffix: str) -> str:
    """The type of a file with such a suffix: an image's, or that of any bytes."""
    kind = mimetypes.guess_type(f"image{suffix}")[0] or ""
    return kind if kind.startswith("image/") else "application/octet-stream"


def base_url(url: str) -> str:
    """The server's address without a path: what deploy prints, or the address of one of its routes.

    Raises BackendError for what is no address.
    """
    parts = urlsplit(url if "//" in url else f"http://{url}")
    try:
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise BackendError(f"--url must be like http://localhost:8080, got {url!r}")
    path = parts.path.removesuffix("/").removesuffix("/invocations").removesuffix("/ping")
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_ready(url: str) -> bool:
    """Whether /ping answers 200."""
    try:
        with closing(Connection(url, _PING_TIMEOUT_S)) as connection:
            return connection.request("GET", "/ping").status == 200
    except NoResponse:
        return False


def wait_ready(url: str, alive: Callable[[], bool], limit_s: float) -> bool:
    """Wait until /ping answers 200. False when `alive` turns false before, or the time is over."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if not alive():
            return False
        if is_ready(url):
            return True
        time.sleep(0.1)
    return False


def choose_port(port: int) -> int:
    """`port` if it is free, any free port for 0. Raises BackendError when it is taken or not allowed."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server does: a port whose connections have just been closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BackendError(f"port {port} can't be used ({reason}); choose another --port, or 0 for any") from None
        free: int = probe.getsockname()[1]
        return free


def choose_free_port(port: int) -> int:
    """`port` if it is free, else any free one."""
    try:
        return choose_port(port)
    except BackendError:
        return choose_port(0)
