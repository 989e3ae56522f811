"""What containers print, in the account's CloudWatch Logs."""

import threading
import time
from typing import Any


class LogStream:
    """One container's stream. Lines are sent as they come, and kept here too."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self.lines: list[str] = []
        self._client, self._group, self._stream = client, group, stream
        self._lock = threading.Lock()
        self._made = False

    def say(self, line: str) -> None:
        with self._lock:
            self.lines.append(line)
            if not self._made:
                self._make()
            # An event holds at least one character.
            event = {"timestamp": int(time.time() * 1000), "message": line or " "}
            self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=[event])

    def _make(self) -> None:
        there = self._client.exceptions.ResourceAlreadyExistsException
        for make, names in (
            (self._client.create_log_group, {"logGroupName": self._group}),
            (self._client.create_log_stream, {"logGroupName": self._group, "logStreamName": self._stream}),
        ):
            try:
                make(**names)
            except there:
                continue
        self._made = True
