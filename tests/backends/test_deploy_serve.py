"""deploy.py deploy, predict, status and delete: a local deployment's whole life."""

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.backends.terminal import TINY, deploy, lives, start
from tests.ports import free_port


@pytest.fixture
def endpoint(trained: Path, runs: Path) -> Iterator[dict[str, object]]:
    """A deployment of the trained artifact for one test; its record. Ended afterwards, whatever the test did."""
    yield from _deployed(runs)


@pytest.fixture(scope="module")
def shared(trained: Path, runs: Path) -> Iterator[dict[str, object]]:
    """A deployment that several tests ask and none ends."""
    yield from _deployed(runs)


def _deployed(runs: Path) -> Iterator[dict[str, object]]:
    answer = deploy("deploy", "--artifact", "first", "--port", "0", "--runs", runs)
    assert answer.returncode == 0, answer.stderr
    name = answer.stdout.split()[0]
    record = json.loads((runs / name / "run.json").read_text())
    assert answer.stdout.splitlines()[-1] == record["url"]
    yield record
    deploy("delete", name, "--runs", runs)


def test_it_stays_up_and_answers_like_the_evaluation(
    shared: dict[str, object], trained: Path, data: Path, runs: Path
) -> None:
    expected = json.loads((trained / "ml" / "output" / "data" / "evaluation.json").read_text())["predictions"]
    assert len(expected) == 12
    files = [data / "test" / name for name in expected]
    answer = deploy("predict", "--url", str(shared["url"]), "--json", *files)
    assert answer.returncode == 0, answer.stderr
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(rows) == 12
    for row, truth in zip(rows, expected.values(), strict=True):
        best = row["predictions"][0]
        assert best["label"] == truth["label"]
        assert best["probability"] == pytest.approx(truth["probability"], abs=1e-4)
    status = deploy("status", "--runs", runs).stdout
    assert str(shared["name"]) in status
    assert str(shared["url"]) in status


def test_delete_ends_the_process_and_frees_the_port(endpoint: dict[str, object], runs: Path) -> None:
    process = psutil.Process(int(str(endpoint["pid"])))
    family = [process, *process.children(recursive=True)]
    assert len(family) >= 2  # gunicorn's master and a worker
    answer = deploy("delete", str(endpoint["name"]), "--runs", runs)
    assert answer.returncode == 0, answer.stderr
    assert f"{endpoint['name']} ended" in answer.stdout
    assert not any(lives(each) for each in family)
    port = int(str(endpoint["url"]).rsplit(":", 1)[1])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("", port))
    again = deploy("delete", str(endpoint["name"]), "--runs", runs)
    assert again.returncode == 0
    assert "isn't running" in again.stdout


def test_a_killed_server_is_not_said_to_be_up(endpoint: dict[str, object], runs: Path) -> None:
    process = psutil.Process(int(str(endpoint["pid"])))
    family = [process, *process.children(recursive=True)]
    for each in family:
        each.kill()
    psutil.wait_procs(family, timeout=10)
    assert str(endpoint["name"]) not in deploy("status", "--runs", runs).stdout
    everything = deploy("status", "--runs", runs, "--all").stdout
    line = next(line for line in everything.splitlines() if str(endpoint["name"]) in line)
    assert "failed" in line


def test_delete_never_ends_a_stranger_with_the_same_number(shared: dict[str, object], runs: Path) -> None:
    record_file = runs / str(shared["name"]) / "run.json"
    kept = record_file.read_text()
    record_file.write_text(json.dumps({**shared, "pid": os.getpid()}))
    answer = deploy("delete", str(shared["name"]), "--runs", runs)
    assert "isn't running" in answer.stdout
    record_file.write_text(kept)


def test_a_taken_port_is_one_sentence(shared: dict[str, object], runs: Path) -> None:
    port = str(shared["url"]).rsplit(":", 1)[1]
    answer = deploy("deploy", "--artifact", "first", "--port", port, "--runs", runs)
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: port {port} can't be used (Address already in use)")


def test_without_a_server_predict_says_what_to_do(data: Path) -> None:
    port = free_port()
    photo = data / "test" / "001.Red_dog" / "0.jpg"
    answer = deploy("predict", "--url", f"http://127.0.0.1:{port}", "--json", photo)
    assert answer.returncode == 1
    assert "gave no answer" in json.loads(answer.stdout)["error"]


def test_a_broken_artifact_is_not_deployed(trained: Path, runs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "artifact"
    copy.mkdir()
    (copy / "kennel.json").write_bytes((trained / "ml" / "model" / "kennel.json").read_bytes())
    (copy / "model.safetensors").write_bytes(b"\x80\x04not the weights")
    answer = deploy("deploy", "--artifact", copy, "--port", "0", "--runs", tmp_path / "runs", "--name", "broken")
    assert answer.returncode == 2
    assert "isn't the file that was trained" in answer.stderr
    assert json.loads((tmp_path / "runs" / "broken" / "run.json").read_text())["status"] == "failed"
    empty = deploy("deploy", "--artifact", tmp_path, "--runs", tmp_path / "runs")
    assert empty.returncode == 2
    assert "there is no artifact in" in empty.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_ends_it_cleanly(number: int, trained: Path, runs: Path) -> None:
    port = free_port()
    process = start("deploy", "--artifact", "first", "--port", str(port), "--foreground", "--runs", runs)
    end = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/ping", timeout=3) as answer:
                assert answer.status == 200
                break
        except OSError:
            assert time.monotonic() < end, "the server did not come up"
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
    servers = psutil.Process(process.pid).children(recursive=True)
    assert servers
    if number == signal.SIGINT:
        # Ctrl-C at a terminal reaches the whole foreground group.
        for each in servers:
            each.send_signal(number)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "Traceback" not in error
    psutil.wait_procs(servers, timeout=10)
    assert not any(lives(each) for each in servers)


@pytest.mark.long
def test_run_does_it_all_and_leaves_nothing_up(data: Path, tmp_path: Path) -> None:
    options = ("--trials", "2", "--runs", tmp_path, "--port", "0")
    answer = deploy("run", "--data", data, *TINY, *options, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    summary = dict(
        line.split("  ", 1) for line in answer.stdout.splitlines() if "  " in line and not line.startswith(" ")
    )
    assert summary["data"].strip() == "3 classes; 36 train, 12 valid, 12 test images"
    assert summary["test accuracy"].strip().endswith("%")
    assert (tmp_path / summary["artifact"].strip() / "kennel.json").is_file()
    assert any(label in summary["prediction"] for label in ("Red dog", "Green dog", "Blue dog"))
    assert "python deploy.py predict" in answer.stdout
    records = [json.loads(file.read_text()) for file in tmp_path.glob("*/run.json")]
    assert sorted(record["kind"] for record in records) == ["deployment", "training", "training", "tuning"]
    trials = sorted((record for record in records if record["kind"] == "training"), key=lambda each: each["trial"])
    # The first as asked for, by default 0.001; the other one from a third to three times that.
    assert trials[0]["hyperparameters"]["lr"] == 0.001
    assert 0.001 / 3 <= trials[1]["hyperparameters"]["lr"] <= 0.003
    assert {trial["hyperparameters"][name] for trial in trials for name in ("debug", "profile")} == {"on"}
    (tuning,) = (record for record in records if record["kind"] == "tuning")
    assert summary["best trial"].strip().startswith(f"{tuning['best']} of 2: lr ")
    assert (tmp_path / summary["tuning page"].strip()).is_file()
    deployment = next(record for record in records if record["kind"] == "deployment")
    assert deployment["status"] == "stopped"
    assert not psutil.pid_exists(deployment["pid"])
