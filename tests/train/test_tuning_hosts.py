"""One search on two hosts: two real `python -m train` processes, each with a tree of its own, as two hosts have."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from contract.errors import ConfigError
from contract.job import Job
from contract.paths import MLPaths
from model.artifact import Artifact
from tests.train.support import Finished, configure
from tests.train.tuning_jobs import Followed, prepare, trials_of, tuning
from tests.train.two_hosts import LEADER, OTHER, host, port_in
from train.data.dataset import DataSet, Sample, Split
from train.data.sources import FileSource
from train.job_config import read_job
from train.search import parallel
from train.search.client import LeaderError
from train.search.parallel import Work, follow
from train.search.remote import fingerprint
from train.search.workers import Slot


@pytest.fixture(scope="session")
def port() -> dict[str, str]:
    return port_in("KENNEL_TUNING_PORT")


class TestTwoHosts:
    """The other host comes first, and waits for the leader; the leader's worker waits until the other's had a trial."""

    leader: Finished
    other: Finished

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def searched(cls, tmp_path_factory: pytest.TempPathFactory, port: dict[str, str]) -> None:
        # Trials of a second: quicker ones would be over before the slower of the two workers has begun.
        wanted = {"tune_trials": "6", "tune_pruner": "none", "epochs": "400"}
        with (
            Followed(prepare(tmp_path_factory.mktemp("other"), host(OTHER), **wanted), port) as other,
            Followed(prepare(tmp_path_factory.mktemp("leader"), host(LEADER), **wanted), port) as leader,
        ):
            first = other.hold_worker()
            second = leader.hold_worker()
            os.kill(first, signal.SIGCONT)
            leader.until("^trial . of 6: ")
            os.kill(second, signal.SIGCONT)
            cls.leader, cls.other = leader.finish(), other.finish()

    def test_each_had_its_share_of_the_trials(self) -> None:
        assert (self.leader.code, self.other.code) == (0, 0), self.leader.err + self.other.err
        document = tuning(self.leader)
        assert [each["state"] for each in document["trials"]] == ["completed"] * 6
        assert document["parallel"] == 2
        had = [trials_of(self.leader, 1), trials_of(self.other, 1)]
        assert sum(had) == 6
        assert min(had) >= 1

    def test_the_leader_has_the_model(self) -> None:
        assert Artifact.load(self.leader.model).provenance["completed"] is True
        assert tuning(self.leader)["winner"]["reproduced"] is True
        assert f"other hosts that take part: {OTHER}\n" in self.leader.out

    def test_the_other_leaves_no_model_and_no_failure(self) -> None:
        assert not self.other.model.exists()
        assert not (self.other.root / "output" / "failure").exists()
        assert not (self.other.root / "checkpoints").exists()
        left = {file.name for file in (self.other.root / "output" / "data").iterdir()}
        assert left == {"data.json"}
        assert f"search: {LEADER} leads it; worker processes here: 1\n" in self.other.out
        assert self.other.out.endswith(
            "search: no further trial for this host, which waits for the leader's training\n"
        )
        assert "epoch=" not in self.other.out
        assert self.other.err == ""


@pytest.mark.long
def test_a_host_of_another_search_is_refused_and_the_leader_goes_on(tmp_path: Path, port: dict[str, str]) -> None:
    wanted = {"tune_trials": "3", "tune_pruner": "none", "epochs": "400"}
    with Followed(prepare(tmp_path / "leader", host(LEADER), **wanted), port) as leader:
        pid = leader.hold_worker()
        other = Followed(prepare(tmp_path / "other", host(OTHER), **wanted, lr_schedule="constant"), port).finish()
        os.kill(pid, signal.SIGCONT)
        done = leader.finish()
    cause = other.fails_for_user(f"the search's leader {LEADER} refuses: this host's hyperparameters or images are not")
    assert "give all hosts the same configuration and each of them all the data" in cause
    assert done.code == 0, done.err
    assert f"search: {OTHER} takes no part: its hyperparameters or images are others\n" in done.out
    assert Artifact.load(done.model).provenance["completed"] is True


def test_when_the_leader_vanishes_the_other_host_ends_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: dict[str, str]
) -> None:
    monkeypatch.setattr(parallel, "LEADER_WAIT_S", 0.3)
    monkeypatch.setenv(*next(iter(port.items())))
    configure(tmp_path, {"tune_trials": "3"}, host(OTHER))
    job = read_job(MLPaths(tmp_path))
    work = Work(MLPaths(tmp_path), job.hyperparameters, DataSet((), {}), "cpu", 1, tmp_path / "best")
    with pytest.raises(LeaderError, match=r"the search's leader 127.0.0.1:\d+ can't be reached \(.*tried for 0.3 s"):
        follow(job, (Slot({}, 1),), work)


def hosts_of(root: Path, resources: object, **hyperparameters: str) -> Job:
    configure(root, hyperparameters, {"resourceconfig": resources})
    return read_job(MLPaths(root))


def test_the_first_of_the_sorted_names_leads(tmp_path: Path) -> None:
    names = ["algo-2", "algo-10", "algo-1"]
    for name, leads in (("algo-1", True), ("algo-10", False), ("algo-2", False)):
        job = hosts_of(tmp_path / name, {"hosts": names, "current_host": name}, tune_trials="2")
        assert job.hosts == ("algo-1", "algo-10", "algo-2")
        assert job.current_host == name
        assert job.is_rank0 is leads


@pytest.mark.parametrize("resources", [{}, {"hosts": ["algo-1"], "current_host": "algo-1"}, {"hosts": []}])
def test_one_host_leads_itself(tmp_path: Path, resources: dict[str, object]) -> None:
    job = hosts_of(tmp_path, resources, tune_trials="2")
    assert len(job.hosts) == 1
    assert job.is_rank0


@pytest.mark.parametrize(
    ("resources", "trials", "words"),
    [
        ({"hosts": ["a", "b"], "current_host": "c"}, "0", "current_host must be one of a, b, got \"c\""),
        ({"hosts": ["a", "b"], "current_host": "c"}, "2", "current_host must be one of a, b, got \"c\""),
        ({"hosts": ["a", "b"]}, "2", "current_host must be one of a, b, got null"),
        ({"hosts": ["a", "b"], "current_host": ["a"]}, "2", "current_host must be one of a, b, got [\"a\"]"),
        ({"hosts": ["a", "a"], "current_host": "a"}, "2", "hosts must be different names, got [\"a\", \"a\"]"),
        ({"hosts": ["a", 2], "current_host": "a"}, "2", "hosts must be different names, got [\"a\", 2]"),
        ({"hosts": ["a", {}], "current_host": "a"}, "2", "hosts must be different names, got [\"a\", {}]"),
    ],
)  # fmt: skip
def test_hosts_that_cannot_be(tmp_path: Path, resources: object, trials: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        hosts_of(tmp_path, resources, tune_trials=trials)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_search_is_told_by_hyperparameters_classes_and_images(tmp_path: Path) -> None:
    def of(name: str = "pug/1.jpg", label: int = 0, classes: tuple[str, ...] = ("pug",), **chosen: str) -> str:
        samples = (Sample(FileSource(Path(json.dumps(chosen))), label, name),)
        job = hosts_of(tmp_path, {}, **chosen)
        return fingerprint(job.hyperparameters, DataSet(classes, {"train": Split("train", samples)}))

    start = time.monotonic_ns()
    prints = [
        of(), of(name="pug/2.jpg"), of(label=1), of(classes=("dog",)), of(lr="0.5"), of(seed=str(start % 1000 + 1)),
        # Not UTF-8, as file names may be.
        of(name="pug/\udcff.jpg"),
    ]  # fmt: skip
    assert len(set(prints)) == 7
    assert of() == prints[0]
