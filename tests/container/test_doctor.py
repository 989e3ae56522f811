"""deploy.py doctor with a Docker that works, and the image under test."""

from pathlib import Path

import pytest

from tests.backends.terminal import deploy
from tests.container.docker_cli import Docker


@pytest.mark.parametrize("there", [True, False])
def test_it_finds_docker_and_its_image(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setenv("DOCKER", docker.client)
    image = docker.image if there else "kennel-nowhere:1"
    answer = deploy("doctor", "--on", "docker", "--image", image, "--runs", tmp_path)
    assert answer.returncode == (0 if there else 1), answer.stderr
    assert f"ok     Docker           {docker.client}, daemon " in answer.stdout
    found = next(line for line in answer.stdout.splitlines() if "image in Docker" in line)
    said = f"{image}, for linux/amd64" if there else f"there is no image {image}; build it with: make image"
    assert found == f"{'ok' if there else 'fault':<5}  image in Docker  {said}"
