"""Logs from CloudWatch: every host's lines, each once, in order; and the command that shows them."""

import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backends.errors import BackendError
from backends.runs import create_run
from backends.sagemaker.account import Account
from backends.sagemaker.logs import TRAINING, Log, find_log, follow_log, log_of
from deploy import app
from tests.cloud.conftest import BUCKET, IMAGE, ROLE
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.trainings import EPOCHS, leave, trained

RUNNER = CliRunner()
SETTINGS = [
    each
    for option in (f"sagemaker.role={ROLE}", f"sagemaker.bucket={BUCKET}", f"sagemaker.image={IMAGE}")
    for each in ("-o", option)
]


def write(cloud: Simulator, stream: str, *lines: tuple[int, str], group: str = TRAINING) -> None:
    """Lines at so many seconds after some beginning."""
    logs: Any = cloud.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        logs.create_log_group(logGroupName=group)
    if not logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    # CloudWatch takes no events of other days.
    begin = 1000 * (int(time.time()) - 2000)
    logs.put_log_events(
        logGroupName=group, logStreamName=stream,
        logEvents=[{"timestamp": begin + 1000 * second, "message": text} for second, text in lines],
    )  # fmt: skip


def test_lines_come_once(account: Account, cloud: Simulator) -> None:
    log = Log(account, TRAINING, "job/")
    assert log.new_lines() == []
    write(cloud, "job/algo-1-1796000000", (1, "a"), (2, "b\n"))
    assert log.new_lines() == ["a", "b"]
    assert log.new_lines() == []
    write(cloud, "job/algo-1-1796000000", (3, "c"))
    assert log.new_lines() == ["c"]


def test_hosts_are_told_apart_and_in_order(account: Account, cloud: Simulator) -> None:
    write(cloud, "job/algo-1-1796000000", (1, "one"), (4, "four"))
    write(cloud, "job/algo-2-1796000001", (2, "two"), (3, "three"))
    # Another job, whose name begins alike.
    write(cloud, "job-2/algo-1-1796000002", (1, "not ours"))
    assert Log(account, TRAINING, "job/").new_lines() == [
        "algo-1: one", "algo-2: two", "algo-2: three", "algo-1: four",
    ]  # fmt: skip


def test_a_host_that_was_interrupted_is_the_same_host(account: Account, cloud: Simulator) -> None:
    write(cloud, "job/algo-1-1796000000", (1, "before"))
    write(cloud, "job/algo-1-1796000999", (999, "after"))
    assert Log(account, TRAINING, "job/").new_lines() == ["before", "after"]


def test_more_than_a_page(account: Account, cloud: Simulator) -> None:
    lines = [(number, f"line {number}") for number in range(120)]
    for first in range(0, 120, 40):
        write(cloud, "job/algo-1-1796000000", *lines[first : first + 40])
    for number in range(60):
        write(cloud, f"job/algo-{number + 2}-1796000000", (number, "x"))
    found = Log(account, TRAINING, "job/").new_lines()
    assert len(found) == 180
    assert [each for each in found if each.startswith("algo-1: ")] == [f"algo-1: {text}" for _, text in lines]


def test_a_log_that_may_not_be_read(account: Account, cloud: Simulator) -> None:
    write(cloud, "job/algo-1-1796000000", (1, "a"))
    cloud.fail("GetLogEvents", "AccessDeniedException", "User: me is not authorized to perform: logs:GetLogEvents")
    with pytest.raises(BackendError, match=r"^reading the log: me may not do logs:GetLogEvents"):
        Log(account, TRAINING, "job/").new_lines()


def test_which_log_a_run_has(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    write(cloud, "job/algo-1-1796000000", (1, "job's"))
    write(cloud, "search-001-1a2b3c4d/algo-1-1796000000", (1, "trial's"))
    write(cloud, "AllTraffic/i-0123456789abcdef0", (1, "server's"), group="/aws/sagemaker/Endpoints/kennel-dogs")
    for number, (key, value, line) in enumerate((
        ("job", "job", "job's"), ("tuning_job", "search", "trial's"), ("endpoint", "kennel-dogs", "server's"),
    )):  # fmt: skip
        run = create_run(tmp_path, "training", f"r{number}", backend="sagemaker", sagemaker={key: value})
        log, named = log_of(account, run), find_log(account, value)
        assert log is not None
        assert named is not None
        assert log.new_lines() == named.new_lines() == [line]
    assert log_of(account, create_run(tmp_path, "training", "none", backend="sagemaker")) is None
    assert find_log(account, "nothing") is None


def test_following_until_the_end_and_a_moment_longer(account: Account, cloud: Simulator) -> None:
    write(cloud, "job/algo-1-1796000000", (1, "a"))
    said: list[str] = []
    asked: list[int] = []

    def goes_on() -> bool:
        asked.append(len(said))
        write(cloud, "job/algo-1-1796000000", (1 + len(asked), f"line {len(asked)}"))
        return len(asked) < 3

    def say(line: str) -> None:
        said.append(line)
        if line == "line 3":
            write(cloud, "job/algo-1-1796000000", (9, "last words"))

    follow_log(Log(account, TRAINING, "job/"), goes_on, say)
    assert said == ["a", "line 1", "line 2", "line 3", "last words"]


def test_the_command(account: Account, prepared: Prepared, tmp_path: Path) -> None:
    leave(prepared, tmp_path / "left")
    run = trained(account, tmp_path)
    runs = ["--runs", str(tmp_path / "runs"), *SETTINGS]
    for name in ("first", run.record["sagemaker"]["job"]):
        for more in ([], ["--follow"]):
            shown = RUNNER.invoke(app, ["logs", name, *more, *runs])
            assert (shown.exit_code, shown.stdout.splitlines()) == (0, list(EPOCHS))
    # Also without its run folder.
    shown = RUNNER.invoke(app, ["logs", run.record["sagemaker"]["job"], "--runs", str(tmp_path / "none"), *SETTINGS])
    assert (shown.exit_code, shown.stdout.splitlines()) == (0, list(EPOCHS))
    shown = RUNNER.invoke(app, ["logs", "nobody", *runs])
    assert shown.exit_code == 2
    assert shown.stderr == (
        f"error: there is no log of nobody in eu-west-1 and no run of that name in {tmp_path / 'runs'}; a job has none "
        "before its container starts\n"
    )


def test_the_command_for_a_run_of_this_machine(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "training", "here", backend="local")
    run.log.write_text("one\ntwo")
    run.finish("completed")
    for more in ([], ["--follow"]):
        shown = RUNNER.invoke(app, ["logs", "here", *more, "--runs", str(tmp_path / "runs")])
        assert (shown.exit_code, shown.stdout) == (0, "one\ntwo\n")
    run.log.unlink()
    shown = RUNNER.invoke(app, ["logs", "here", "--runs", str(tmp_path / "runs")])
    assert (shown.exit_code, shown.stderr) == (2, f"error: there is no log {run.log} yet\n")
