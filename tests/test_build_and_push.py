"""build_and_push.sh before it builds anything: arguments, and all that is missing. Needs no Docker."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AWS = Path(sys.executable).parent / "aws"
# What the script takes for granted on any machine.
ORDINARY = ("awk", "basename", "bash", "cat", "date", "dirname", "env", "git", "sed", "sh", "tr")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH folder with the ordinary tools: no docker, no aws."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ORDINARY:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


def push(path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The script with that PATH and no settings but `environ`."""
    clean = {"PATH": str(path), "HOME": str(path), "AWS_EC2_METADATA_DISABLED": "true", **environ}
    command = [str(ROOT / "build_and_push.sh"), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=clean, cwd=path, timeout=120)


def put(path: Path, name: str, script: str) -> None:
    """A command of one's own on PATH."""
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


def test_help_says_what_it_needs(path: Path) -> None:
    answer = push(path, "--help")
    assert answer.returncode == 0
    for name in (
        "build_and_push.sh NAME [TAG]",
        "AWS_REGION",
        "REGISTRY",
        "TORCH",
        "PRETRAINED",
        "BASE_IMAGE",
    ):
        assert name in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "NAME is missing"),
        (("kennel", "1.0", "more"), "too many arguments (3)"),
        (("Kennel",), "'Kennel' is no repository name"),
        (("kennel/",), "'kennel/' is no repository name"),
        (("k",), "'k' is no repository name"),
        (("kennel", ".1"), "'.1' is no tag"),
        (("kennel", "a b"), "'a b' is no tag"),
        (("kennel", "v" * 129), "is no tag: up to 128"),
    ],
)
def test_bad_arguments_are_refused_with_the_usage(path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    answer = push(path, *arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("build_and_push.sh: ")
    assert sentence in answer.stderr
    assert "Usage: build_and_push.sh NAME [TAG]" in answer.stderr


def test_everything_that_is_missing_is_listed_at_once(path: Path) -> None:
    answer = push(path, "kennel", "1.0")
    assert (answer.returncode, answer.stdout) == (1, "")
    first, *problems = answer.stderr.splitlines()
    assert first == "build_and_push.sh: nothing was built, 3 missing:"
    docker, aws, region = problems
    assert "no docker client on PATH: install Docker" in docker
    assert "the aws command is not on PATH: install the AWS CLI" in aws
    assert "no region: set AWS_REGION" in region


def test_no_daemon_and_no_credentials_are_told_with_what_to_do(path: Path) -> None:
    put(path, "docker", "exit 1")
    (path / "aws").symlink_to(AWS)
    answer = push(path, "kennel", "1.0", AWS_REGION="eu-central-1")
    assert (answer.returncode, answer.stdout) == (1, "")
    first, docker, aws = answer.stderr.splitlines()
    assert first.endswith("2 missing:")
    assert f"{path / 'docker'} reaches no Docker daemon: start it" in docker
    assert "no AWS credentials that work (Unable to locate credentials" in aws
    assert "run aws configure or aws sso login" in aws


def test_a_client_without_buildkit_is_named(path: Path) -> None:
    # A new client without the buildx plugin, as Debian's docker-cli alone is.
    put(path, "docker", 'case "$1" in info) ;; buildx) exit 1 ;; version) echo 28.2.2 ;; esac')
    answer = push(path, "kennel", "1.0", AWS_REGION="eu-central-1")
    assert answer.returncode == 1
    assert f"no BuildKit: {path / 'docker'} lacks the buildx plugin: install docker-buildx-plugin" in answer.stderr


def test_of_two_clients_the_one_that_can_build_is_taken(path: Path, tmp_path: Path) -> None:
    put(path, "docker", 'case "$1" in info) ;; buildx) exit 1 ;; version) echo 28.2.2 ;; esac')
    second = tmp_path / "second"
    second.mkdir()
    put(second, "docker", 'case "$1" in info) ;; buildx) exit 1 ;; version) echo 20.10.24 ;; esac')
    answer = push(path, "kennel", "1.0", PATH=f"{path}{os.pathsep}{second}", AWS_REGION="eu-central-1")
    assert f"docker client: {second / 'docker'} (builtin BuildKit; passed over {path / 'docker'}" in answer.stderr
    assert "1 missing" in answer.stderr  # aws
