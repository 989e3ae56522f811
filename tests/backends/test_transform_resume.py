"""deploy.py transform when it is killed, interrupted or its server dies, and how it goes on."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.backends.terminal import deploy, lives, start
from tests.backends.transform_runs import (
    is_gone,
    lines,
    picture,
    pictures,
    records,
    rows,
    server_of,
    summary,
    table,
    toy_artifact,
    wait,
)

Begin = Callable[[], "subprocess.Popen[str]"]


class Job:
    """30 pictures in `photos`, whose server answers ten and then waits for `go`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.out, self.runs = root / "out", root / "runs"
        self.files = pictures(root / "photos", 30)
        self.artifact = toy_artifact(root / "model")
        # One after the other, so that the first ten are answered first.
        self.command = ("transform", root / "photos", "--out", self.out, "--artifact", self.artifact,
                        "--runs", self.runs, "--concurrent", "1")  # fmt: skip

    def go(self) -> None:
        (self.root / "go").touch()

    def check_whole(self) -> None:
        """Every file once, in order, with its answer."""
        found = rows(self.out)
        assert [row["file"] for row in found] == self.files
        assert {row["predictions"][0]["probability"] for row in found} == {0.67}
        assert [row[0] for row in table(self.out)] == ["file", *self.files]
        assert all(is_gone(record) for record in records(self.runs))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("KENNEL_ENGINE", "tests.backends.transform_engine:TenThenWait")
    monkeypatch.setenv("TOY_DIR", str(tmp_path))
    return Job(tmp_path)


@pytest.fixture
def begin(job: Job) -> Iterator[Begin]:
    """Starts the job, and returns when ten answers are written. Ended afterwards, with all that it has started."""
    started: list[subprocess.Popen[str]] = []

    def begin() -> "subprocess.Popen[str]":
        started.append(start(*job.command))
        wait("ten answers are written", lambda: lines(job.out) == 10)
        return started[-1]

    yield begin
    for process in started:
        with process:
            process.kill()
    for record in records(job.runs):
        if not is_gone(record):
            for each in server_of(record):
                each.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_done_and_ends_the_server(number: signal.Signals, job: Job, begin: Begin) -> None:
    process = begin()
    server = server_of(records(job.runs)[0])
    process.send_signal(number)
    assert process.stderr is not None
    assert process.stderr.readline() == "stopping ...\n"
    job.go()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = lines(job.out)
    assert kept in (10, 11)
    assert error == (
        f"error: stopped; {kept} of 30 images are kept in {job.out}; the same command goes on from there\n"
    )
    assert not any(lives(each) for each in server)
    assert records(job.runs)[0]["status"] == "stopped"
    result = deploy(*job.command)
    assert result.returncode == 0, result.stderr
    assert f"30 images: 30 predicted, 0 failed, {kept} of them before;" in result.stdout
    assert summary(job.out)["before"] == kept
    job.check_whole()


def test_killed_it_goes_on_and_ends_the_server_that_was_left(job: Job, begin: Begin) -> None:
    process = begin()
    process.kill()
    process.wait()
    left = server_of(records(job.runs)[0])
    assert len(left) >= 2
    assert all(lives(each) for each in left)
    first = (job.out / "predictions.jsonl").read_bytes()
    # What a kill in the middle of a line leaves.
    with (job.out / "predictions.jsonl").open("ab") as file:
        file.write(json.dumps({"file": job.files[10]}).encode()[:-1])
    job.go()
    result = deploy(*job.command)
    assert result.returncode == 0, result.stderr
    assert "10 of them before" in result.stdout
    assert not any(lives(each) for each in left)
    assert [record["status"] for record in records(job.runs)] == ["stopped", "stopped"]
    assert (job.out / "predictions.jsonl").read_bytes().startswith(first)
    job.check_whole()


def test_two_can_not_write_to_one_folder(job: Job, begin: Begin) -> None:
    process = begin()
    second = deploy(*job.command)
    assert (second.returncode, second.stderr) == (
        2, f"error: another transform is writing to {job.out}; choose another --out\n",
    )  # fmt: skip
    job.go()
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    job.check_whole()


def test_a_server_that_dies_is_told_and_what_is_done_kept(job: Job, begin: Begin) -> None:
    process = begin()
    for each in server_of(records(job.runs)[0]):
        each.kill()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert error.startswith("error: the server has ended: ")
    assert f"(10 of 30 images are kept in {job.out}; the same command goes on from there)" in error
    job.go()
    assert deploy(*job.command).returncode == 0
    job.check_whole()


def test_other_images_or_another_artifact_are_no_continuation(job: Job) -> None:
    job.go()
    assert deploy(*job.command).returncode == 0
    before = (job.out / "predictions.jsonl").read_bytes()
    picture(Path(job.files[0]).with_name("zzz.png"))
    refused = deploy(*job.command)
    assert refused.returncode == 2
    assert f"the results in {job.out} are of another transform (changed: inputs); choose another" in refused.stderr
    toy_artifact(job.artifact, b"trained again")
    refused = deploy(*job.command)
    assert "(changed: artifact and inputs)" in refused.stderr
    assert "--restart to begin anew" in refused.stderr
    assert (job.out / "predictions.jsonl").read_bytes() == before
    result = deploy(*job.command, "--restart")
    assert result.returncode == 0, result.stderr
    assert "31 images: 31 predicted, 0 failed;" in result.stdout
    assert rows(job.out)[30]["file"].endswith("zzz.png")


def test_somebody_elses_file_is_not_replaced(job: Job) -> None:
    job.go()
    job.out.mkdir()
    (job.out / "predictions.jsonl").write_text("mine\n")
    refused = deploy(*job.command)
    assert refused.returncode == 2
    assert "--restart to replace it" in refused.stderr
    assert (job.out / "predictions.jsonl").read_text() == "mine\n"


def test_a_line_of_another_file_is_not_taken_for_an_answer(job: Job) -> None:
    job.go()
    assert deploy(*job.command).returncode == 0
    whole = (job.out / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    (job.out / "predictions.jsonl").write_bytes(b"".join([*whole[:4], *whole[5:]]))
    result = deploy(*job.command)
    assert "4 of them before" in result.stdout
    job.check_whole()


def test_after_a_kill_status_and_delete_know_the_server(job: Job, begin: Begin) -> None:
    process = begin()
    process.kill()
    process.wait()
    (record,) = records(job.runs)
    assert record["url"] in deploy("status", "--runs", job.runs).stdout
    job.go()
    assert deploy("delete", "--all", "--runs", job.runs).returncode == 0
    assert not psutil.pid_exists(record["pid"]) or is_gone(record)
