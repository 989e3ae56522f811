"""The hyperparameter `callbacks`, and a rule of one's own beside a real training."""

import json
from pathlib import Path

import pytest

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters
from tests.train.support import make_classes, train
from train.callbacks import callback_classes, own_callbacks

OWN = "tests.monitor.own_callbacks"


def test_a_training_with_callbacks_and_a_rule_of_ones_own(tmp_path: Path) -> None:
    make_classes(tmp_path / "input" / "data" / "train", 12)
    result = train(
        tmp_path, callbacks=f"{OWN}:CannotBeMade,{OWN}:FailsAtOnce, {OWN}:PrintEpochs", debug="on", debug_interval="1",
        rules="tests.monitor.own:LossAbove:limit=0", epochs="2",
    )  # fmt: skip
    assert result.code == 0
    assert [line for line in result.out.splitlines() if line.startswith("own callback")] == [
        "own callback: epoch 1 of 2",
        "own callback: epoch 2 of 2",
    ]
    for name in ("CannotBeMade", "FailsAtOnce"):
        assert result.err.count(f"WARNING: {name} failed and is switched off; training goes on") == 1
    assert "LossAbove: IssuesFound (step 0: the loss is" in result.out
    report = json.loads((tmp_path / "output" / "data" / "debugger-report.json").read_text())
    (rule,) = report["rules"]
    assert (rule["name"], rule["status"]) == ("LossAbove", "IssuesFound")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no.such:Callback", "the callback 'no.such:Callback' can't be loaded (ModuleNotFoundError"),
        (f"{OWN}:Nothing", f"the callback '{OWN}:Nothing' can't be loaded: {OWN} has no attribute Nothing"),
        (f"{OWN}:TrainState", f"callbacks: '{OWN}:TrainState' is no subclass of monitor.callbacks.Callback"),
        ("on", "the callback 'on' must be named as module:attribute"),
    ],
)
def test_a_wrong_name_is_refused_in_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        callback_classes(Hyperparameters(callbacks=f"{OWN}:PrintEpochs,{name}"))
    assert str(error.value).startswith(sentence)


def test_without_the_hyperparameter_there_are_none() -> None:
    assert own_callbacks(Hyperparameters()) == []
