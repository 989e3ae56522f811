"""deploy.py transform as tests run it: an artifact with a toy engine, plain pictures, and what was written."""

import csv
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from model import artifact
from model.preprocess import Preprocess
from tests.backends.terminal import lives

CLASSES = ("001.Red_dog", "002.Green_dog", "003.Blue_dog")
# The toy engine's probabilities are (colour + 1) / (sum of colours + 3): 201, 51, 48 of 300, and in other orders.
RED, GREEN, BLUE = (200, 50, 47), (50, 200, 47), (47, 50, 200)
PARAMETERS = {"MaxConcurrentTransforms": 1, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1}
Responder = Callable[[http.server.BaseHTTPRequestHandler, bytes], None]


def toy_artifact(folder: Path, weights: bytes = b"toy", classes: tuple[str, ...] = CLASSES) -> Path:
    """An artifact whose weights mean nothing."""
    artifact.save(
        folder, architecture="resnet18", head="linear", classes=classes, weights=weights, provenance={}, metrics={},
        preprocess=Preprocess(image_size=32, resize_size=32),
    )  # fmt: skip
    return folder


def picture(file: Path, colour: tuple[int, int, int] = RED) -> Path:
    """One colour, without loss."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 40), colour).save(file, "PNG")
    return file


def pictures(folder: Path, count: int) -> list[str]:
    """So many pictures, their names in order."""
    return [str(picture(folder / f"{number:03d}.png")) for number in range(count)]


def rows(out: Path) -> list[dict[str, Any]]:
    """What predictions.jsonl says; every line has to be whole."""
    text = (out / "predictions.jsonl").read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def table(out: Path) -> list[list[str]]:
    with (out / "predictions.csv").open(newline="") as file:
        return list(csv.reader(file))


def summary(out: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return value


def records(runs: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(runs.glob("*/run.json"))]


def server_of(record: dict[str, Any]) -> list[psutil.Process]:
    """gunicorn's master and workers."""
    master = psutil.Process(record["pid"])
    return [master, *master.children(recursive=True)]


def is_gone(record: dict[str, Any]) -> bool:
    return not psutil.pid_exists(record["pid"]) or not lives(psutil.Process(record["pid"]))


def wait(what: str, holds: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def lines(out: Path) -> int:
    file = out / "predictions.jsonl"
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def answer(handler: http.server.BaseHTTPRequestHandler, value: object, status: int = 200, **headers: str) -> None:
    body = json.dumps(value).encode()
    handler.send_response(status)
    for name, text in headers.items():
        handler.send_header(name.replace("_", "-"), text)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def stub(post: Responder, parameters: object = PARAMETERS, images: str = "") -> Iterator[str]:
    """A server whose /invocations does what the test says; its address. parameters: None for no such path. images: how
    many it takes in a request, as Kennel's servers say that.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/ping":
                answer(self, {})
            elif parameters is None:
                answer(self, {"error": "no such path"}, 404)
            else:
                told = {"X_Kennel_Max_Images": images} if images else {}
                answer(self, parameters, 200, **told)

        def do_POST(self) -> None:
            post(self, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
