"""The collections that Kennel saves of its own choice."""

from collections.abc import Mapping
from typing import Any, Final

from contract.debugger import MOST_STEPS, Schedule
from monitor.debugger._smdebug import ModeKeys, ReductionConfig, SaveConfig, SaveConfigMode

# Collections that smdebug doesn't know itself, with the regular expressions of their tensors.
OWN: Final[Mapping[str, list[str]]] = {
    "relu_activations": [".*relu_input|relu_output"],
    "relu_active_share": ["^relu_active_share/"],
    "update_ratios": ["^update_ratio/"],
    "labels": ["^labels$"],
    "predictions": ["^predictions$"],
    "input_means": ["^input_means$"],
}
LOSS: Final = "CrossEntropyLoss_output_0"
REDUCED: Final = ("gradients", "weights", "biases")
_REDUCTIONS: Final = ReductionConfig(
    reductions=["min", "max", "mean", "std", "variance"], abs_reductions=["mean"], norms=["l2"]
)
# With their shapes: what a weight's variance should be at the start depends on it.
_SHAPED: Final = ReductionConfig(
    reductions=["min", "max", "mean", "std", "variance"], abs_reductions=["mean"], norms=["l2"], save_shape=True
)


def own_options() -> dict[str, Any]:
    """Arguments of smdebug's hook for Kennel's own choice."""
    collections = [*REDUCED, *(name for name in OWN if name != "relu_activations")]
    return {"include_collections": collections, "include_workers": "one"}


def configure(collections: Any, schedule: Schedule) -> None:
    """Give smdebug's collection manager Kennel's own choice."""
    for name in ("losses", *REDUCED, *OWN):
        if name == "relu_activations":
            continue
        every = schedule.every_loss() if name == "losses" else schedule.every()
        modes = dict.fromkeys(ModeKeys, SaveConfigMode(save_interval=MOST_STEPS, end_step=0))  # never
        modes[ModeKeys.TRAIN] = SaveConfigMode(save_interval=every)
        if name in ("losses", "labels", "predictions", "input_means"):
            modes[ModeKeys.EVAL] = SaveConfigMode(
                save_interval=MOST_STEPS, end_step=0, save_steps=schedule.eval_steps()
            )
        collection = collections.get(name)
        collection.save_config = SaveConfig(modes)
        if name in REDUCED:
            collection.reduction_config = _SHAPED if name == "weights" else _REDUCTIONS
        collection.include(OWN.get(name, []))


def complete(collections: Any) -> None:
    """Give Kennel's collections that a configuration names without a regular expression their own."""
    for name, expressions in OWN.items():
        if name in collections.get_collections() and not collections.get(name).include_regex:
            collections.get(name).include(expressions)
