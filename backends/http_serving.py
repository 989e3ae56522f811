"""Deployments that answer on a port of this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from backends import client
from backends.runs import Run

_START_LIMIT_S: Final = 120.0


class HttpServing:
    """The part of a backend that asks its deployments, by the URL in their records."""

    def wait_ready(self, run: Run, goes_on: Callable[[], bool]) -> bool:
        return client.wait_ready(run.record["url"], goes_on, _START_LIMIT_S)

    def ask(self, run: Run, image: Path) -> dict[str, Any]:
        return client.predict(run.record["url"], image)
