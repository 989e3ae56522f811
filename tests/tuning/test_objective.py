"""Objectives: names, directions, and what is wrong with them."""

import pytest

from contract.errors import ConfigError
from contract.metrics import METRICS
from tests.train.support import REPOSITORY
from tuning.objective import CANDIDATES, LATENCY, METRIC_REGEXES, Objective, parse_objectives

UP = "test_loss: the direction must be maximize or minimize, got up"
SET = "learning_rate: can't be an objective, as it is set and not found"
ALL = ", ".join(CANDIDATES)


@pytest.mark.parametrize(
    ("text", "objectives"),
    [
        ("validation_accuracy", (Objective("validation_accuracy", True),)),
        ("validation_loss", (Objective("validation_loss", False),)),
        ("validation_loss:maximize", (Objective("validation_loss", True),)),
        (" test_macro_f1 : Minimize ", (Objective("test_macro_f1", False),)),
        ("average test loss", (Objective("average test loss", False),)),
        (
            "validation_accuracy, latency_ms,epoch_seconds",
            (Objective("validation_accuracy", True), Objective("latency_ms", False), Objective("epoch_seconds", False)),
        ),
    ],
)
def test_what_is_written_is_read(text: str, objectives: tuple[Objective, ...]) -> None:
    assert parse_objectives(text) == objectives
    assert parse_objectives(",".join(map(str, objectives))) == objectives


def test_every_metrics_direction_and_when_it_is_known() -> None:
    found = {name: parse_objectives(name)[0] for name in CANDIDATES}
    assert {name for name, each in found.items() if each.maximize} == {
        *("train_accuracy", "validation_accuracy", "test_accuracy", "test_top5_accuracy", "test_macro_f1"),
    }
    assert {name for name, each in found.items() if each.per_epoch} == {
        *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "epoch_seconds"),
    }
    assert [found["train_loss"].direction, found["test_accuracy"].direction] == ["minimize", "maximize"]


def test_the_candidates_are_what_training_prints_and_the_latency() -> None:
    assert sorted(CANDIDATES) == sorted({*METRICS} - {"learning_rate"})  # each once
    assert LATENCY in CANDIDATES
    assert tuple(METRIC_REGEXES) == METRICS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("learning_rate", SET),
        ("val_accuracy", "val_accuracy: no such metric; did you mean validation_accuracy?"),
        ("validation-loss", "validation-loss: no such metric; did you mean validation_loss?"),
        ("bleu", f"bleu: no such metric; the metrics are {ALL}"),
        ("", f"an objective must be named; the metrics are {ALL}"),
        ("test_loss,", f"an objective must be named; the metrics are {ALL}"),
        ("test_loss:up", UP),
        ("test_loss:", "test_loss: the direction must be maximize or minimize, got nothing"),
        ("test_loss,test_loss:maximize", "test_loss: named twice as an objective"),
        ("test_loss,average test loss", "test_loss: named twice as an objective"),
        ("test_loss,test_accuracy,train_loss,latency_ms", "4 objectives are too many; name 3 at most"),
        (
            "val,test_loss:up,learning_rate",
            f"3 objective faults: val: no such metric; the metrics are {ALL} | {UP} | {SET}",
        ),
    ],
)  # fmt: skip
def test_faults(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_objectives(text)
    assert str(caught.value) == told


def test_the_documented_objectives() -> None:
    section = (REPOSITORY / "docs" / "tuning.md").read_text().split("## Objectives\n")[1].split("\n## ")[0]
    table = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    documented = {
        name.strip(" `"): (direction.strip(), known.strip() == "after every epoch")
        for names, direction, known in table
        for name in names.split(",")
    }
    expected = {}
    for name in CANDIDATES:
        (each,) = parse_objectives(name)
        expected[name] = (f"{each.direction[:-3]}ised", each.per_epoch)
    assert documented == expected
