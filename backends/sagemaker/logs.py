"""What jobs and endpoints print, from CloudWatch Logs: every host's stream, new lines only.

The last lines that an endpoint's containers wrote, from CloudWatch Logs.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.errors import AwsError, none_if_missing, translate_aws_errors
from backends.sagemaker.jobs.polling import pause

TRAINING: Final = "/aws/sagemaker/TrainingJobs"
PROCESSING: Final = "/aws/sagemaker/ProcessingJobs"
TRANSFORM: Final = "/aws/sagemaker/TransformJobs"
ENDPOINT: Final = "/aws/sagemaker/Endpoints"


class Log:
    """The lines of one job or endpoint. group: of CloudWatch Logs. prefix: what its streams' names begin with."""

    def __init__(self, account: Account, group: str, prefix: str = "") -> None:
        self._account = account
        self._group = group
        self._prefix = prefix
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> list[str]:
        """What was printed since the last call, in time's order; of several hosts each line begins with its host's
        name. Nothing as long as there is no log.

        Raises BackendError when it can't be read.
        """
        streams = self._streams()
        events = [
            (event["timestamp"], number, stream, event["message"].rstrip("\n"))
            for stream in streams
            for number, event in enumerate(self._events(stream))
        ]
        # A spot job that was interrupted has a second stream of the same host.
        several = len({_host(stream) for stream in streams}) > 1
        return [f"{_host(stream)}: {text}" if several else text for _, _, stream, text in sorted(events)]

    def exists(self) -> bool:
        """Whether anything was ever printed."""
        return bool(self._streams())

    def _streams(self) -> list[str]:
        prefix = {"logStreamNamePrefix": self._prefix} if self._prefix else {}
        try:
            with translate_aws_errors("reading the log"):
                pages = self._account.client("logs").get_paginator("describe_log_streams")
                return [
                    each["logStreamName"]
                    for page in pages.paginate(logGroupName=self._group, **prefix)
                    for each in page["logStreams"]
                ]
        except AwsError as error:
            if error.missing:
                return []
            raise

    def _events(self, stream: str) -> Iterator[dict[str, Any]]:
        while True:
            before = self._tokens.get(stream)
            begin: dict[str, Any] = {"startFromHead": True} if before is None else {"nextToken": before}
            with translate_aws_errors("reading the log"):
                answer = self._account.client("logs").get_log_events(
                    logGroupName=self._group, logStreamName=stream, **begin
                )
            yield from answer["events"]
            self._tokens[stream] = answer["nextForwardToken"]
            # The same token again says that there is no more for now; a page may be empty before that.
            if answer["nextForwardToken"] == before:
                return


def _host(stream: str) -> str:
    """algo-1 of JOB/algo-1-1700000000; of an endpoint the instance."""
    name = stream.rsplit("/", 1)[-1]
    host, _, number = name.rpartition("-")
    return host if name.startswith("algo-") and number.isdigit() and host.count("-") else name


def log_of(account: Account, run: Run) -> Log | None:
    """The log of what a run has in the account; None when it has nothing there yet."""
    record = run.record.get("sagemaker") or {}
    if endpoint := record.get("endpoint"):
        return Log(account, log_group(endpoint))
    for key, group in (("job", TRAINING), ("tuning_job", TRAINING), ("processing_job", PROCESSING),
                       ("transform_job", TRANSFORM)):  # fmt: skip
        if name := record.get(key):
            # A search's jobs are called after it, JOB-001-1a2b3c4d/algo-1-...
            return Log(account, group, f"{name}-" if key == "tuning_job" else f"{name}/")
    return None


def find_log(account: Account, name: str) -> Log | None:
    """The log of a job or an endpoint of that name in the account; None when there is none."""
    locations = ((TRAINING, f"{name}/"), (log_group(name), ""), (PROCESSING, f"{name}/"), (TRANSFORM, f"{name}/"),
              (TRAINING, f"{name}-"))  # fmt: skip
    return next((log for group, prefix in locations if (log := Log(account, group, prefix)).exists()), None)


def follow_log(log: Log, goes_on: Callable[[], bool], say: Callable[[str], None], follow: bool = True) -> None:
    """Say every line there is; with `follow` those to come as well, for as long as it goes on and a moment longer."""
    while True:
        more = follow and goes_on()
        for line in log.new_lines():
            say(line)
        if not more:
            break
        pause()
    if follow:
        # The last lines come seconds after the end.
        pause()
        for line in log.new_lines():
            say(line)


_STREAMS: Final = 3
_LINES: Final = 200


def log_group(endpoint: str) -> str:
    """The log group that SageMaker gives an endpoint."""
    return f"{ENDPOINT}/{endpoint}"


def save_tail(account: Account, run: Run, endpoint: str) -> list[str]:
    """The newest lines of the containers that wrote last, also appended to the run's log.txt; none when there are none.

    Raises nothing: this is asked when something else has failed already.
    """
    try:
        lines = _newest_lines(account, endpoint)
    except BackendError as error:
        lines = [f"(the log couldn't be fetched: {error})"]
    if lines:
        with run.log.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return lines


def _newest_lines(account: Account, endpoint: str) -> list[str]:
    logs, group = account.client("logs"), log_group(endpoint)
    streams = none_if_missing(
        "looking for the endpoint's log",
        lambda: logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=_STREAMS),
    )
    events: list[dict[str, Any]] = []
    for stream in (streams or {}).get("logStreams", []):
        name = stream["logStreamName"]
        answer = none_if_missing(
            "reading the endpoint's log",
            lambda name=name: logs.get_log_events(  # type: ignore[misc]
                logGroupName=group, logStreamName=name, limit=_LINES, startFromHead=False
            ),
        )
        events += (answer or {}).get("events", [])
    return [str(event["message"]).rstrip("\n") for event in sorted(events, key=lambda event: event["timestamp"])]
