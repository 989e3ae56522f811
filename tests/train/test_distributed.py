"""One training on two hosts: two real `python -m train` processes, each with a tree of its own, as two hosts have."""

import json
import shutil
import signal
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from contract.errors import ConfigError, DataError
from contract.paths import MLPaths
from model.artifact import Artifact
from tests.train.support import QUICK, Finished, configure, make_classes
from tests.train.tuning_jobs import Followed
from tests.train.two_hosts import LEADER, OTHER, host, port_in
from train import distributed
from train.data.dataset import DataSet, Sample, Split
from train.data.sources import FileSource
from train.distributed import HostLostError, join_hosts
from train.job import check_enough_images
from train.job_config import read_job

LOST = "another host of this training has ended or can't be reached (here is "


@pytest.fixture(scope="session")
def port() -> dict[str, str]:
    return port_in("KENNEL_TRAINING_PORT")


class Pair:
    """The leader and the other host of a job, on trees with the same photos."""

    def __init__(self, folder: Path, port: dict[str, str], **hyperparameters: str) -> None:
        self.trees = [folder / name for name in ("leader", "other")]
        self._port, self._chosen = port, {**QUICK, **hyperparameters}
        for tree in self.trees:
            make_classes(tree / "input" / "data" / "train", 8)
            make_classes(tree / "input" / "data" / "validation", 3, seed=100)

    def begin(self) -> tuple[Followed, Followed]:
        """The other host comes first, and waits for the leader."""
        for tree, name in zip(self.trees, (LEADER, OTHER), strict=True):
            configure(tree, self._chosen, host(name))
        other, leader = (Followed(tree, self._port) for tree in reversed(self.trees))
        return leader, other

    def run(self) -> tuple[Finished, Finished]:
        leader, other = self.begin()
        return leader.finish(), other.finish()


def alone(root: Path, **hyperparameters: str) -> Finished:
    make_classes(root / "input" / "data" / "train", 8)
    make_classes(root / "input" / "data" / "validation", 3, seed=100)
    configure(root, {**QUICK, **hyperparameters})
    return Followed(root).finish()


def left_by(job: Finished) -> set[str]:
    """Files below model/ and output/, but those that every run has of its progress."""
    files = {str(file.relative_to(job.root)) for name in ("model", "output") for file in (job.root / name).rglob("*")}
    return {name for name in files if (job.root / name).is_file()} - {"output/progress.json"}


# A mean over images, over their classes' weights, and over mixed targets; the last batch has 4 of the 24 images.
MEANS = {
    "plain": {"grad_clip": "0.5", "label_smoothing": "0.1", "batch_size": "20"},
    "weights": {"class_balance": "weights", "optimizer": "sgd", "lr": "0.01"},
    "draws": {"class_balance": "sampling", "ema_decay": "0.9", "feature_views": "2", "batch_size": "5"},
}


@pytest.mark.parametrize(
    "kind", ["plain", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("weights", "draws"))]
)
def test_two_hosts_train_what_one_does(kind: str, tmp_path: Path, port: dict[str, str]) -> None:
    chosen = {"freeze": "backbone", "epochs": "4", **MEANS[kind]}
    leader, other = Pair(tmp_path, port, **chosen).run()
    assert (leader.code, other.code) == (0, 0), leader.err + other.err
    single = alone(tmp_path / "single", **chosen)
    assert single.code == 0, single.err
    # Without BatchNorm in what is trained only the order of sums differs.
    assert len(single.metrics) == len(leader.metrics) == 4
    for row, same in zip(single.metrics, leader.metrics, strict=True):
        assert {**same, "epoch_seconds": 0} == pytest.approx({**row, "epoch_seconds": 0}, abs=2e-6)
    one, two = (load_file(job.model / "model.safetensors") for job in (single, leader))
    for name, values in one.items():
        torch.testing.assert_close(values, two[name], rtol=0, atol=1e-5)


