"""Search spaces: every form they are written in, what they allow, and all that is wrong with one told at once."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from contract.hyperparameters import Hyperparameters
from tests.train.support import REPOSITORY
from tuning.space import Categorical, Continuous, Integer, Space, read_space
from tuning.space_source import PRESETS, why_not_searched

FORM = "NAME=RANGE, as in lr=0.001:0.1:log or batch_size=16,32,64"
DOCS = (REPOSITORY / "docs" / "tuning.md").read_text()
LR = Continuous("lr", 0.001, 0.1, "log")
BATCH = Categorical("batch_size", (16, 32))
EPOCHS = Integer("epochs", 2, 5)


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
