"""What every rule is, whatever it reads. A rule of one's own is a subclass of TensorRule or ProfilerRule."""

from collections.abc import Mapping
from typing import Any, ClassVar

from contract.rules.spec import RuleSpec


class Rule:
    """spec: the declaration of a rule that isn't Kennel's own; those are in contract.rules.tensor and profiler."""

    spec: ClassVar[RuleSpec | None] = None
    profiler: ClassVar[bool] = False  # whether it judges the profiler's files, not saved tensors

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """parameters: all that the rule's RuleSpec declares, typed."""
        self.parameters = dict(parameters)
