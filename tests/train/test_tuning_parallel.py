"""A search in several worker processes of one host, by real `python -m train` processes."""

import os
import re
import signal
from pathlib import Path

import pytest
import torch

from contract.hyperparameters import Hyperparameters
from contract.job import Job
from contract.metrics import METRICS, metric_regex
from contract.paths import MLPaths
from model.artifact import Artifact
from tests.train.leaders import Notes
from tests.train.support import Finished
from tests.train.test_tuning_workers import PLAIN, alive, until
from tests.train.tuning_jobs import Followed, prepare, trials_of, tuning
from train.data.dataset import DataSet
from train.search.parallel import Work, leading
from train.search.workers import Slot


class TestTwoWorkers:
    """One search of six trials, two at a time."""

    job: Finished

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def searched(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        root = prepare(tmp_path_factory.mktemp("two"), tune_trials="6", tune_parallel="2", tune_pruner="none")
        job = Followed(root)
        assert sorted(job.workers()) == [1, 2]
        cls.job = job.finish()

    def test_every_trial_was_run_once(self) -> None:
        assert self.job.code == 0, self.job.err
        document = tuning(self.job)
        assert document["state"] == "completed"
        assert document["parallel"] == 2
        assert [(each["number"], each["state"]) for each in document["trials"]] == [
            (number, "completed") for number in range(1, 7)
        ]

    def test_both_workers_had_trials(self) -> None:
        had = [trials_of(self.job, worker) for worker in (1, 2)]
        assert sum(had) == 6
        assert min(had) >= 1

    def test_the_winner_is_trained_and_its_numbers_are_the_trials(self) -> None:
        document = tuning(self.job)
        best = document["trials"][document["best"] - 1]
        assert document["winner"]["trained"] is True
        assert document["winner"]["reproduced"] is True
        artifact = Artifact.load(self.job.model)
        for name in ("validation_loss", "validation_accuracy", "train_loss"):
            assert artifact.metrics[name] == pytest.approx(best["metrics"][name], abs=1e-6)
        assert artifact.provenance["completed"] is True
        # As many threads as a trial had: one, as these processes have one core.
        assert re.search(r"^training resnet18 .* on cpu, 1 threads$", self.job.out, re.MULTILINE)

    def test_features_were_computed_by_one(self) -> None:
        # One view of each, for two workers and the training: computed once, found twice.
        for role in ("train", "valid"):
            found = re.findall(rf"features of {role} images: (\d) of 1 views found in (\S+)", self.job.out)
            assert [count for count, _ in found] == ["1", "1"]
            # The folder was for this job alone.
            assert not any(Path(folder).exists() for _, folder in found)

    def test_metric_lines_are_the_trainings_alone(self) -> None:
        epochs = len(self.job.metrics)
        for name in METRICS[:6]:
            assert len(re.findall(metric_regex(name), self.job.out)) == epochs

    def test_nobody_listens_for_other_hosts(self) -> None:
        assert "other hosts" not in self.job.out
        assert "Traceback" not in self.job.err


@pytest.mark.long
def test_a_worker_that_is_killed_costs_one_trial_at_most(tmp_path: Path) -> None:
    job = Followed(prepare(tmp_path, tune_trials="4", tune_parallel="2", tune_pruner="none", epochs="5"))
    os.kill(job.workers()[2], signal.SIGKILL)
    done = job.finish()
    assert done.code == 0, done.err
    document = tuning(done)
    states = [each["state"] for each in document["trials"]]
    assert len(states) == 4
    assert states.count("failed") <= 1
    assert states.count("completed") == 4 - states.count("failed")
    why = "worker process 2 was killed by signal 9 (Killed); if the machine was out of memory, lower tune_parallel"
    assert f"search: {why}\n" in done.out
    assert {each["reason"] for each in document["trials"] if each["state"] == "failed"} <= {why}
    assert trials_of(done, 1) >= 3


@pytest.mark.long
def test_when_all_are_killed_the_job_ends_with_one_sentence(tmp_path: Path) -> None:
    job = Followed(prepare(tmp_path, tune_trials="6", tune_parallel="2", epochs="10000"))
    for pid in job.workers().values():
        os.kill(pid, signal.SIGKILL)
    done = job.finish()
    cause = done.fails_for_user("no worker process is left, and the search is not over: worker process ")
    assert "was killed by signal 9 (Killed); if the machine was out of memory, lower tune_parallel" in cause
    assert tuning(done)["state"] == "stopped"


@pytest.mark.long
def test_sigterm_leaves_no_worker_behind(tmp_path: Path) -> None:
    job = Followed(prepare(tmp_path, tune_trials="6", tune_parallel="2", epochs="10000"))
    pids = list(job.workers().values())
    job.process.send_signal(signal.SIGTERM)
    done = job.finish()
    assert done.code == 143
    assert not any(alive(pid) for pid in pids)
    assert "Traceback" not in done.err
    assert done.cause.startswith("Stopped: SIGTERM came before training had ended")
    assert tuning(done)["state"] == "stopped"


def test_one_worker_on_one_host_needs_none_of_it(tmp_path: Path) -> None:
    # A port that is none would be refused by whoever looks at it.
    done = Followed(prepare(tmp_path, tune_trials="2"), {"KENNEL_TUNING_PORT": "none"}).finish()
    assert done.code == 0, done.err
    assert len(tuning(done)["trials"]) == 2
    assert tuning(done)["parallel"] == 1
    assert "worker process" not in done.out


class Doomed(Work):
    """Worker 2 dies in its first trial; the other one's are done at once."""

    def __call__(self, crew: str, number: int, slot: Slot) -> None:
        client = self.client(crew, number)
        if number == 1:
            # Not before the other one has its trial.
            until((self.best / "has-one").exists)
        while trial := client.ask():
            if number == 2:
                (self.best / "has-one").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            client.complete(trial.number, {"validation_accuracy": 1.0}, 0.1)


def test_the_trial_of_a_worker_that_died_has_failed(tmp_path: Path) -> None:
    notes, job = Notes(4), Job(Hyperparameters(), {})
    work = Doomed(MLPaths(tmp_path), job.hyperparameters, DataSet((), {}), "cpu", 1, tmp_path)
    threads = torch.get_num_threads()
    try:
        with leading(job, (PLAIN, PLAIN), work, notes) as run_all:
            run_all()
    finally:
        torch.set_num_threads(threads)
    why = "worker process 2 was killed by signal 9 (Killed); if the machine was out of memory, lower tune_parallel"
    # The other one waited until it had the first.
    assert [call for call in notes.calls if call[0] == "fail"] == [("fail", 1, why, None)]
    assert sorted(call[1] for call in notes.calls if call[0] == "complete") == [2, 3, 4]
