"""Several images in a request: where a server takes that, and that no image ever pays for its neighbours."""

import email.parser
import email.policy
import http.server
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from backends.transform.ask import groups
from tests.backends.terminal import deploy
from tests.backends.test_transform_requests import named, run
from tests.backends.transform_runs import (
    BLUE,
    GREEN,
    PARAMETERS,
    RED,
    answer,
    picture,
    rows,
    stub,
    summary,
    toy_artifact,
)

Handler = http.server.BaseHTTPRequestHandler
SIXTEEN = {**PARAMETERS, "MaxConcurrentTransforms": 16}


def images(handler: Handler, body: bytes) -> list[bytes]:
    """The request's images, by another parser than the server's; one that isn't a form is an image itself."""
    kind = handler.headers["Content-Type"]
    if not kind.startswith("multipart/"):
        return [body]
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(f"Content-Type: {kind}\n\n".encode() + body)
    parts: list[Any] = list(message.iter_parts())
    assert all(each.get_content_disposition() == "form-data" for each in parts)
    return [each.get_payload(decode=True) for each in parts]


def good(image: bytes) -> list[dict[str, Any]]:
    """Its best class is called like the image's bytes."""
    return [{"label": image.decode(), "index": 0, "probability": 1.0}]


def answer_good(handler: Handler, sent: list[bytes]) -> None:
    """As Kennel's servers do: a list for a form, and for an image the image's own."""
    single = not handler.headers["Content-Type"].startswith("multipart/")
    answer(handler, {"predictions": good(sent[0]) if single else [good(image) for image in sent]})


