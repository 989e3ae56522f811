"""The options that all commands share: what they are, and what comes of them and the settings together."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import deploy as program
from backends.local import LocalBackend
from backends.runs import Run, create_run
from backends.sagemaker.backend import CloudBackend
from cli.context import Context
from tests.backends.terminal import deploy

# Those that start nothing, and so have no use for --on, --image and --yes.
STARTS_NOTHING = {"report", "init"}
URI = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/kennel"


def commands(*before: str) -> dict[str, str]:
    """What `--help` says of each command, those of groups of commands among them."""
    answer = CliRunner().invoke(program.app, [*before, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert answer.exit_code == 0, answer.output
    _, found, below = answer.output.partition("─ Commands ─")
    if not found:
        return {" ".join(before): answer.output}
    names = re.findall(r"^│ ([a-z]+) ", below, re.M)
    return {name: text for each in names for name, text in commands(*before, each).items()}


def test_every_command_that_starts_something_has_them() -> None:
    helps = commands()
    assert set(helps) > {"run", "train", "deploy", "status", "delete", "doctor", *STARTS_NOTHING}
    for command, text in helps.items():
        found = set(re.findall(r"(--[a-z]+)", text))
        assert "--option" in found, command
        if command != "init":
            assert {"--runs", "--config"} <= found, command
        if command in ("run", "train", "tune", "evaluate", "deploy", "predict", "transform", "data", "debug", "doctor"):
            assert {"--on", "--image", "--yes"} <= found, command
        if command in STARTS_NOTHING:
            assert not {"--on", "--image", "--yes"} & found, command


def test_a_file_in_the_folder_is_taken_and_may_be_overridden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KENNEL_CONFIG")
    for folder in ("of-file", "of-variable", "of-flag", "of-option"):
        create_run(tmp_path / folder, "training", f"a-{folder}", backend="local").finish("completed")
    (tmp_path / "kennel.toml").write_text('[kennel]\nruns = "of-file"\n')
    assert "a-of-file " in deploy("status", cwd=tmp_path).stdout
    monkeypatch.setenv("KENNEL_RUNS", "of-variable")
    assert "a-of-variable " in deploy("status", cwd=tmp_path).stdout
    assert "a-of-flag " in deploy("status", "-o", "runs=of-flag", cwd=tmp_path).stdout
    assert "a-of-option " in deploy("status", "-o", "runs=of-flag", "--runs", "of-option", cwd=tmp_path).stdout


def test_a_file_by_its_name_or_by_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.toml").write_text('[kennel]\nruns = "one"\n')
    (tmp_path / "two.toml").write_text('[kennel]\nruns = "two"\n')
    monkeypatch.setenv("KENNEL_CONFIG", str(tmp_path / "one.toml"))
    assert deploy("status").stdout == f"no runs in {tmp_path / 'one'}\n"
    assert deploy("status", "--config", tmp_path / "two.toml").stdout == f"no runs in {tmp_path / 'two'}\n"


def test_jobs_run_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KENNEL_ON", "docker")
    answer = deploy("data", "--data", tmp_path, "--runs", tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: --on docker needs the docker command")
    answer = deploy("data", "--data", tmp_path, "--runs", tmp_path, "--on", "local")
    assert "docker" not in answer.stderr


def place(tmp_path: Path, text: str) -> Context:
    file = tmp_path / "kennel.toml"
    file.write_text(text)
    return Context(config=file)


def run_of(tmp_path: Path, **record: Any) -> Run:
    return create_run(tmp_path / "runs", "deployment", None, **record)


def test_a_run_is_reopened_where_it_was_begun(tmp_path: Path) -> None:
    context = place(
        tmp_path,
        f"""
        [kennel]
        on = "local"
        [sagemaker]
        region = "us-east-1"
        bucket = "new"
        prefix = "new"
        role = "new"
        image = "{URI}:2"
        """,
    )
    noted = {"name": "kennel-x", "region": "eu-west-1", "account": "123456789012", "bucket": "old", "prefix": "old"}
    run = run_of(tmp_path, backend="sagemaker", image=f"{URI}:1", sagemaker=noted)
    account = context.account_of(run).settings.sagemaker
    assert (account.account, account.region, account.bucket, account.prefix) == (
        "123456789012",
        "eu-west-1",
        "old",
        "old",
    )
    assert (account.image, account.role) == (f"{URI}:1", "new")
    backend = context.backend_of(run)
    assert isinstance(backend, CloudBackend)
    assert backend.account.settings.sagemaker == account
    assert backend.image == f"{URI}:1"
    assert isinstance(context.backend(), LocalBackend)
    # Killed before anything was noted: what is set holds.
    account = context.account_of(run_of(tmp_path, backend="sagemaker")).settings.sagemaker
    assert (account.region, account.bucket, account.image) == ("us-east-1", "new", f"{URI}:2")


def test_a_run_in_docker_keeps_its_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "$@" >> "$0.log"\n')
    docker.chmod(0o755)
    monkeypatch.setenv("DOCKER", str(docker))
    monkeypatch.delenv("KENNEL_IMAGE", raising=False)
    context = place(tmp_path, '[kennel]\nimage = "kennel:new"\n')
    assert context.backend_of(run_of(tmp_path, backend="docker", image="kennel:old")).image == "kennel:old"
    assert context.backend_of(run_of(tmp_path, backend="docker")).image == "kennel:new"
    assert "kennel:old" in (tmp_path / "docker.log").read_text()


def test_a_run_of_no_known_backend_is_told_and_the_others_are_listed(tmp_path: Path) -> None:
    run = create_run(tmp_path, "training", "strange", backend="moon")
    create_run(tmp_path, "training", "known", backend="local").finish("completed")
    answer = deploy("status", "--runs", tmp_path)
    assert answer.returncode == 0
    assert answer.stderr == "strange: --on must be local, docker, sagemaker or MODULE:CLASS, got 'moon'\n"
    assert "known " in answer.stdout
    assert json.loads((run.path / "run.json").read_text())["status"] == "running"
