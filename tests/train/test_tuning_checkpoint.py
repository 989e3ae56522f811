"""The best trial's weights in the checkpoints of a search, and of which data the search is."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters
from contract.progress import Progress
from tests.train.support import make_classes
from train.data.load import load_data
from train.search.best_trial import BestTrial, Trained, check_data, note_data
from train.trainer import BestEpoch
from tuning.objective import Objective, parse_objectives

CHOSEN = Hyperparameters(freeze="backbone")


def trained(number: int, loss: float, head: float = 0.5) -> Trained:
    metrics = {"epoch": 2, "validation_loss": loss, "validation_accuracy": 0.75}
    best = BestEpoch(2, metrics, {"weight": torch.full((3, 2), head), "bias": torch.zeros(3)})
    return Trained(number, replace(CHOSEN, lr=0.01 * number), metrics, best, [{"epoch": 1}, {"epoch": 2}])


def test_the_best_trial_is_kept_with_its_weights(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints" / "best.safetensors"
    best = BestTrial(file, [Objective("validation_loss", maximize=False)])
    assert best.read() is None
    for number, loss in enumerate((0.9, 0.4, 0.4, 0.6, float("nan")), 1):
        best.offer(trained(number, loss, head=number))
    # Of equals the first, as the study has it; and another process reads the same.
    kept = BestTrial(file, [Objective("validation_loss", maximize=False)]).read()
    assert kept is not None
    assert kept.number == 2
    assert kept.hyperparameters == replace(CHOSEN, lr=0.02)
    assert kept.best.epoch == 2
    assert kept.best.metrics["validation_loss"] == 0.4
    assert kept.history == [{"epoch": 1}, {"epoch": 2}]
    assert torch.equal(kept.best.weights["weight"], torch.full((3, 2), 2.0))


def test_more_is_better_where_the_objective_says_so(tmp_path: Path) -> None:
    best = BestTrial(tmp_path / "best.safetensors", [Objective("validation_loss", maximize=True)])
    for number, loss in enumerate((0.9, 1.4, 0.4), 1):
        best.offer(trained(number, loss))
    kept = best.read()
    assert kept is not None
    assert kept.number == 2


def test_equal_trials_rank_by_the_next_objective_and_then_by_number(tmp_path: Path) -> None:
    goals = parse_objectives("validation_accuracy,validation_loss")
    best = BestTrial(tmp_path / "best.safetensors", goals)
    # As several processes may offer them: 5 is better than 4 by its loss alone, 3 is equal to it and came before it.
    for number, loss in ((4, 0.5), (5, 0.4), (6, 0.4), (3, 0.4)):
        best.offer(trained(number, loss))
    kept = best.read()
    assert kept is not None
    assert kept.number == 3


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    best = BestTrial(tmp_path / "best.safetensors", [Objective("validation_loss", maximize=False)])
    (tmp_path / "best.safetensors").write_bytes(b"half a file")
    assert best.read() is None
    best.offer(trained(4, 0.4))
    kept = best.read()
    assert kept is not None
    assert kept.number == 4


def test_other_data_are_refused_and_the_same_are_not(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", 2)
    data = load_data({"train": tmp_path / "train"}, Progress(None))
    check_data(tmp_path / "tuning", data)  # nothing to compare with
    note_data(tmp_path / "tuning", data)
    check_data(tmp_path / "tuning", data)
    make_classes(tmp_path / "more" / "train", 3)
    more = load_data({"train": tmp_path / "more" / "train"}, Progress(None))
    with pytest.raises(ConfigError, match="3 classes; images: 6 train; now 3 classes; images: 9 train") as refused:
        check_data(tmp_path / "tuning", more)
    assert "empty that folder to search anew" in str(refused.value)
