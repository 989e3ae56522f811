"""What is wrong with a search space: one sentence each, and all told at once."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters
from tuning.space import Space, read_space
from tuning.space_source import why_not_searched

FORM = "NAME=RANGE, as in lr=0.001:0.1:log or batch_size=16,32,64"


def fault(given: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Space.parse(given)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("learning_rate=0.1,1", "learning_rate: no such hyperparameter; did you mean lr?"),
        ("export=none", "export: can't be searched, as it comes after the training; set it for all trials"),
        ("tune-trials=1:2", "tune_trials: can't be searched, as it describes the search itself; set it for all trials"),
        ("lr=0:0.1", "lr: must be a number above 0 and at most 10, got 0"),
        ("lr=nan:0.1", "lr: must be a number above 0 and at most 10, got nan"),
        ("epochs=1.5:3", "epochs: must be an integer from 1 to 10000, got 1.5"),
        ("lr=0.1:0.01", "lr: low must not be above high, got 0.1:0.01"),
        ("weight_decay=0:0.1:log", "weight_decay: the scale log needs a low above 0, got 0; use linear"),
        ("patience=0:5:log", "patience: the scale log needs a low above 0, got 0; use linear"),
        ("crop_scale=0.5:1:reverse_log", "crop_scale: the scale reverse_log needs 0 <= low and high < 1, got 0.5:1"),
        (
            "epochs=1:5:reverse_log",
            "epochs: the scale reverse_log is for numbers below 1, and it is an integer; use linear or log",
        ),
        ("lr=0.01:0.1:logarithmic", "lr: the scale must be linear, log, reverse_log, got logarithmic"),
        ({"lr": {"low": 0.01, "high": 0.1, "scale": 3}}, "lr: the scale must be linear, log, reverse_log, got 3"),
        (
            "head=linear:mlp",
            "head: linear:mlp is a range, and its values have no order; list those to try, as in head=linear,mlp",
        ),
        ("head=linear,cnn", "head: must be one of linear, mlp, got cnn"),
        ("batch_size=16,16.0", "batch_size: the value 16 is there twice"),
        ("test_image_size=0:64", "test_image_size: must be 0 or from 32 to 1024, got 1"),
        ("lr=", "lr: must be a number above 0 and at most 10, got nothing"),
        ("lr=null", "lr: must be a number above 0 and at most 10, got null"),
        ({"lr": None}, "lr: must be a number above 0 and at most 10, got null"),
        ({"lr": True}, "lr: must be a number above 0 and at most 10, got true"),
        ({"batch_size": [16, [32]]}, "batch_size: must be an integer from 1 to 4096, got [32]"),
        ({"batch_size": []}, "batch_size: the list is empty; give at least one value"),
        ({"batch_size": {"values": 16}}, "batch_size: values must be a list, got 16"),
        ({"lr": {"low": 1}}, 'lr: must have low, high and perhaps scale, or values alone, got {"low": 1}'),
        ({"lr": {}}, "lr: must have low, high and perhaps scale, or values alone, got {}"),
        ("lr=1:2:log:4", "lr: must be LOW:HIGH, LOW:HIGH:SCALE or values with commas between, got 1:2:log:4"),
        ("lr=1:2,3", "lr: must be LOW:HIGH, LOW:HIGH:SCALE or values with commas between, got 1:2,3"),
        ("lr=:2", "lr: must be LOW:HIGH, LOW:HIGH:SCALE or values with commas between, got :2"),
        ("lr=0.1; lr=0.2", "lr: given twice in the search space; give one range"),
        ({"batch-size": [1], "batch_size": [2]}, "batch_size: given twice in the search space; give one range"),
        (
            "widest",
            f"widest: neither a preset of the search space (default, wide) nor {FORM}",
        ),
        ("=1:2", f"=1:2: must be {FORM}"),
        ("", "the search space is empty; name at least one hyperparameter, as in lr=0.001:0.1:log"),
        ({}, "the search space is empty; name at least one hyperparameter, as in lr=0.001:0.1:log"),
        ("[1]", "the search space must be a JSON object of names and ranges, got a list"),
        (3, "a search space must be a text or a mapping, got 3"),
    ],
)  # fmt: skip
def test_one_fault_is_one_sentence(given: object, told: str) -> None:
    assert fault(given) == told


def test_broken_json_is_one_sentence() -> None:
    assert re.fullmatch(r"the search space can't be read as JSON \(.+\)", fault('{"lr": '))


def test_all_faults_at_once() -> None:
    message = fault("lr=20:0:lg; batch_sizes=16; seed=1,2; head=cnn,rnn; what")
    first, *others = message.removeprefix("8 search space faults: ").split(" | ")
    assert first.startswith("what: neither a preset")
    assert [each.partition(":")[0] for each in others] == ["lr", "lr", "lr", "batch_sizes", "seed", "head", "head"]


def test_every_hyperparameter_is_searched_over_all_its_values_or_there_is_a_reason() -> None:
    """What may be searched is exactly what the table allows: its limits pass, and what lies beyond them doesn't."""
    counts = {"choice": 0, "integer": 0, "float": 0, "no": 0}
    for each in fields(Hyperparameters):
        about: dict[str, Any] = dict(each.metadata)
        if why_not_searched(each.name):
            assert "can't be searched" in fault({each.name: [each.default]})
            counts["no"] += 1
            continue
        counts[about["kind"]] += 1
        if about["kind"] == "choice":
            assert Space.parse({each.name: list(about["options"])}).parameters[0].points == len(about["options"])
            continue
        low = about["low"] + 1e-9 if about["above"] else 32 if each.name == "test_image_size" else about["low"]
        assert Space.parse({each.name: {"low": low, "high": about["high"]}}).contains({each.name: about["high"]})
        fault({each.name: {"low": low, "high": about["high"] + 1}})
        fault({each.name: {"low": about["low"] - 1, "high": about["high"]}})
    assert sum(counts.values()) == len(fields(Hyperparameters))
    assert min(counts.values()) >= 6


def test_faults_of_file_and_options_at_once(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('lr = "1:0.1"\nbatch_size = 2020-01-01\nepochs = [3, 3]\n')
    with pytest.raises(ConfigError) as caught:
        read_space(["head=cnn", "flip"], str(file))
    assert [each.split(":")[0] for each in str(caught.value).removeprefix("5 search space faults: ").split(" | ")] == [
        *("flip", "lr", "batch_size", "epochs", "head"),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'lr = "0.1', r"space\.toml can't be read as TOML \(Unterminated string .+\)"),
        (b"a = 1\nlr = = 2", r"space\.toml can't be read as TOML \(.*line 2.*\)"),
        (b"\xff\xfe", r"space\.toml can't be read as TOML \(.+\)"),
        (b"", r"the search space is empty; name at least one hyperparameter, as in lr=0\.001:0\.1:log"),
        (None, r"space\.toml: no such file; a search space is a TOML file, default or wide"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, told: str) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("space.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_space([], "space.toml")
    assert re.fullmatch(told, str(caught.value))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be read \(Is a directory\)$"):
        read_space([], str(tmp_path))
