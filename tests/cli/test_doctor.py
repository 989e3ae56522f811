"""deploy.py doctor where no account is asked: the settings, this machine and Docker."""

import os
import sys
from pathlib import Path

import pytest

from backends.settings.sections import General
from cli.doctor.check import CheckResult
from cli.doctor.machine import check_docker, check_packages, check_runs
from tests.backends.terminal import deploy

OTHER_MACHINE = (
    "kennel:latest is for linux/arm64: it may run here; SageMaker needs linux/amd64, which make image builds"
)


def client(folder: Path, script: str) -> Path:
    """A docker command of one's own."""
    file = folder / "docker"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def lines(out: str) -> dict[str, tuple[str, str]]:
    """{what: (state, said)} of each line but the last, by the columns' widths."""
    return {line[7:24].strip(): (line[:5].strip(), line[24:]) for line in out.splitlines()[:-1]}


def test_a_machine_without_docker_is_one_that_jobs_can_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = deploy("doctor", "--runs", tmp_path / "runs")
    assert answer.returncode == 0, answer.stderr
    found = lines(answer.stdout)
    assert list(found) == ["settings", "Python", "run folders", "Docker", "SageMaker"]
    assert found["settings"] == ("ok", "1 set: --runs")
    assert found["Python"][0] == "ok"
    assert found["run folders"][0] in ("ok", "note")
    assert found["run folders"][1].startswith(f"{tmp_path / 'runs'}: ")
    assert found["Docker"][0] == "note"
    assert found["Docker"][1].startswith("there is no docker command on the path; install Docker")
    assert found["SageMaker"] == ("note", "not looked at; --on sagemaker, or on in [kennel], does")
    assert answer.stdout.splitlines()[-1] == "no faults"
    assert not (tmp_path / "runs").exists()


def test_what_is_needed_and_missing_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER", str(client(tmp_path, "exit 1")))
    file = tmp_path / "kennel.toml"
    file.write_text('[kennel]\non = "docker"\nimage = "kennel:1"\n')
    answer = deploy("doctor", "--config", file, "-o", "runs=/dev/null/runs")
    assert answer.returncode == 1
    found = lines(answer.stdout)
    assert found["settings"] == ("ok", f"3 set: {file} (kennel.on, kennel.image), -o (kennel.runs)")
    assert found["Docker"] == (
        "fault", f"{tmp_path / 'docker'} reaches no daemon; start Docker, or set DOCKER_HOST",
    )  # fmt: skip
    assert found["run folders"] == (
        "fault", "/dev/null/runs can't be made or written to; set runs in [kennel], or give --runs",
    )  # fmt: skip
    assert answer.stdout.splitlines()[-1] == "2 faults: what to do stands beside each"
    assert answer.stderr == ""


def test_faults_of_the_settings_come_before_all_checks(tmp_path: Path) -> None:
    answer = deploy("doctor", "-o", "on=moon", "--runs", tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "error: -o on: must be local, docker, sagemaker or MODULE:CLASS, got moon\n"


@pytest.mark.parametrize(
    ("script", "rows"),
    [
        ('case "$1" in version) echo "28.2 linux/amd64" ;; *) echo linux/amd64 ;; esac',
         [("Docker", "ok", "{client}, daemon 28.2 linux/amd64"),
          ("image in Docker", "ok", "kennel:latest, for linux/amd64")]),
        ('case "$1" in version) echo "28.2 linux/arm64" ;; *) echo linux/arm64 ;; esac',
         [("Docker", "ok", "{client}, daemon 28.2 linux/arm64"),
          ("image in Docker", "note", OTHER_MACHINE)]),
        ('case "$1" in version) echo "28.2 linux/amd64" ;; *) exit 1 ;; esac',
         [("Docker", "ok", "{client}, daemon 28.2 linux/amd64"),
          ("image in Docker", "fault", "there is no image kennel:latest; build it with: make image")]),
    ],
)  # fmt: skip
def test_docker_as_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, rows: list[tuple[str, str, str]]
) -> None:
    file = client(tmp_path, script)
    monkeypatch.setenv("DOCKER", str(file))
    told = [CheckResult(what, state, said.format(client=file)) for what, state, said in rows]  # type: ignore[arg-type]
    assert list(check_docker(General(on="docker"))) == told
    # Where no job runs in Docker it is no fault.
    states = ["note" if row.state == "fault" else row.state for row in told]
    assert [row.state for row in check_docker(General(on="sagemaker"))] == states


def test_a_client_that_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER", str(tmp_path / "none"))
    (row,) = check_docker(General(on="docker"))
    assert (row.state, row.message) == (
        "fault",
        f"{tmp_path / 'none'} reaches no daemon; start Docker, or set DOCKER_HOST",
    )


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = sys.modules["importlib.util"].find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("torch", "PIL") else real(name))
    (row,) = check_packages(General())
    assert row.state == "fault"
    assert row.message.endswith(" lacks torch, PIL, for jobs on this machine; run: make setup")
    (row,) = check_packages(General(on="docker"))
    assert row.state == "note"


def test_little_room_for_runs_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = os.statvfs(tmp_path)
    assert usage.f_bavail > 0
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 4_900_000_000}))
    (row,) = check_runs(tmp_path / "a" / "b")
    assert (row.state, row.message) == (
        "note", f"{tmp_path / 'a' / 'b'}: 4.9 GB free, which a search may fill; make room",
    )  # fmt: skip
