"""Waiting for a job of the account: its end, failures that pass, and cancellation. No account is needed."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from backends.cancel import CancelOnSignals, CancelToken, cancel_on_signals
from backends.errors import BackendError, StillRunning
from backends.sagemaker.jobs import polling
from backends.sagemaker.jobs.polling import Answer, AwsJob, pause, poll, poll_seconds, wait_for_job


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENNEL_POLL_S", "0")


class Described:
    """A job that answers one thing after the other; an exception is raised."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers: Iterator[str | Exception] = iter(answers)
        self.stops = 0
        self.refusal: Exception | None = None

    def describe(self) -> Answer:
        found = next(self._answers)
        if isinstance(found, Exception):
            raise found
        return {"status": found}

    def stop(self) -> None:
        self.stops += 1
        if self.refusal:
            raise self.refusal

    @property
    def job(self) -> AwsJob:
        return AwsJob("job j", "first", self.describe, lambda each: each["status"] == "done", self.stop, "costs money")


class CancelAfter(CancelToken):
    """Made when it has heard so many answers."""

    def __init__(self, *at: int) -> None:
        super().__init__()
        self.at, self.heard = at, 0

    def each(self, _answer: Answer) -> None:
        self.heard += 1
        for _ in range(self.at.count(self.heard)):
            self.request()


def test_to_its_end() -> None:
    heard: list[Any] = []
    assert wait_for_job(Described("a", "b", "done").job, CancelToken(), heard.append) == {"status": "done"}
    assert [each["status"] for each in heard] == ["a", "b", "done"]


def test_failures_that_pass(capsys: pytest.CaptureFixture[str]) -> None:
    job = Described("a", BackendError("no network"), BackendError("no network"), "b", BackendError("again"), "done")
    assert wait_for_job(job.job, CancelToken(), lambda _: None) == {"status": "done"}
    assert capsys.readouterr().out == "no network; asking again\nagain; asking again\n"


def test_failures_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "_PATIENCE", 3)
    job = Described("a", *(BackendError("the token has expired") for _ in range(4)))
    with pytest.raises(StillRunning) as told:
        wait_for_job(job.job, CancelToken(), lambda _: None)
    assert str(told.value) == (
        "the token has expired; job j goes on and costs money; follow it with: python deploy.py attach first, end it "
        "with: python deploy.py delete first"
    )


def test_what_was_never_there_is_no_job_that_goes_on() -> None:
    with pytest.raises(BackendError, match="no such job") as told:
        wait_for_job(Described(BackendError("no such job")).job, CancelToken(), lambda _: None)
    assert not isinstance(told.value, StillRunning)


def test_a_wish_stops_it_once_and_its_end_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    job, cancel = Described("a", "b", "c", "done"), CancelAfter(2)
    assert wait_for_job(job.job, cancel, cancel.each) == {"status": "done"}
    assert (job.stops, cancel.heard) == (1, 4)
    assert capsys.readouterr().out == "job j is asked to stop; Ctrl-C once more leaves it alone\n"


def test_a_second_wish_leaves_it() -> None:
    job, cancel = Described("a", "b", "c"), CancelAfter(2, 3)
    with pytest.raises(StillRunning, match=r"^it was asked to stop and hasn't yet; job j goes on"):
        wait_for_job(job.job, cancel, cancel.each)
    assert job.stops == 1


def test_two_wishes_at_once_leave_it_untouched() -> None:
    job, cancel = Described("a"), CancelAfter(1, 1)
    with pytest.raises(StillRunning, match=r"^left alone; job j goes on"):
        wait_for_job(job.job, cancel, cancel.each)
    assert job.stops == 0


def test_one_that_cannot_be_stopped_goes_on() -> None:
    job, cancel = Described("a", "a"), CancelAfter(1)
    job.refusal = BackendError("you may not do sagemaker:StopTrainingJob")
    with pytest.raises(StillRunning, match=r"^you may not do sagemaker:StopTrainingJob; job j goes on"):
        wait_for_job(job.job, cancel, cancel.each)


def test_one_that_had_just_ended_needs_no_stop() -> None:
    job, cancel = Described("a", "done", "done"), CancelAfter(1)
    job.refusal = BackendError("it has ended")
    assert wait_for_job(job.job, cancel, cancel.each) == {"status": "done"}


def test_a_wish_ends_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENNEL_POLL_S", "60")
    cancel, naps = CancelToken(), []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        cancel.request()

    monkeypatch.setattr(time, "sleep", nap)
    pause(cancel)
    assert len(naps) == 1
    # That it was made before ends no pause; that it is made again does.
    pause(cancel)
    assert len(naps) == 2


@pytest.mark.parametrize("given", ["", "0", "2.5", "600"])
def test_the_time_between_questions(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("KENNEL_POLL_S", given)
    assert poll_seconds() == float(given or 5)


@pytest.mark.parametrize("given", ["soon", "-1", "601", "nan"])
def test_a_time_that_is_none(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("KENNEL_POLL_S", given)
    with pytest.raises(BackendError, match=rf"^KENNEL_POLL_S must be a number of seconds from 0 to 600, got '{given}'"):
        poll_seconds()


def test_whose_wish_is_heard() -> None:
    given = CancelToken()
    with cancel_on_signals(given) as cancel:
        assert cancel is given
    with cancel_on_signals(None) as own:
        assert isinstance(own, CancelOnSignals)


def test_a_wish_made_twice() -> None:
    above = CancelToken()
    below, seen = CancelToken(above), []
    for _ in range(2):
        above.request()
        seen.append((below.requested, below.forced, below.own))
    assert seen == [(True, False, False), (True, True, False)]


def test_questions_begin_at_once() -> None:
    found = poll(Described("a", "b").describe)
    assert [next(found), next(found)] == [{"status": "a"}, {"status": "b"}]
