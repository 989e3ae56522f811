"""What a step is about to start, in terms that have a price."""

from dataclasses import dataclass
from typing import Literal

PriceKind = Literal["training", "spot", "processing", "transform", "hosting", "serverless", "storage"]


@dataclass(frozen=True)
class Item:
    """One thing that costs money.

    what: in words, as in "training job kennel-first-1a2b3c". count: instances. hours: at most; None for what runs
    until it is deleted. instance_type: empty for storage and serverless. gigabytes: of storage, of a serverless
    endpoint's memory, or of each instance's disk. waits: a serverless endpoint's provisioned concurrency.
    """

    what: str
    kind: PriceKind
    instance_type: str = ""
    count: int = 1
    hours: float | None = None
    gigabytes: float = 0.0
    waits: int = 0