@pytest.mark.long
class TestAWholeNetwork:
    leader: Finished
    other: Finished

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory, port: dict[str, str]) -> None:
        chosen = {
            "epochs": "3",
            "freeze": "gradual",
            "ema_decay": "0.9",
            "mixup": "0.2",
            "debug": "on",
            "profile": "on",
        }
        cls.leader, cls.other = Pair(tmp_path_factory.mktemp("pair"), port, **chosen).run()

    def test_the_leader_has_the_model(self) -> None:
        assert (self.leader.code, self.other.code) == (0, 0), self.leader.err + self.other.err
        provenance = Artifact.load(self.leader.model).provenance
        assert (provenance["completed"], provenance["hosts"]) == (True, 2)
        assert [row["epoch"] for row in self.leader.metrics[:3]] == [1, 2, 3]
        assert "on cpu, 1 threads on each of 2 hosts\n" in self.leader.out
        assert f"hosts: {LEADER}, {OTHER}; {LEADER} leads, this is {LEADER}\n" in self.leader.out

    def test_the_leader_has_the_reports(self) -> None:
        assert {"output/debugger-report.html", "output/profiler-report.html"} <= {
            name.replace("data/", "") for name in left_by(self.leader)
        }

    def test_the_other_leaves_nothing(self) -> None:
        assert left_by(self.other) == {"output/data/data.json"}
        assert self.other.out.endswith(f"hosts: nothing further for this one, which waits for {LEADER}\n")
        assert "epoch=" not in self.other.out
        assert self.other.err == ""


@pytest.mark.long
def test_both_end_early(tmp_path: Path, port: dict[str, str]) -> None:
    # Steps of nothing bring nothing better.
    chosen = {"freeze": "backbone", "epochs": "50", "patience": "2", "lr": "1e-12"}
    leader, other = Pair(tmp_path, port, **chosen).run()
    assert (leader.code, other.code) == (0, 0), leader.err + other.err
    assert "early stopping: no epoch was better than epoch 1\n" in leader.out
    assert len([row for row in leader.metrics if "epoch" in row]) == 3


@pytest.mark.parametrize("lost", ["the leader", pytest.param("the other", marks=pytest.mark.long)])
def test_a_host_that_vanishes_ends_the_other_with_one_sentence(lost: str, tmp_path: Path, port: dict[str, str]) -> None:
    pair = Pair(tmp_path, port, epochs="10000").begin()
    pair[0].until("^epoch=1;")
    gone, stays = pair if lost == "the leader" else reversed(pair)
    gone.process.kill()
    name = OTHER if lost == "the leader" else LEADER
    stays.finish().fails_for_user(f"{LOST}{name}, of {LEADER}, {OTHER}); its log says why")
    gone.finish()


@pytest.mark.long
def test_sigterm_ends_both_and_keeps_the_best_epoch(tmp_path: Path, port: dict[str, str]) -> None:
    leader, other = Pair(tmp_path, port, epochs="10000").begin()
    leader.until("^epoch=2;")
    for each in (other, leader):
        each.process.send_signal(signal.SIGTERM)
    ended = leader.finish(), other.finish()
    assert [each.code for each in ended] == [143, 143], ended
    assert Artifact.load(ended[0].model).provenance["completed"] is False
    assert all(each.cause.startswith("Stopped: SIGTERM came before training had ended") for each in ended)
    assert not (ended[1].model / "kennel.json").exists()


def test_a_rule_ends_both(tmp_path: Path, port: dict[str, str]) -> None:
    # Every gradient is below this.
    rules = "VanishingGradient:threshold=1e6:action=finish"
    leader, other = Pair(tmp_path, port, epochs="10000", debug="on", debug_interval="1", rules=rules).run()
    assert (leader.code, other.code) == (0, 0), leader.err + other.err
    assert "ends in epoch 1: rule VanishingGradient ended the training at step " in leader.out
    assert Artifact.load(leader.model).provenance["completed"] is True


