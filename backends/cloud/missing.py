"""Asking for something that may not be there."""

from collections.abc import Callable
from typing import Any

from backends.cloud.errors import Refused, told


def found(doing: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """The answer of a Describe call, None when there is no such thing. doing: as for `told`. Raises BackendError."""
    try:
        with told(doing):
            return ask()
    except Refused as refused:
        if refused.missing:
            return None
        raise
