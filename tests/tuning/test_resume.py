"""A search that is killed, and goes on: no finished trial is lost or repeated, and all are as if nothing had been."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ConfigError
from tests.train.support import REPOSITORY
from tests.tuning.searches import changed, outcome, search_all, settings
from tuning.study import Search


@contextmanager
def searching(file: Path, halt: str, given: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """A process that searches until the report `halt`, at which it stays."""
    words = [f"{name}={value}" for name, value in given.items()]
    command = [sys.executable, "-W", "error", "-m", "tests.tuning.searches", str(file), halt, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def trials_until_halt(process: subprocess.Popen[str]) -> list[int]:
    """The numbers in the lines of finished trials, until the process says that it has halted, or ended."""
    assert process.stdout is not None
    numbers = []
    for line in process.stdout:
        if line.split()[0] in ("halted", "ended"):
            break
        numbers.append(int(line.split()[1]))
    return numbers


@pytest.mark.parametrize(
    "given",
    [
        {"tune_pruner": "median", "tune_sampler": "tpe"},
        {"tune_pruner": "hyperband", "tune_sampler": "tpe", "tune_objective": "train_loss"},
        {"tune_pruner": "none", "tune_sampler": "random", "tune_objective": "validation_accuracy,latency_ms"},
    ],
    ids=["median", "hyperband", "several"],
)
def test_killed_twice_it_finds_what_it_finds_undisturbed(tmp_path: Path, given: dict[str, Any]) -> None:
    given = {**given, "tune_space": "lr=0.001:0.1:log; batch_size=16,32; epochs=2:5", "tune_trials": 16, "epochs": 4}
    undisturbed = Search(tmp_path / "undisturbed.log", settings(**given))
    search_all(undisturbed)
    expected = outcome(undisturbed)

    file = tmp_path / "study.log"
    finished = []
    # The first trial that runs for two epochs or more from there on.
    first, second = (
        next(each["number"] for each in expected if each["number"] >= least and len(each["epochs"]) > 1)
        for least in (3, 12)
    )
    for halt in (f"{first}:1", f"{second}:2"):
        with searching(file, halt, given) as process:
            finished += trials_until_halt(process)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    assert finished == list(range(1, second))

    search = Search(file, settings(**given))
    assert search.interrupted == 2
    assert [each.number for each in search.finished] == finished
    assert search_all(search) == list(range(second, 17))
    assert outcome(search) == expected


def test_another_process_is_kept_off_until_it_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "study.log"
    given = {"tune_trials": 8, "epochs": 4}
    with searching(file, "2:1", given) as process:
        assert trials_until_halt(process) == [1]
        with pytest.raises(ConfigError) as refused:
            Search(file, settings(**given))
        assert str(refused.value) == (
            f"{file}: another process is at this search; wait until it has ended, or give the search another name"
        )
        process.kill()
        process.wait()
        assert [each.number for each in Search(file, settings(**given)).finished] == [1]


def test_cut_off_anywhere_it_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    given = settings(tune_trials=6, tune_pruner="hyperband")
    search = Search(tmp_path / "whole.log", given)
    search_all(search)
    expected = outcome(search)
    whole = (tmp_path / "whole.log").read_bytes()
    ends = [at for at, byte in enumerate(whole, start=1) if byte == ord("\n")]
    assert len(ends) > 40
    # Within every line, which is dropped then; before and within the first one; and at two lines' ends.
    cuts = [*(end - 20 for end in ends), 0, 5, ends[0], ends[30]]
    for cut in cuts:
        file = tmp_path / f"{cut}.log"
        file.write_bytes(whole[:cut])
        search = Search(file, given, lambda _: None)
        done = len(search.finished)
        assert search_all(search) == list(range(done + 1, 7))
        assert outcome(search) == expected
        search.close()


def test_interrupted_trials_keep_number_and_values_though_others_were_finished(tmp_path: Path) -> None:
    given = settings(tune_trials=6, tune_parallel=3)
    search = Search(tmp_path / "study.log", given)
    asked = [search.ask() for _ in range(3)]
    assert asked[1] is not None
    search.complete(asked[1].number, {"validation_accuracy": 0.5}, 1.0)
    search.close()
    search = Search(tmp_path / "study.log", given)
    assert search.interrupted == 2
    assert [each["number"] for each in search.document("stopped")["trials"]] == [2]
    again = [search.ask() for _ in range(3)]
    assert again[:2] == [asked[0], asked[2]]
    assert again[2] is not None
    assert again[2].number == 4
    search.close()
    # Interrupted once more, and three at a time now ends with the sixth.
    search = Search(tmp_path / "study.log", given)
    assert search.interrupted == 5
    assert search_all(search) == [1, 3, 4, 5, 6]
    assert [each.number for each in search.finished] == [1, 2, 3, 4, 5, 6]


def test_a_trial_given_back_is_asked_for_again(tmp_path: Path) -> None:
    search = Search(tmp_path / "study.log", settings(tune_trials=3, tune_parallel=2))
    first, second = search.ask(), search.ask()
    assert first is not None
    assert second is not None
    search.report(first.number, 1, {"validation_accuracy": 0.1})
    search.interrupt(first.number)
    assert search.ask() == first
    assert search.interrupted == 1
    search.complete(first.number, {"validation_accuracy": 0.5}, 1.0)
    search.complete(second.number, {"validation_accuracy": 0.6}, 1.0)
    assert search_all(search) == [3]
    assert [each["epochs"] for each in outcome(search)[:2]] == [[], []]


def test_more_trials_go_on_and_fewer_end_at_once(tmp_path: Path) -> None:
    given = settings(tune_trials=4)
    search = Search(tmp_path / "study.log", given)
    search_all(search)
    four = outcome(search)
    search.close()
    search = Search(tmp_path / "study.log", changed(given, trials=6, parallel=2, minutes=60))
    assert search_all(search) == [5, 6]
    assert outcome(search)[:4] == four
    search.close()
    search = Search(tmp_path / "study.log", changed(given, trials=2))
    assert search.ask() is None
    assert len(search.finished) == 6
