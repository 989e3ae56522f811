"""A tiny data set and one run trained on it by deploy.py, shared by all tests of the client side."""

import shutil
from pathlib import Path

import pytest

from tests.backends.photos import make_photos
from tests.backends.terminal import TINY, deploy
from tests.shared import made_once


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes that differ in colour; train 12, valid 4, test 4 noisy 100 x 80 JPEGs a class."""
    return make_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run folders."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def trained(data: Path, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder `runs/first` of one finished training."""

    def train(folder: Path) -> Path:
        answer = deploy("train", "--data", data, *TINY, "--runs", folder, "--name", "first")
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.splitlines()[-1] == str(folder / "first" / "ml" / "model")
        return folder / "first"

    shutil.copytree(made_once(tmp_path_factory, "first-run", train), runs / "first", symlinks=True)
    return runs / "first"