@pytest.mark.long
def test_after_a_kill_both_go_on_as_if_there_had_been_none(tmp_path: Path, port: dict[str, str]) -> None:
    chosen = {"epochs": "5", "ema_decay": "0.9"}
    undisturbed, _ = Pair(tmp_path / "undisturbed", port, **chosen).run()
    pair = Pair(tmp_path / "killed", port, **chosen)
    # The other host has such a folder, too, and whatever is in it.
    for tree in pair.trees:
        (tree / "checkpoints").mkdir()
    leader, other = pair.begin()
    leader.until("^epoch=2;")
    for each in (leader, other):
        each.process.kill()
        each.finish()
    for tree in pair.trees:
        shutil.rmtree(tree / "model", ignore_errors=True)
        shutil.rmtree(tree / "output")
    resumed, lent = pair.run()
    assert (resumed.code, lent.code) == (0, 0), resumed.err + lent.err
    assert "checkpoint: training goes on after epoch " in resumed.out
    assert "checkpoint" not in lent.out
    assert list((pair.trees[1] / "checkpoints").iterdir()) == []
    weights = [(job.model / "model.safetensors").read_bytes() for job in (undisturbed, resumed)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("other", ["hyperparameters", "data"])
def test_hosts_that_differ_are_refused(other: str, tmp_path: Path, port: dict[str, str]) -> None:
    pair = Pair(tmp_path, port, freeze="backbone")
    if other == "data":
        # As if the channel were shared out among the hosts.
        (pair.trees[1] / "input" / "data" / "train" / "pug" / "00.jpg").unlink()
        ended = pair.run()
    else:
        configure(pair.trees[0], {**QUICK, "freeze": "backbone"}, host(LEADER))
        configure(pair.trees[1], {**QUICK, "freeze": "backbone", "lr": "0.5"}, host(OTHER))
        begun = [Followed(tree, port) for tree in pair.trees]
        ended = begun[0].finish(), begun[1].finish()
    for each in ended:
        each.fails_for_user(
            f"host {OTHER} has other {other} than {LEADER}; give all hosts the same configuration and each of them all "
            "the data (FullyReplicated)"
        )


def test_a_leader_that_never_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: dict[str, str]) -> None:
    monkeypatch.setattr(distributed, "JOIN_S", 0.3)
    monkeypatch.setenv(*next(iter(port.items())))
    configure(tmp_path, QUICK, host(OTHER))
    job = read_job(MLPaths(tmp_path))
    with pytest.raises(HostLostError) as told, join_hosts(job, torch.device("cpu")):
        pytest.fail("nobody is there")
    address = f"{LEADER}:{port['KENNEL_TRAINING_PORT']}"
    assert f"the leading host {address} can't be reached (Connection refused) and was tried for 0.005 min" in str(
        told.value
    )


def test_a_port_that_is_none_or_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: dict[str, str]) -> None:
    configure(tmp_path, QUICK, host(LEADER))
    job = read_job(MLPaths(tmp_path))
    monkeypatch.setenv("KENNEL_TRAINING_PORT", "many")
    with pytest.raises(ConfigError, match="KENNEL_TRAINING_PORT: must be a port from 1 to 65535, the same on all"):
        join_hosts(job, torch.device("cpu")).__enter__()
    number = int(port["KENNEL_TRAINING_PORT"])
    monkeypatch.setenv("KENNEL_TRAINING_PORT", str(number))
    with socket.create_server(("", number)), pytest.raises(HostLostError) as told:
        join_hosts(job, torch.device("cpu")).__enter__()
    assert f"the hosts {LEADER}, {OTHER} don't come together (" in str(told.value)
    assert "EADDRINUSE" in str(told.value)


def test_too_few_images(tmp_path: Path) -> None:
    for size in (1, 3):
        configure(tmp_path, {**QUICK, "freeze": "backbone", "batch_size": str(size)}, host(LEADER))
        with pytest.raises(ConfigError) as told:
            read_job(MLPaths(tmp_path))
        assert str(told.value).endswith(
            f"batch_size: {size} images are too few for 2 hosts, each of which needs 2 of a batch; raise it to 4 at "
            "least, or set the instance count to 1"
        )
    samples = tuple(Sample(FileSource(tmp_path / "a"), 0, f"a/{number}") for number in range(5))
    data = DataSet(("a",), {"train": Split("train", samples)})
    check_enough_images(data, 2)
    with pytest.raises(DataError, match="5 training images are too few for 3 hosts"):
        check_enough_images(data, 3)


def test_the_job_knows_its_network(tmp_path: Path) -> None:
    configure(tmp_path, QUICK, host(LEADER))
    assert read_job(MLPaths(tmp_path)).interface == "lo"
    assert json.loads((tmp_path / "input" / "config" / "resourceconfig.json").read_text())["hosts"] == [OTHER, LEADER]
