"""What the process beside a training gives out: lines for the log, documents as JSON, and their pages."""

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contract.files import write_atomic, write_json


def write_report(
    report: Path, page: Path, document: Mapping[str, Any], draw: Callable[[Mapping[str, Any]], bytes]
) -> None:
    """Write the page, then the JSON: who finds a report may look for its page. A page that fails leaves the JSON."""
    clean = finite(document)
    try:
        write_atomic(page, draw(clean))
    finally:
        write_json(report, clean)


def finite(value: Any) -> Any:
    """The same with None for numbers that JSON doesn't have."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def say(text: str) -> None:
    """A line for the log, which may be closed by now."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open("/dev/null", "w")  # noqa: PTH123, SIM115 - nobody reads on
