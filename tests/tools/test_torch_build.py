"""Which build of torch a machine gets: a table of facts and choices, and how the facts are found."""

import socket
from pathlib import Path

import pytest

from tools import SetupError
from tools.torch_build import BuildFacts, choose, nvidia_gpu, reachable, wants_cpu_build


@pytest.mark.parametrize(
    ("facts", "build", "source"),
    [
        (BuildFacts("Linux", "", gpu=False, at_hand=True), "cpu", "at hand"),
        (BuildFacts("Linux", "", gpu=False, at_hand=True, index=True), "cpu", "at hand"),
        (BuildFacts("Linux", "", gpu=False, index=True), "cpu", "index"),
        (BuildFacts("Linux", "", gpu=False), "cuda", "pypi"),
        (BuildFacts("Linux", "", gpu=True), "cuda", "pypi"),
        (BuildFacts("Linux", "", gpu=True, at_hand=True, index=True), "cuda", "pypi"),
        (BuildFacts("Linux", "cpu", gpu=True, at_hand=True), "cpu", "at hand"),
        (BuildFacts("Linux", "cpu", gpu=True, index=True), "cpu", "index"),
        (BuildFacts("Linux", "cuda", gpu=False, at_hand=True, index=True), "cuda", "pypi"),
        (BuildFacts("Darwin", "", gpu=False), "cpu", "pypi"),
        (BuildFacts("Darwin", "cpu", gpu=False), "cpu", "pypi"),
    ],
)
def test_choice(facts: BuildFacts, build: str, source: str) -> None:
    choice = choose(facts)
    assert (choice.build, choice.source) == (build, source)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (BuildFacts("Linux", "gpu", gpu=False, at_hand=True), "TORCH=gpu is not known"),
        (BuildFacts("Linux", "cpu", gpu=False), "PIP_FIND_LINKS"),
        (BuildFacts("Darwin", "cuda", gpu=False), "no CUDA build for macOS"),
    ],
)
def test_what_cannot_be_had(facts: BuildFacts, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        choose(facts)


def test_gigabytes_are_announced_with_their_reason() -> None:
    why = choose(BuildFacts("Linux", "", gpu=False)).why
    assert "GB to download" in why
    assert "no NVIDIA GPU here, but https://download.pytorch.org/whl/cpu cannot be reached" in why


def test_only_a_wanted_cpu_build_is_looked_for() -> None:
    assert wants_cpu_build(BuildFacts("Linux", "", gpu=False))
    assert wants_cpu_build(BuildFacts("Linux", "cpu", gpu=True))
    assert not wants_cpu_build(BuildFacts("Linux", "", gpu=True))
    assert not wants_cpu_build(BuildFacts("Linux", "cuda", gpu=False))
    assert not wants_cpu_build(BuildFacts("Darwin", "", gpu=False))


def test_closed_port_is_not_reachable() -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        assert not reachable(f"http://127.0.0.1:{bound.getsockname()[1]}/", seconds=5)


def test_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, answers nothing
        assert not reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.2)


def test_gpu_is_its_device_not_the_driver_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "dev").mkdir()
    assert not nvidia_gpu(tmp_path)
    (tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    assert not nvidia_gpu(tmp_path)
    (tmp_path / "dev/nvidia0").touch()
    assert nvidia_gpu(tmp_path)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'GPU 0: NVIDIA L4 (UUID: GPU-1)'", True),
        ("echo 'No devices were found'", False),
        ("exit 9", False),
    ],
)
def test_gpu_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: bool) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_gpu(tmp_path) is found
