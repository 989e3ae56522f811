"""One training job: what it was asked to do."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from contract.hyperparameters import Hyperparameters
from contract.rules.request import RuleSelection

ALONE: Final = "localhost"  # the name of a host without others


@dataclass(frozen=True)
class Job:
    """What one training job was asked to do.

    channels: name -> folder. rules: those that judge it. hosts: all that take part, sorted, and current_host, this one.
    interface: the network's between them, where it is known. tuner_objective: the metric by which SageMaker's tuner
    judges it, where the tuner has started it.
    """

    hyperparameters: Hyperparameters
    channels: dict[str, Path]
    rules: RuleSelection = field(default_factory=RuleSelection)
    hosts: tuple[str, ...] = (ALONE,)
    current_host: str = ALONE
    interface: str = ""
    tuner_objective: str | None = None

    @property
    def is_rank0(self) -> bool:
        """Whether this host leaves the model; the others take their share of its batches, or of its search."""
        return self.current_host == self.hosts[0]
