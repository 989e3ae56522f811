"""What a search is to improve. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """A metric, and whether more of it is better."""

    metric: str
    maximize: bool
