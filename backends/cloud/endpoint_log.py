"""The last lines that an endpoint's containers wrote, from CloudWatch Logs."""

from typing import Any, Final

from backends.cloud.account import Account
from backends.cloud.missing import found
from backends.errors import BackendError
from backends.runs import Run

_STREAMS: Final = 3
_LINES: Final = 200


def log_group(endpoint: str) -> str:
    """The log group that SageMaker gives an endpoint."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def save_tail(account: Account, run: Run, endpoint: str) -> list[str]:
    """The newest lines of the containers that wrote last, also appended to the run's log.txt; none when there are none.

    Raises nothing: this is asked when something else has failed already.
    """
    try:
        lines = _tail(account, endpoint)
    except BackendError as error:
        lines = [f"(the log couldn't be fetched: {error})"]
    if lines:
        with run.log.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return lines


def _tail(account: Account, endpoint: str) -> list[str]:
    logs, group = account.client("logs"), log_group(endpoint)
    streams = found(
        "looking for the endpoint's log",
        lambda: logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=_STREAMS),
    )
    events: list[dict[str, Any]] = []
    for stream in (streams or {}).get("logStreams", []):
        name = stream["logStreamName"]
        answer = found(
            "reading the endpoint's log",
            lambda name=name: logs.get_log_events(  # type: ignore[misc]
                logGroupName=group, logStreamName=name, limit=_LINES, startFromHead=False
            ),
        )
        events += (answer or {}).get("events", [])
    return [str(event["message"]).rstrip("\n") for event in sorted(events, key=lambda event: event["timestamp"])]
