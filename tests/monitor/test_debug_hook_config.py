"""SageMaker's debughookconfig.json, unchanged."""

import atexit
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from contract.debugger import Schedule, read_config, tensors_folder
from monitor.debugger._smdebug import ModeKeys, SaveConfig, imported_quietly
from tests.train.tensors import INPUTS, LABELS, Tensors, hook, torch_hooks, train_by_hand, trainer, two_layers

with imported_quietly():
    from smdebug.pytorch import Hook as PlainHook


def sagemaker(folder: Path, *collections: dict[str, Any], **parameters: str) -> None:
    """The file as SageMaker writes it: every value a string."""
    content = {
        "S3OutputPath": "s3://bucket/job/debug-output",
        "LocalPath": "/opt/ml/output/tensors",
        "HookParameters": parameters,
        "CollectionConfigurations": list(collections),
    }
    (folder / "config").mkdir()
    (folder / "config" / "debughookconfig.json").write_text(json.dumps(content))


def collection(name: str, **parameters: str) -> dict[str, Any]:
    """A double underscore stands for a full stop."""
    given = {key.replace("__", "."): value for key, value in parameters.items()}
    return {"CollectionName": name, "CollectionParameters": given}


def test_whole_activations_of_an_in_place_relu(tmp_path: Path) -> None:
    sagemaker(tmp_path, collection("relu_activations", include_regex=".*relu_input|relu_output"), save_interval="2")
    network = two_layers()
    train_by_hand([hook(tmp_path)], network, steps=4)
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.steps() == [0, 2]
    assert tensors.names("relu_activations") == ["relu_input_0", "relu_output_0"]
    assert tensors.value("relu_input_0").tolist() == [[1, -2], [3, 4]]
    assert tensors.value("relu_output_0").tolist() == [[1, 0], [3, 4]]
    assert torch_hooks(network) == 0
    assert repr(network.get_submodule("relu")) == "ReLU(inplace=True)"
    # smdebug adds the losses to whatever is asked for, and nothing else.
    assert tensors.names() == ["CrossEntropyLoss_output_0", "relu_input_0", "relu_output_0"]


def test_whole_activations_in_bfloat16(tmp_path: Path) -> None:
    sagemaker(tmp_path, collection("relu_activations"), save_interval="1")
    train_by_hand([hook(tmp_path)], two_layers().bfloat16(), inputs=INPUTS.bfloat16())
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.value("relu_input_0").tolist() == [[1, -2], [3, 4]]


def test_intervals_by_mode_and_whole_tensors(tmp_path: Path) -> None:
    sagemaker(
        tmp_path,
        collection("losses", train__save_interval="1", eval__save_interval="3"),
        collection("gradients", train__save_interval="2"),
        collection("weights", save_steps="1,4", train__save_interval="500", eval__save_interval="500"),
    )
    trainer([hook(tmp_path)]).fit()
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.saved("CrossEntropyLoss_output_0") == list(range(6))
    # smdebug multiplies the intervals by each mode's own steps.
    assert tensors.saved("CrossEntropyLoss_output_0", "EVAL") == [0, 3]
    assert tensors.saved("gradient/Classifier_head.weight") == [0, 2, 4]
    assert tensors.saved("Classifier_head.weight") == [0, 1, 4]
    assert tensors.saved("Classifier_head.weight", "EVAL") == [0, 1]
    assert tensors.value("Classifier_head.weight").shape == (2, 4)
    assert tensors.value("gradient/Classifier_head.bias").shape == (2,)
    assert tensors.names("labels") == tensors.names("update_ratios") == []


def test_reductions_beside_whole_tensors(tmp_path: Path) -> None:
    every = "min,max,mean,std,variance,sum,prod,l1_norm,l2_norm,abs_min,abs_max,abs_mean,abs_sum,abs_std,abs_l2_norm"
    sagemaker(tmp_path, collection("gradients", reductions=every, save_raw_tensor="true"), save_interval="1")
    train_by_hand([hook(tmp_path)], two_layers())
    tensors = Tensors(tmp_path / "tensors")
    # (1/2, 1, -1/2, -1); the absolute values' mean is 3/4, and they are 1/4 away from it.
    expected = {
        ("sum", False): 0, ("prod", False): 0.25, ("l1", False): 3, ("l2", False): math.sqrt(2.5),
        ("min", True): 0.5, ("max", True): 1, ("mean", True): 0.75, ("sum", True): 3,
        ("std", True): math.sqrt(4 / 16 / 3), ("l2", True): math.sqrt(2.5),
    }  # fmt: skip
    name = "gradient/Sequential_head.weight"
    found = {key: tensors.reduction(name, key[0], absolute=key[1]) for key in expected}
    assert found == pytest.approx(expected)


def test_own_collections_by_name(tmp_path: Path) -> None:
    sagemaker(tmp_path, collection("relu_active_share"), collection("labels"), collection("biases"), save_interval="1")
    train_by_hand([hook(tmp_path)], two_layers())
    names = Tensors(tmp_path / "tensors").names()
    assert names == ["CrossEntropyLoss_output_0", "Sequential_head.bias", "labels", "relu_active_share/relu"]


