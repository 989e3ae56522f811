"""The same seed gives the same weights: in every process that trains, on several cores, however busy they are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import train.job
import train.search.parallel
from contract.hyperparameters import Hyperparameters
from contract.job import Job
from contract.paths import MLPaths
from tests import forked
from tests.train.support import QUICK, REPOSITORY, configure, make_classes
from train.data.dataset import DataSet
from train.search.parallel import Work
from train.search.workers import Slot

TRAININGS = 30  # quiet ones, and as many beside a busy program


class Settled(Exception):
    """What stands in for `use_threads` was called."""


def settle(count: int) -> None:
    raise Settled(count)


@pytest.mark.parametrize("host", ["algo-1", "algo-2"])
@pytest.mark.parametrize("trials", ["0", "2"])
def test_every_host_settles_its_arithmetic_before_all_else(
    host: str, trials: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.job, "use_threads", settle)
    chosen = Hyperparameters.parse({"device": "cpu", "pretrained": "none", "tune_trials": trials})
    job = Job(chosen, {"training": tmp_path}, hosts=("algo-1", "algo-2"), current_host=host)
    with pytest.raises(Settled):
        train.job.run_job(MLPaths(tmp_path), job)


def test_a_worker_of_a_search_does_so_with_its_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train.search.parallel, "use_threads", settle)
    work = Work(MLPaths(tmp_path), Hyperparameters(), DataSet((), {}), "cpu", 1, tmp_path / "best")
    with pytest.raises(Settled, match="3"):
        work("crew", 1, Slot({}, 3))


def test_nobody_sets_the_threads_past_the_function_that_settles_it() -> None:
    files = [file for part in ("model", "serve", "train") for file in (REPOSITORY / part).rglob("*.py")]
    setting = [str(each.relative_to(REPOSITORY)) for each in files if "set_num_threads(" in each.read_text()]
    assert setting == [str(Path("model", "threads.py"))]


@pytest.fixture
def busy() -> Iterator[None]:
    program = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        program.kill()
        program.wait()


def weights(photos: Path, root: Path) -> bytes:
    """What `python -m train` leaves; on all cores, unlike other tests' trainings: one thread is always as the other."""
    # A head of that size is what the threads share first: of 3 classes alone a single thread would do.
    configure(root, {**QUICK, "head": "mlp"})
    (root / "input" / "data").mkdir()
    (root / "input" / "data" / "training").symlink_to(photos)
    environ = {**os.environ, "KENNEL_ML_ROOT": str(root)}
    command = [sys.executable, "-m", "train"]
    done = forked.run(command, cwd=REPOSITORY, env=environ, text=True)
    assert done.returncode == 0, done.stderr
    return (root / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    make_classes(folder, 5)
    return folder


@pytest.fixture(scope="module")
def once(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return weights(photos, tmp_path_factory.mktemp("once"))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_quiet_trainings_end_with_the_same_weights(photos: Path, once: bytes, tmp_path: Path) -> None:
    assert {weights(photos, tmp_path / str(number)) for number in range(TRAININGS)} == {once}


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("busy")
def test_so_do_trainings_beside_a_busy_program(photos: Path, once: bytes, tmp_path: Path) -> None:
    assert {weights(photos, tmp_path / str(number)) for number in range(TRAININGS)} == {once}
