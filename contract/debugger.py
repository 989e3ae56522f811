"""When tensors are saved, and where. Standard library only."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.files import read_object

# SageMaker's LocalPath: where the tree's root is another one, the same folder in that tree is meant.
SAGEMAKER_FOLDER: Final = "/opt/ml/output/tensors"
FEWEST_STEPS, FEWEST_STEPS_GPU, MOST_STEPS, SAVED_STEPS, LOSSES_BETWEEN = 20, 200, 500, 50, 10
EVAL_BATCHES, EVAL_EPOCHS = 16, 125


@dataclass(frozen=True)
class HookLocation:
    """folder: where tensors go unless the configuration says otherwise. config: where debughookconfig.json is, if it is
    there; SageMaker's other files are beside it.
    """

    folder: Path
    config: Path


@dataclass(frozen=True)
class Schedule:
    """When Kennel's own choice is saved. steps: of the whole training; eval_batches: of one epoch's validation.

    interval: training steps from one saved step to the next; 0: chosen. gpu: whether it trains on one.
    """

    steps: int
    epochs: int
    eval_batches: int
    interval: int = 0
    gpu: bool = False

    def every(self) -> int:
        """Training steps from one saved step to the next.

        Fifty saved steps in a training, but not more than every 20th, and every 500th at least. Saving a step of a
        ResNet-18 takes 0.07 s on two cores, over a quarter of a training step with 32 images of 64 pixels: every 20th,
        that is below 2 %. On a GPU steps are short, so there it is every 200th at most.
        """
        fewest = FEWEST_STEPS_GPU if self.gpu else FEWEST_STEPS
        return self.interval or min(MOST_STEPS, max(fewest, math.ceil(self.steps / SAVED_STEPS)))

    def every_loss(self) -> int:
        """The same for the loss alone, which takes a millisecond or two."""
        return max(1, self.every() // LOSSES_BETWEEN)

    def eval_steps(self) -> list[int]:
        """Validation batches that are saved, counted from 0 over all epochs.

        Up to 16 of an epoch, evenly spread because validation images come class by class; of up to 125 epochs.
        """
        count = min(EVAL_BATCHES, self.eval_batches)
        batches = [(2 * index + 1) * self.eval_batches // (2 * count) for index in range(count)]
        stride = math.ceil(self.epochs / EVAL_EPOCHS)
        return [epoch * self.eval_batches + batch for epoch in range(0, self.epochs, stride) for batch in batches]


def read_config(file: Path) -> dict[str, Any] | None:
    """A debughookconfig.json that asks for anything; None when there is none, or it leaves all to the defaults.

    Raises ValueError for what is no JSON object.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(f"{file.name} can't be read as JSON ({error})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{file.name} must hold a JSON object, got {type(config).__name__}")
    return config if config.get("HookParameters") or config.get("CollectionConfigurations") else None


def tensors_folder(config: Path, default: Path) -> Path:
    """Where the tensors are, by debughookconfig.json's LocalPath; the default also for SageMaker's own place."""
    path = read_object(config).get("LocalPath")
    return Path(path) if isinstance(path, str) and path.rstrip("/") not in ("", SAGEMAKER_FOLDER) else default