def test_everything(tmp_path: Path) -> None:
    sagemaker(tmp_path, save_all="true", save_interval="1")
    network = two_layers()
    train_by_hand([hook(tmp_path)], network)
    tensors = Tensors(tmp_path / "tensors")
    layers = [f"{name}_{side}_0" for name in ("Sequential", "first", "head", "relu") for side in ("input", "output")]
    assert set(layers) <= set(tensors.names())
    assert tensors.value("head_input_0").tolist() == [[1, 0], [3, 4]]
    assert tensors.value("Sequential_first.weight").tolist() == [[1, 0], [0, 1]]
    assert torch_hooks(network) == 0


@pytest.mark.filterwarnings("ignore:tostring:DeprecationWarning")  # smdebug's
def test_the_same_as_plain_smdebug_saves(tmp_path: Path) -> None:
    """A hook of smdebug's own, registered as its documentation says, on the same network and data."""
    network, criterion = two_layers(), nn.CrossEntropyLoss()
    network.get_submodule("relu").__dict__["inplace"] = False  # else its input would be wrong
    plain = PlainHook(out_dir=str(tmp_path / "plain"), save_all=True, save_config=SaveConfig(save_interval=1))
    atexit.unregister(plain._cleanup)
    plain.register_module(network)
    plain.register_loss(criterion)
    plain.set_mode(ModeKeys.TRAIN)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        criterion(network(INPUTS), LABELS).backward()
        optimizer.step()
    plain.close()
    sagemaker(tmp_path, save_all="true", save_interval="1")
    train_by_hand([hook(tmp_path)], two_layers(), steps=2)
    ours, theirs = Tensors(tmp_path / "tensors"), Tensors(tmp_path / "plain")
    assert ours.steps("TRAIN") == theirs.steps("TRAIN") == [0, 1]
    # The loss is saved without its inputs, which are the network's output and the labels.
    names = [name for name in theirs.names() if not name.startswith("CrossEntropyLoss_input")]
    assert len(names) == 3 + 3 + 2 * 4 + 1
    for name in names:
        for step in (0, 1):
            assert ours.value(name, step).tolist() == theirs.value(name, step).tolist(), name


def test_a_configuration_without_wishes_leaves_the_choice_to_kennel(tmp_path: Path) -> None:
    sagemaker(tmp_path)
    train_by_hand([hook(tmp_path)], two_layers())
    assert len(Tensors(tmp_path / "tensors").names("update_ratios")) == 3


def test_another_folder(tmp_path: Path) -> None:
    file = tmp_path / "debughookconfig.json"
    default = tmp_path / "tensors"
    for given, folder in (
        ({"LocalPath": str(tmp_path / "mine")}, tmp_path / "mine"),
        # SageMaker's own means the one in this tree.
        ({"LocalPath": "/opt/ml/output/tensors/"}, default),
        ({"LocalPath": None}, default),
        ([], default),
    ):
        file.write_text(json.dumps(given))
        assert tensors_folder(file, default) == folder
    assert tensors_folder(tmp_path / "none.json", default) == default


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "debughookconfig.json can't be read as JSON"),
        ("[1]", "debughookconfig.json must hold a JSON object, got list"),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "debughookconfig.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=told):
        read_config(file)


@pytest.mark.parametrize(
    "content",
    [
        {"HookParameters": {"save_interval": "often"}},
        {"HookParameters": {"save_interval": "0"}},
        {"CollectionConfigurations": [{"CollectionName": "mine"}]},
        {"CollectionConfigurations": [{"CollectionName": "weights", "CollectionParameters": {"reductions": "median"}}]},
        {"CollectionConfigurations": [{"CollectionName": "mine", "CollectionParameters": {"include_regex": "("}}]},
        {"HookParameters": 7},
    ],
)
def test_a_faulty_configuration_is_told_once(
    tmp_path: Path, content: object, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "debughookconfig.json").write_text(json.dumps(content))
    network = two_layers()
    state = train_by_hand([hook(tmp_path)], network, steps=3)
    assert state.step == 3
    captured = capsys.readouterr()
    assert captured.err.count("WARNING: the debugger's hook is switched off") == 1
    assert captured.err.count("\n") == 1
    assert torch_hooks(network) == 0


def test_the_schedule() -> None:
    # Fifty saved steps, but 20 to 500 steps apart; the loss ten times as often.
    expected = {1: (20, 2), 1_000: (20, 2), 1_001: (21, 2), 2_100: (42, 4), 25_000: (500, 50), 1_000_000: (500, 50)}
    for steps, intervals in expected.items():
        schedule = Schedule(steps, epochs=1, eval_batches=1)
        assert (schedule.every(), schedule.every_loss()) == intervals
    assert [Schedule(steps, 1, 1, gpu=True).every() for steps in (1, 10_000, 10_001)] == [200, 200, 201]
    assert (Schedule(500, 1, 1, 3).every(), Schedule(500, 1, 1, 3).every_loss()) == (3, 1)


def test_validation_batches_are_spread() -> None:
    # 16 of 32: each from the middle of its two.
    assert Schedule(1, 1, 32).eval_steps() == list(range(1, 32, 2))
    assert Schedule(1, 2, 3).eval_steps() == [0, 1, 2, 3, 4, 5]
    # 250 epochs: every other one.
    assert Schedule(1, 250, 1).eval_steps() == list(range(0, 250, 2))
