"""What the comparison of servers checks, computes and tells. How fast anything is decides no test."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving import environments, flood, report
from benchmarks.serving.candidates import Candidate, candidates
from benchmarks.serving.inputs import photo
from benchmarks.serving.load import Target
from benchmarks.serving.measure import Inputs, Plan, measure
from benchmarks.serving.process import Server, ServerError, free_port

# Answers every request with the text in its second argument.
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(sys.argv[2])))
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())

    def log_message(self, *words):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def fixed(answer: list[float]) -> Candidate:
    return Candidate(
        "fixed", "fixed", "a fixed answer", "int8",
        lambda _folder, port: [sys.executable, "-c", SERVER, str(port), json.dumps(answer)],
    )  # fmt: skip


def inputs(folder: Path) -> Inputs:
    photos = []
    for number in range(2):
        photos.append(folder / f"{number}.jpg")
        photos[-1].write_bytes(photo(64, 48, number))
    right = [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]]
    return Inputs(folder / "artifact" / "model", {"500x375": photos}, {"int8": {"500x375": right}})


PLAN = Plan({"500x375": (1, 2)}, seconds=0.05, patience=math.inf)


def test_a_server_that_answers_right_is_measured_at_each_concurrency(tmp_path: Path) -> None:
    records = measure(fixed([0.1, 0.7, 0.2]), inputs(tmp_path), PLAN, tmp_path)
    assert [(each["size"], each["concurrency"]) for each in records] == [("500x375", 1), ("500x375", 2)]
    for each in records:
        assert each["failed"] == each["refused"] == each["difference"] == 0
        assert each["requests"] >= 30
        assert each["rate"] > 0
        assert each["start_seconds"] > 0
        assert each["memory"] > 1_000_000
        assert each["cpu_ms"] >= 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0.7, 0.1, 0.2], "photo 0 of 500x375 has class 1, the answer is"),
        ([0.1, 0.69, 0.21], "its probabilities for 500x375 are off by 0.010"),
        ([0.0, 1.0], "photo 0 of 500x375 has class 1, the answer is"),
    ],
)
def test_a_server_that_answers_wrong_is_not_measured(tmp_path: Path, answer: list[float], message: str) -> None:
    with pytest.raises(ServerError, match=message):
        measure(fixed(answer), inputs(tmp_path), PLAN, tmp_path)


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such model'); raise SystemExit(3)"]
    with (
        Server(command, {}, tmp_path, tmp_path / "log") as server,
        pytest.raises(ServerError, match="it ended with exit code 3: no such model"),
    ):
        server.wait_for(Target(free_port()), b"x")


def test_a_stopped_server_leaves_no_process(tmp_path: Path) -> None:
    # A child that takes no SIGTERM, in a session of its own, as some servers start theirs.
    child = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE, start_new_session=True)\n"
        "child.stdout.readline()\n"
        f"exec({SERVER!r})\n"
    )
    port = free_port()
    with Server([sys.executable, "-c", parent, str(port), "[]"], {}, tmp_path, tmp_path / "log") as server:
        server.wait_for(Target(port), b"x")
        tree = server.tree()
        assert len(tree) == 2
    assert not any(process.is_running() for process in tree)


def test_each_server_has_a_name_of_its_own_and_versions() -> None:
    every = candidates()
    assert len({each.name for each in every}) == len({each.title for each in every}) == len(every)
    assert {each.venv for each in every} - {None} == set(environments.PINS)
    for with_needs, alone in environments.PINS.values():
        assert all("==" in package for package in (*with_needs, *alone))
        # The engine and the decoding are the same for all.
        assert {"pillow==13.0.0", "openvino==2026.4.1", "numpy==2.2.6"} <= set(with_needs)


def test_kennel_is_started_with_its_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENNEL_THREADS", "7")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    kennel = candidates()[0]
    variables = kennel.environment(tmp_path, 8123, Path("/somewhere/model"))
    assert {name: value for name, value in variables.items() if name.startswith(("KENNEL_", "OMP_", "SAGEMAKER_"))} == {
        "KENNEL_HOST": "127.0.0.1",
        "KENNEL_PORT": "8123",
        "KENNEL_ML_ROOT": "/somewhere",
    }


def test_without_java_its_servers_are_left_out_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no Java here" in str(environments.missing("torchserve"))
    assert "there is no Java here" in str(environments.missing("mms"))
    assert environments.missing("litserve") is None


def test_photos_differ_and_can_be_made_again() -> None:
    assert photo(40, 30, 1) == photo(40, 30, 1)
    assert photo(40, 30, 1) != photo(40, 30, 2)


def record(name: str, number: int, rate: float, concurrency: int = 16, **more: Any) -> dict[str, Any]:
    facts = {
        "name": name, "round": number, "size": "500x375", "masked": "", "concurrency": concurrency, "rate": rate,
        "p50_ms": 10.0, "p99_ms": 20.0, "failed": 0.0, "refused": 0.0, "memory": 150_000_000, "start_seconds": 1.25,
        "start_cpu_seconds": 2.5, "cpu_ms": 9.0,
    }  # fmt: skip
    return {**facts, **more}


RECORDS = [
    record("kennel", 0, 300.0), record("kennel", 1, 330.0),
    record("tutorial", 0, 10.0), record("tutorial", 1, 30.0),
    record("tutorial-tuned", 0, 50.0), record("tutorial-tuned", 1, 55.0),
    record("one", 0, 200.0), record("one", 1, 220.0),
    record("two", 0, 100.0), record("two", 1, 90.0),
    record("floor", 0, 390.0, 0, cpu_ms=6.0), record("floor", 1, 396.0, 0, cpu_ms=5.0),
    # Neither another concurrency, nor another size, nor a masked processor is mixed in.
    record("kennel", 0, 9999.0, 64), record("kennel", 0, 1.0, size="4000x3000"),
    record("kennel", 0, 2.0, masked="AVX2"),
]  # fmt: skip


def test_ratios_are_of_the_same_round() -> None:
    found = report.ratios(RECORDS, ["one", "two"], [3.5, 2.5, 2.9])
    assert [list(ratio.values) for ratio in found] == [
        [30.0, 11.0],  # 300 / 10, 330 / 30
        [6.0, 6.0],
        [1.5, 1.5],  # against "one", the faster of the two
        [1.3, 1.2],  # 390 / 300, 396 / 330
        [1.5, 1.8],  # 9 / 6, 9 / 5
        [3.5, 2.5, 2.9],
    ]
    assert [ratio.line().rpartition(": ")[2] for ratio in found] == [
        "met",
        "NOT MET",
        "met",
        "met",
        "NOT MET",
        "NOT MET",
    ]
    assert found[0].line() == "Kennel / the tutorial: 20.50 (11.00 to 30.00, n = 2); wanted >= 8: met"
    assert "(one)" in found[2].line()


def test_ratios_of_what_was_not_measured_are_left_out() -> None:
    assert report.ratios([record("kennel", 0, 1.0)], ["one"], []) == []
    assert report.ratios([record("kennel", 0, 1.0), record("one", 0, 0.0)], ["one"], []) == []


def test_the_tables_rows_are_medians_fastest_first() -> None:
    records = [
        record("one", 0, 100.0), record("one", 1, 300.0), record("one", 2, 110.0, failed=0.25, refused=0.125),
        record("one", 0, 50.0, 1),
        record("two", 0, 200.0, memory=90_000_000),
        record("floor", 0, 400.0, 0),
    ]  # fmt: skip
    lines = report.table(records, "500x375", {"one": "One", "two": "Two", "floor": "no server"})
    assert lines[0].startswith("| server | c 1 | c 16 | p50 at 16, ms | p99 at 16, ms | CPU ms at 16 | not 200 |")
    assert lines[2:] == [
        "| no server | 400 | 400 |  |  | 9.0 |  |  |  |  | 1 |",
        "| Two | - | 200 | 10 | 20 | 9.0 | 0 | 90 | 1.2 | 2.5 | 1 |",
        "| One | 50 | 110 | 10 | 20 | 9.0 | 25.0% (503: 12.5%) | 150 | 1.2 | 2.5 | 3 |",
    ]
    assert report.table(records, "4000x3000", {}) == []


def test_the_masked_table_has_both_figures() -> None:
    records = [record("one", 0, 100.0), record("two", 0, 80.0), record("one", 0, 40.0, masked="AVX512_CORE")]
    assert report.masked_table(records, {"one": "One", "two": "Two"})[2:] == ["| One | 100 | 40 |"]
    assert report.masked_table(records[:2], {}) == []


# Answers POST with 200 and 503 in turn, and GET with 200.
TURNS = """
import itertools, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

turns = itertools.cycle([200, 503])

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def do_POST(self):
        self.answer(next(turns))

    def do_GET(self):
        self.answer(200)

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_flood_tells_good_answers_from_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood, "CLIENTS", (2, 3))
    turns = Candidate("turns", "turns", "", "none", lambda _, port: [sys.executable, "-c", TURNS, str(port)])
    rows = flood.flood(turns, inputs(tmp_path), "500x375", 0.5, tmp_path)
    assert [row["clients"] for row in rows] == [2, 3]
    for row in rows:
        assert row["failed"] == 0
        assert row["good"] > 0
        assert row["refused"] > 0
        assert 0 < row["ping"] < math.inf


def test_the_floods_table_has_medians_and_the_worst() -> None:
    row = {
        "clients": 128,
        "good": 200.0,
        "cpu": 9.5,
        "p50": 500.0,
        "p99": 900.0,
        "refused": 0.0,
        "failed": 0,
        "ping": 7.0,
    }
    lines = flood.table([[row], [{**row, "good": 180.0, "failed": 1, "ping": 9.0}], [{**row, "good": 100.0}]])
    assert lines[2:] == ["| 128 | 180 | 9.5 | 500 | 900 | 0 | 1 | 9 | 3 |"]
