"""The image under test, sample data and a model trained in a container; without the image the tests fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.container.docker_cli import READ_ONLY, USER, Docker, DockerMissing, write_job

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def docker() -> Docker:
    """Fails, rather than skips: a container test that did not run proves nothing."""
    try:
        return Docker.from_environ()
    except DockerMissing as missing:
        sentence = str(missing)
    pytest.fail(sentence, pytrace=False)


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train, valid and test folders of the six sample breeds: 8, 2 and 2 pictures each."""
    folder = tmp_path_factory.mktemp("data")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "examples.sample_data",
            folder,
            "--train",
            "8",
            "--valid",
            "2",
            "--test",
            "2",
            "--size",
            "96",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder


@pytest.fixture(scope="session")
def dog(sample_data: Path) -> Path:
    """One JPEG."""
    return sorted((sample_data / "test").glob("*/*.jpg"))[0]


@pytest.fixture(scope="session")
def job(docker: Docker, sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An /opt/ml tree after `docker run IMAGE train`: no root, no network, only it and /tmp to write to."""
    tree = tmp_path_factory.mktemp("job")
    write_job(tree, sample_data, pretrained="none", image_size=32, epochs=2, batch_size=16)
    mount = ("--volume", f"{tree}:/opt/ml", "--shm-size", "256m", "--network", "none")
    answer = docker.run("train", options=(*USER, *READ_ONLY, *mount))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (tree / "stdout.txt").write_text(answer.stdout)
    return tree


@pytest.fixture(scope="session")
def model(job: Path) -> Path:
    """The artifact of `job`."""
    return job / "model"
