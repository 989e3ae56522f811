"""The images of a transform that a backend runs as one job of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from backends.transform.inputs import Survey


class Files(Protocol):
    """Images by name, in a fixed order, each time anew; `Inputs` are some."""

    def __iter__(self) -> Iterator[str]: ...

    def survey(self, goes_on: Callable[[], bool]) -> Survey:
        """Count and fingerprint them; given up early when `goes_on` says no."""


@dataclass(frozen=True)
class Batch:
    """artifact: its folder. labels: the classes' in order, where all probabilities are wanted. concurrent: requests at
    once, or None for what the server says.
    """

    files: Files
    count: int
    artifact: Path
    labels: tuple[str, ...] | None = None
    concurrent: int | None = None
