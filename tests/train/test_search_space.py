"""Search spaces: every form they are written in, what they allow, and all that is wrong with one told at once."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from model.errors import ConfigError
from tests.train.support import REPOSITORY
from train.config import Hyperparameters
from train.search.presets import PRESETS, why_not_searched
from train.search.space import Categorical, Continuous, Integer, Space, read_space

FORM = "NAME=RANGE, as in lr=0.001:0.1:log or batch_size=16,32,64"
DOCS = (REPOSITORY / "docs" / "tuning.md").read_text()
LR = Continuous("lr", 0.001, 0.1, "log")
BATCH = Categorical("batch_size", (16, 32))
EPOCHS = Integer("epochs", 2, 5)


def fault(given: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Space.parse(given)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "given",
    [
        "lr=0.001:0.1:log; batch_size=16,32; epochs=2:5",
        " lr = 0.001 : 0.1 : log ;\n batch-size = 16, 32 ;\n epochs = 2:5:linear; ",
        {"lr": {"low": 0.001, "high": 0.1, "scale": "log"}, "batch_size": [16, 32], "epochs": "2:5"},
        {"lr": "0.001:0.1:log", "batch_size": {"values": (16, 32)}, "epochs": {"low": 2, "high": 5}},
        {"lr": {"low": "1e-3", "high": '"0.1"', "scale": "log"}, "batch_size": "16,32.0", "epochs": "2.0:5"},
        '{"lr": {"low": 0.001, "high": 0.1, "scale": "log"}, "batch_size": [16, 32], "epochs": "2:5"}',
    ],
)  # fmt: skip
def test_one_space_in_every_form(given: object) -> None:
    space = Space.parse(given)
    assert space == Space((LR, BATCH, EPOCHS))
    assert [type(value) for value in (space.parameters[0].low, *space.parameters[1].values)] == [float, int, int]  # type: ignore[union-attr]


def test_the_kind_follows_the_table() -> None:
    space = Space.parse("mixup=0:1; patience=0:3:linear; image_size=32:64:log; optimizer=adam; lr=0.1; head=mlp,linear")
    assert space.parameters == (
        Continuous("mixup", 0.0, 1.0),
        Integer("patience", 0, 3),
        Integer("image_size", 32, 64, "log"),
        Categorical("optimizer", ("adam",)),
        Categorical("lr", (0.1,)),
        Categorical("head", ("mlp", "linear")),
    )


def test_a_single_value_of_a_mapping_is_a_list_of_one() -> None:
    assert Space.parse({"epochs": 3, "head": "mlp"}).parameters == (
        Categorical("epochs", (3,)),
        Categorical("head", ("mlp",)),
    )


@pytest.mark.parametrize(
    "text", [*PRESETS, "lr=0.5:0.9:reverse-log; epochs=3:3; ema_decay=0.9:0.999:reverse_log; optimizer=sgd,adam"]
)
def test_what_is_written_out_is_read_back(text: str) -> None:
    space = Space.parse(text)
    assert Space.parse(space.to_dict()) == space
    assert Space.parse(json.loads(space.to_json())) == space
    # As a hyperparameter, which SageMaker's SDK encodes once more.
    for form in (space.to_json(), json.dumps(space.to_json())):
        assert Space.parse(Hyperparameters.parse({"tune_space": form}).tune_space) == space


def test_the_canonical_form() -> None:
    assert Space((LR, BATCH, EPOCHS)).to_dict() == {
        "lr": {"low": 0.001, "high": 0.1, "scale": "log"},
        "batch_size": {"values": [16, 32]},
        "epochs": {"low": 2, "high": 5, "scale": "linear"},
    }


@pytest.mark.parametrize(
    ("values", "within"),
    [
        ({"lr": 0.001, "batch_size": 16, "epochs": 2}, True),
        ({"lr": 0.1, "batch_size": 32, "epochs": 5}, True),
        ({"lr": 0.1000001, "batch_size": 32, "epochs": 5}, False),
        ({"lr": 0.01, "batch_size": 24, "epochs": 5}, False),
        ({"lr": 0.01, "batch_size": 16, "epochs": 6}, False),
        ({"lr": 0.01, "batch_size": 16, "epochs": 2.5}, False),
        ({"lr": 0.01, "batch_size": 16, "epochs": True}, False),
        ({"lr": 0.01, "batch_size": "16", "epochs": 3}, False),
        ({"lr": "0.01", "batch_size": 16, "epochs": 3}, False),
        ({"lr": 0.01, "batch_size": 16}, False),
        ({"lr": 0.01, "batch_size": 16, "epochs": 3, "seed": 0}, False),
    ],
)
def test_contains(values: dict[str, object], within: bool) -> None:
    assert Space((LR, BATCH, EPOCHS)).contains(values) is within


def test_true_is_not_one() -> None:
    assert not Space((Categorical("batch_size", (1, 2)),)).contains({"batch_size": True})


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("batch_size=16,32,64; epochs=2:5; optimizer=adamw,sgd", 3 * 4 * 2),
        ("epochs=7:7", 1),
        ("lr=0.1:0.1; epochs=1:2", 2),
        ("lr=0.1:0.2; epochs=1:2", None),
    ],
)
def test_points(text: str, points: int | None) -> None:
    assert Space.parse(text).points == points


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


def test_the_presets() -> None:
    default, wide = Space.parse("default"), Space.parse("wide")
    assert default.parameters == (
        Continuous("lr", 0.001, 0.1, "log"),
        Categorical("batch_size", (16, 32, 64, 128)),
        Integer("epochs", 2, 5),
    )
    assert set(default.names) < set(wide.names)
    # Whatever the narrower one may find, the wider one may find too.
    for each in default.parameters:
        (wider,) = [other for other in wide.parameters if other.name == each.name]
        ends = each.values if isinstance(each, Categorical) else (each.low, each.high)
        assert all(wider.contains(value) for value in ends)


TOML = """
lr = {low = 0.001, high = 0.1, scale = "log"}
batch-size = [16, 32]
epochs = "2:5"
"""


def test_a_command_line(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(TOML)
    assert read_space([], None) == Space.parse("default")
    assert read_space([], "wide") == Space.parse("wide")
    assert read_space([], str(file)) == Space((LR, BATCH, EPOCHS))
    assert read_space(["epochs=2:5", "lr=0.001:0.1:log"], None) == Space((EPOCHS, LR))
    changed = read_space(["batch_size=64", "head=mlp"], str(file))
    assert changed == Space((LR, EPOCHS, Categorical("batch_size", (64,)), Categorical("head", ("mlp",))))


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


def rows(heading: str) -> list[list[str]]:
    """The table below a heading of docs/tuning.md, without its head."""
    section = DOCS.split(f"# {heading}\n")[1].split("\n#")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_documented_file(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    file = tmp_path / "space.toml"
    file.write_text(example)
    assert read_space([], str(file)) == Space(
        (
            Continuous("lr", 0.001, 0.1, "log"),
            Continuous("ema_decay", 0.9, 0.999, "reverse_log"),
            Continuous("label_smoothing", 0.0, 0.2),
            Integer("epochs", 2, 5),
            Categorical("batch_size", (16, 32, 64)),
            Categorical("optimizer", ("adamw", "sgd")),
        )
    )
    # The same on a command line, as the text beside it says.
    (line,) = re.findall(r"^    (--param .*)$", DOCS, re.MULTILINE)
    params = [each.removeprefix("--param ") for each in re.findall(r"--param \S+", line)]
    assert read_space(params, None) == Space((LR, Categorical("batch_size", (16, 32, 64))))


def test_the_documented_presets() -> None:
    documented = {name: (default, wide) for name, default, wide in rows("Presets")}
    expected = {
        f"`{name}`": tuple(f"`{PRESETS[preset][name]}`" if name in PRESETS[preset] else "" for preset in PRESETS)
        for name in PRESETS["wide"]
    }
    assert documented == expected


def test_the_documented_reasons() -> None:
    told: dict[str, str] = {}
    for names, reason in rows("What can't be searched"):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", names), reason)
    reasons = {each.name: why_not_searched(each.name) for each in fields(Hyperparameters)}
    assert told == {name: reason for name, reason in reasons.items() if reason}
