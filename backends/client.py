"""The HTTP client: /ping and /invocations of a served artifact, wherever it runs."""

import json
import mimetypes
import socket
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from backends.errors import BackendError

_TIMEOUT_S = 60  # SageMaker's own limit for an answer


def predict(url: str, image: Path) -> dict[str, Any]:
    """Send one image to URL/invocations; returns the answer, {"predictions": [...]}.

    Raises BackendError when the file can't be read or the server can't be reached or refuses.
    """
    try:
        body = image.read_bytes()
    except OSError as error:
        raise BackendError(f"{image} can't be read ({error.strerror})") from error
    kind = mimetypes.guess_type(image.name)[0] or ""
    headers = {"Content-Type": kind if kind.startswith("image/") else "application/octet-stream"}
    address = f"{base(url)}/invocations"
    try:
        with urlopen(Request(address, body, headers), timeout=_TIMEOUT_S) as answer:
            value: dict[str, Any] = json.load(answer)
            return value
    except HTTPError as error:
        raise BackendError(f"{image}: {_message(error)}") from error
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BackendError(f"{address} gave no answer ({reason}); deploy.py status shows what is up") from error


def ask(url: str, image: Path) -> dict[str, Any]:
    """Like `predict`, with the file's name in the answer and a refusal in it as {"file", "error"}."""
    try:
        return {"file": str(image), **predict(url, image)}
    except BackendError as error:
        return {"file": str(image), "error": str(error)}


def base(url: str) -> str:
    """The server's address without a path: what deploy prints, or the address of one of its routes."""
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BackendError(f"--url must be like http://localhost:8080, got {url!r}")
    path = parts.path.removesuffix("/").removesuffix("/invocations").removesuffix("/ping")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _message(error: HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the server answered {error.code} {error.reason}"


def is_ready(url: str) -> bool:
    """Whether /ping answers 200."""
    try:
        with urlopen(f"{url}/ping", timeout=3) as answer:
            return bool(answer.status == 200)
    except (URLError, HTTPException, OSError):
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