class Seen:
    """The requests of a stub: how many images each had."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.images: Counter[bytes] = Counter()
        self._lock = threading.Lock()

    def note(self, sent: list[bytes]) -> None:
        with self._lock:
            self.counts[len(sent)] += 1
            self.images.update(sent)

    def answers(self, handler: Handler, body: bytes) -> None:
        """Takes note of a request and answers it well."""
        sent = images(handler, body)
        self.note(sent)
        answer_good(handler, sent)


def labels(out: Path) -> list[str]:
    return [row["predictions"][0]["label"] if "predictions" in row else f"! {row['error']}" for row in rows(out)]


def test_four_go_together_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    files, seen = named(tmp_path, 18), Seen()
    with stub(seen.answers, SIXTEEN, "64") as url:
        result = run(url, tmp_path)
    assert result.returncode == 0, result.stderr
    assert [row["file"] for row in rows(tmp_path / "out")] == files
    assert labels(tmp_path / "out") == [str(number) for number in range(18)]
    assert seen.counts == {4: 4, 2: 1}


@pytest.mark.parametrize(
    ("concurrent", "header", "most"),
    [(16, "64", 4), (16, "3", 3), (8, "64", 2), (7, "64", 1), (1, "64", 1), (16, "1", 1), (16, "", 1), (16, "many", 1)],
)
def test_so_many_go_together(concurrent: int, header: str, most: int, tmp_path: Path) -> None:
    named(tmp_path, 12)
    seen = Seen()
    with stub(seen.answers, {**PARAMETERS, "MaxConcurrentTransforms": concurrent}, header) as url:
        result = run(url, tmp_path)
    assert result.returncode == 0, result.stderr
    assert seen.counts == {most: 12 // most}


def test_no_more_images_are_under_way_than_the_server_says(tmp_path: Path) -> None:
    named(tmp_path, 32)
    now, most, lock = [0], [0], threading.Lock()
    # Nobody passes before four requests are there.
    together = threading.Barrier(4)

    def post(handler: Handler, body: bytes) -> None:
        sent = images(handler, body)
        with lock:
            now[0] += len(sent)
            most[0] = max(most[0], now[0])
        together.wait(60)
        with lock:
            now[0] -= len(sent)
        answer_good(handler, sent)

    with stub(post, SIXTEEN, "64") as url:
        result = run(url, tmp_path)
    assert result.returncode == 0, result.stderr
    assert most == [16]


@pytest.mark.parametrize("fault", ["refused", "dropped", "too few", "no list", "told in a 200", "failed"])
def test_a_bad_image_costs_its_neighbours_nothing(fault: str, tmp_path: Path) -> None:
    named(tmp_path, 16)
    seen = Seen()

    def post(handler: Handler, body: bytes) -> None:
        sent = images(handler, body)
        seen.note(sent)
        if b"5" not in sent:
            answer_good(handler, sent)
        elif fault == "dropped":
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
        elif len(sent) > 1 and fault == "too few":
            answer(handler, {"predictions": [good(image) for image in sent[1:]]})
        elif len(sent) > 1 and fault == "no list":
            answer(handler, {"predictions": [[], [], {}, []]})
        elif fault == "told in a 200":
            answer(handler, {"error": {"code": 400, "message": "no image"}})
        else:
            status = 500 if fault == "failed" else 400
            answer(handler, {"error": {"code": status, "message": "no image"}}, status)

    with stub(post, SIXTEEN, "64") as url:
        result = run(url, tmp_path)
    assert result.returncode == 1, result.stderr
    wanted = [str(number) for number in range(16)]
    told = (
        "the server ended the connection 5 times (it was closed without an answer)"
        if fault == "dropped"
        else "no image"
    )
    wanted[5] = f"! {told}"
    assert labels(tmp_path / "out") == wanted
    # Those of other requests are sent once; the bad one's neighbours once more, each alone.
    del seen.images[b"5"]
    again = 2 if fault != "dropped" else seen.images[b"4"]
    assert seen.images == {str(n).encode(): again if n in (4, 6, 7) else 1 for n in range(16) if n != 5}
    assert again > 1


def test_a_server_that_is_full_is_asked_again_for_all_of_them(tmp_path: Path) -> None:
    named(tmp_path, 16)
    seen, full = Seen(), threading.Semaphore(3)

    def post(handler: Handler, body: bytes) -> None:
        sent = images(handler, body)
        seen.note(sent)
        if full.acquire(blocking=False):
            answer(handler, {"error": {"code": 503, "message": "full"}}, 503, Retry_After="0")
        else:
            answer_good(handler, sent)

    with stub(post, SIXTEEN, "64") as url:
        result = run(url, tmp_path)
    assert result.returncode == 0, result.stderr
    assert labels(tmp_path / "out") == [str(number) for number in range(16)]
    assert seen.counts == {4: 7}


def test_files_that_cannot_be_sent_are_no_part_of_it(tmp_path: Path) -> None:
    files, seen = named(tmp_path, 4), Seen()
    Path(files[1]).unlink()
    Path(files[1]).symlink_to("nowhere")
    with Path(files[2]).open("wb") as large:
        large.truncate(1024 * 1024 + 1)
    with stub(seen.answers, SIXTEEN, "64") as url:
        result = run(url, tmp_path)
    assert result.returncode == 1, result.stderr
    assert labels(tmp_path / "out") == [
        "0", "! the file can't be read (No such file or directory)",
        "! the file has 1048577 bytes, and the server takes 1048576 at most", "3",
    ]  # fmt: skip
    assert seen.counts == {2: 1}


def test_all_probabilities(tmp_path: Path) -> None:
    named(tmp_path, 8)
    seen = Seen()

    def post(handler: Handler, body: bytes) -> None:
        sent = images(handler, body)
        seen.note(sent)
        assert handler.headers["Accept"] == "application/json;format=probabilities"
        answer(handler, [[int(image) / 10, 1 - int(image) / 10, 0.0] for image in sent])

    known = toy_artifact(tmp_path / "model")
    with stub(post, SIXTEEN, "64") as url:
        result = run(url, tmp_path, "--probabilities", "--artifact", str(known))
    assert result.returncode == 0, result.stderr
    assert seen.counts == {4: 2}
    assert [row["probabilities"][0] for row in rows(tmp_path / "out")] == [number / 10 for number in range(8)]
    assert rows(tmp_path / "out")[1]["predictions"][0] == {"label": "Green dog", "index": 1, "probability": 0.9}


def test_a_server_of_our_own_answers_each_and_refuses_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENNEL_ENGINE", "tests.serve.engines:ToyEngine")
    monkeypatch.setenv("TOY_DIR", str(tmp_path))
    for number in range(40):
        picture(tmp_path / "photos" / f"{number:02d}.png", (RED, GREEN, BLUE)[number % 3])
    for number in (6, 7, 21):
        (tmp_path / "photos" / f"{number:02d}.png").write_bytes(b"%PDF-1.7")
    known = toy_artifact(tmp_path / "model")
    result = deploy(
        "transform", tmp_path / "photos", "--out", tmp_path / "out", "--artifact", known, "--runs", tmp_path / "runs"
    )
    assert result.returncode == 1, result.stderr
    pdf = "! this is a PDF document, which isn't supported; the formats are JPEG, PNG, WEBP, GIF, BMP, TIFF"
    dogs = ("Red dog", "Green dog", "Blue dog")
    assert labels(tmp_path / "out") == [pdf if number in (6, 7, 21) else dogs[number % 3] for number in range(40)]
    assert summary(tmp_path / "out")["failed"] == 3


@pytest.mark.parametrize(
    ("sizes", "limit", "wanted"),
    [
        ({}, 1000, []),
        ({0: 10}, 5, [[0]]),
        # The form's own 200 bytes for each of two, and as many for its end.
        ({0: 200, 1: 200}, 1000, [[0, 1]]),
        ({0: 200, 1: 201}, 1000, [[0], [1]]),
        ({0: 10, 2: 5000, 3: 10}, 1000, [[0], [2], [3]]),
        # Never more than 1 MiB together, whatever the server takes.
        ({0: 524_000, 1: 523_976}, 10**9, [[0, 1]]),
        ({0: 524_000, 1: 523_977}, 10**9, [[0], [1]]),
    ],
)
def test_large_images_do_not_go_together(sizes: dict[int, int], limit: int, wanted: list[list[int]]) -> None:
    assert list(groups(sizes, limit)) == wanted
