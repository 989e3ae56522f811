"""A thing in the account, and the order in which things go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal[
    "scheduled action", "scaling policy", "scaling target", "tuning job", "training job", "warm pool", "transform job",
    "processing job", "endpoint", "endpoint configuration", "model", "alarm", "model package", "model package group",
    "log group", "unfinished upload", "objects",
]  # fmt: skip

# Scaling first, which would change what is being removed; what others refer to last.
ORDER: Final[tuple[Kind, ...]] = (
    "scheduled action", "scaling policy", "scaling target", "tuning job", "training job", "warm pool", "transform job",
    "processing job", "endpoint", "endpoint configuration", "model", "alarm", "model package", "model package group",
    "log group", "unfinished upload", "objects",
)  # fmt: skip
# What somebody may still want when nothing runs any more.
DATA: Final[frozenset[Kind]] = frozenset(
    ("model package", "model package group", "log group", "unfinished upload", "objects")
)
JOBS: Final[frozenset[Kind]] = frozenset(("tuning job", "training job", "transform job", "processing job"))


@dataclass(frozen=True)
class Thing:
    """One thing that Kennel made.

    run: whose it is, by its resource name; empty for what belongs to none. since: when it was made, ISO 8601, where
    that is known. usd_per_day: what it costs as it is now; None when no price is known. handle: the parameters by
    which its removal is asked for.
    """

    kind: Kind
    name: str
    run: str
    handle: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    since: str = ""
    detail: str = ""
    usd_per_day: float | None = 0.0

    @property
    def is_data(self) -> bool:
        """Whether it only goes when its data are to go, too."""
        return self.kind in DATA


def in_order(things: list[Thing]) -> list[Thing]:
    """The order of removal."""
    return sorted(things, key=lambda thing: (ORDER.index(thing.kind), thing.name))
