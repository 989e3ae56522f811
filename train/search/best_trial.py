"""What a search leaves in its checkpoint folder beside the study's journal: the best trial's weights, and of which
data the search is.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import safetensors.torch
from safetensors import SafetensorError, safe_open

from contract.errors import ConfigError
from contract.files import locked, write_atomic, write_json
from contract.hyperparameters import Hyperparameters
from train.data.dataset import DataSet
from train.trainer import BestEpoch, Epoch
from tuning.objective import Objective

JOURNAL: Final = "journal.log"
BEST: Final = "best.safetensors"
DATA: Final = "data.json"


@dataclass(frozen=True)
class Trained:
    """A trial that was trained to its end. metrics: as reported to the searcher. best: of what was trained, which for a
    frozen backbone is the head alone.
    """

    number: int
    hyperparameters: Hyperparameters
    metrics: Mapping[str, float | int]
    best: BestEpoch
    history: Sequence[Epoch]


class BestTrial:
    """The best trial so far, in a file that several processes may offer their trials to.

    By the first objective, where it is equal by the next, where all are by the number: as the study has it.
    """

    def __init__(self, file: Path, objectives: Sequence[Objective]) -> None:
        self._file = file
        self._objectives = objectives

    def offer(self, trained: Trained) -> None:
        """Keep it, if it is better than the one that is kept. Raises OSError."""
        rank = self._rank(trained.number, trained.metrics)
        if not all(math.isfinite(each) for each in rank):
            return
        with locked(self._file):
            kept = self._about()
            if kept is not None and self._rank(kept["number"], kept["metrics"]) >= rank:
                return
            about = {
                "number": trained.number,
                "hyperparameters": asdict(trained.hyperparameters),
                "metrics": dict(trained.metrics),
                "epoch": trained.best.epoch,
                "epoch_metrics": trained.best.metrics,
                "history": list(trained.history),
            }
            weights = {name: tensor.contiguous() for name, tensor in trained.best.weights.items()}
            write_atomic(self._file, safetensors.torch.save(weights, {"trial": json.dumps(about)}))

    def read(self) -> Trained | None:
        """The trial that is kept; None without one, or where the file is damaged."""
        about = self._about()
        if about is None:
            return None
        best = BestEpoch(about["epoch"], about["epoch_metrics"], safetensors.torch.load_file(self._file))
        chosen = Hyperparameters(**about["hyperparameters"])
        return Trained(about["number"], chosen, about["metrics"], best, about["history"])

    def _about(self) -> dict[str, Any] | None:
        try:
            with safe_open(self._file, "pt") as file:
                about: dict[str, Any] = json.loads(file.metadata()["trial"])
                return about
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None

    def _rank(self, number: int, metrics: Mapping[str, float | int]) -> tuple[float, ...]:
        """More is better."""
        values = [float(metrics[each.metric]) * (1 if each.maximize else -1) for each in self._objectives]
        return (*values, -number)


def check_data(folder: Path, data: DataSet) -> None:
    """Raises ConfigError when the search in this folder is of other data."""
    file = folder / DATA
    try:
        before = json.loads(file.read_text())
    except (OSError, ValueError):
        return
    if before != _fingerprint(data):
        raise ConfigError(
            f"the search in {folder} was begun with other data ({_told(before)}; now {_told(_fingerprint(data))}): "
            "give the same data, or empty that folder to search anew"
        )


def note_data(folder: Path, data: DataSet) -> None:
    """What a later job's data are compared with."""
    write_json(folder / DATA, _fingerprint(data))


def _fingerprint(data: DataSet) -> dict[str, Any]:
    report = data.report()
    return {"classes": report["classes"], "images_by_class": report["images_by_class"]}


def _told(fingerprint: Mapping[str, Any]) -> str:
    try:
        images = {role: sum(count.values()) for role, count in fingerprint["images_by_class"].items()}
        counts = ", ".join(f"{count} {role}" for role, count in images.items())
        return f"{len(fingerprint['classes'])} classes; images: {counts}"
    except (KeyError, TypeError, AttributeError):
        return "unreadable"
