"""What Kennel saves of its own choice: names, steps and values, worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from monitor.callbacks import Callback, TrainState
from monitor.debugger._smdebug import TensorUnavailableForStep
from tests.train.tensors import (
    INPUTS,
    BlackAndWhite,
    FeatureBatches,
    Tensors,
    hook,
    small_network,
    torch_hooks,
    train_by_hand,
    trainer,
    two_layers,
)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Tensors:
    """One step of `two_layers`.

    Hidden (1, 0) and (3, 4), logits (1, 1) and (7, 7): every probability is 1/2, the loss ln 2. The logits' gradients
    are (-1/4, 1/4) and (1/4, -1/4), the head's weight's -1/4 (1, 0) + 1/4 (3, 4) = (1/2, 1) and its negative.
    """
    folder = tmp_path_factory.mktemp("by_hand")
    train_by_hand([hook(folder)], two_layers())
    return Tensors(folder / "tensors")


def test_names_are_smdebugs(by_hand: Tensors) -> None:
    assert by_hand.steps() == [0]
    assert by_hand.names("losses") == ["CrossEntropyLoss_output_0"]
    assert by_hand.names("weights") == ["Sequential_first.weight", "Sequential_head.weight"]
    assert by_hand.names("biases") == ["Sequential_head.bias"]
    parameters = ("first.weight", "head.bias", "head.weight")
    assert by_hand.names("gradients") == [f"gradient/Sequential_{name}" for name in parameters]
    assert by_hand.names("update_ratios") == [f"update_ratio/{name}" for name in parameters]
    assert by_hand.names("relu_active_share") == ["relu_active_share/relu"]
    assert len(by_hand.names()) == 1 + 2 + 1 + 3 + 3 + 1 + 2  # and labels, predictions


def test_values_of_a_step(by_hand: Tensors) -> None:
    assert by_hand.value("CrossEntropyLoss_output_0") == pytest.approx(math.log(2))
    # Unit 0 has 1 and 3, unit 1 has 0 and 4.
    assert by_hand.value("relu_active_share/relu").tolist() == [1.0, 0.5]
    assert by_hand.value("predictions").tolist() == [[1, 1], [7, 7]]
    assert by_hand.value("labels").tolist() == [0, 1]
    assert by_hand.value("labels").dtype == np.int64


def test_gradients_and_weights_by_their_reductions(by_hand: Tensors) -> None:
    # (1/2, 1, -1/2, -1): squares 2.5.
    gradient = "gradient/Sequential_head.weight"
    expected = {"min": -1, "max": 1, "mean": 0, "variance": 2.5 / 3, "std": math.sqrt(2.5 / 3), "l2": math.sqrt(2.5)}
    assert {kind: by_hand.reduction(gradient, kind) for kind in expected} == pytest.approx(expected)
    assert by_hand.reduction(gradient, "mean", absolute=True) == pytest.approx(0.75)
    with pytest.raises(TensorUnavailableForStep, match="reductions saved"):
        by_hand.value(gradient)
    # As they were in the forward pass: (1, 0, 0, 1), squared distances from 1/2 are 1/4 each.
    weight = "Sequential_first.weight"
    expected = {"min": 0, "max": 1, "mean": 0.5, "variance": 1 / 3, "l2": math.sqrt(2)}
    assert {kind: by_hand.reduction(weight, kind) for kind in expected} == pytest.approx(expected)


def test_update_ratios(by_hand: Tensors) -> None:
    # 0.1 * (1/2 + 1 + 1/2 + 1) / 4, of weights of 1.
    assert by_hand.value("update_ratio/head.weight") == pytest.approx(0.075)
    # Both logits have the same weights, so nothing comes through them.
    assert by_hand.value("update_ratio/first.weight") == 0
    assert by_hand.reduction("gradient/Sequential_first.weight", "max", absolute=False) == 0


def test_gradients_are_saved_as_the_backward_pass_left_them(tmp_path: Path) -> None:
    train_by_hand([hook(tmp_path)], two_layers(), clip=0.1)
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.reduction("gradient/Sequential_head.weight", "l2") == pytest.approx(math.sqrt(2.5))
    # But the update is the clipped one's.
    assert tensors.value("update_ratio/head.weight") == pytest.approx(0.075 * 0.1 / math.sqrt(2.5), rel=1e-4)


class HookCounter(Callback):
    """Counts torch's hooks on the network while each step runs, and after it."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.during: list[int] = []
        self.after: list[int] = []

    def on_loss(self, state: TrainState, logits: Tensor, loss: Tensor) -> None:
        del state, logits, loss
        self.during.append(torch_hooks(self.network))

    def on_batch_end(self, state: TrainState) -> None:
        del state
        self.after.append(torch_hooks(self.network))


def test_a_step_that_is_not_saved_meets_no_hook(tmp_path: Path) -> None:
    network = two_layers()
    counter = HookCounter(network)
    # The counter stands before the hook: it sees what the forward pass saw.
    train_by_hand([counter, hook(tmp_path, interval=4)], network, steps=6)
    # One on the ReLU, one before the first layer.
    assert counter.during == [2, 0, 0, 0, 2, 0]
    assert counter.after == [0] * 6
    assert torch_hooks(network) == 0
    assert repr(network.get_submodule("relu")) == "ReLU(inplace=True)"
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.saved("CrossEntropyLoss_output_0") == [0, 1, 2, 3, 4, 5]
    assert tensors.saved("gradient/Sequential_head.weight") == [0, 4]
    assert tensors.saved("labels") == [0, 4]
    torch.export.export(network, (INPUTS,))


def test_training_is_the_same_with_and_without(tmp_path: Path) -> None:
    plain, watched = trainer([], ema_decay=0.9), trainer([hook(tmp_path)], ema_decay=0.9)
    expected, got = plain.fit(), watched.fit()
    assert Tensors(tmp_path / "tensors").steps() == list(range(6 + 4))
    assert [row["train_loss"] for row in plain.history] == [row["train_loss"] for row in watched.history]
    for name, value in expected.weights.items():
        assert torch.equal(value, got.weights[name]), name


def test_train_and_eval_steps_ascend_together(tmp_path: Path) -> None:
    training = trainer([hook(tmp_path, interval=3)])
    training.fit()
    tensors = Tensors(tmp_path / "tensors")
    # Each epoch has three training steps and two validation batches.
    assert tensors.steps("TRAIN") == [0, 1, 2, 3, 4, 5]
    assert tensors.steps("EVAL") == [0, 1, 2, 3]
    assert tensors.steps() == list(range(10))
    where = [tensors.trial.mode_modestep(step) for step in range(10)]
    assert [(mode.name[0], step) for mode, step in where] == [
        *(("T", 0), ("T", 1), ("T", 2), ("E", 0), ("E", 1)),
        *(("T", 3), ("T", 4), ("T", 5), ("E", 2), ("E", 3)),
    ]
    assert tensors.saved("gradient/Classifier_head.weight") == [0, 3]
    expected = ["CrossEntropyLoss_output_0", "input_means", "labels", "predictions"]
    assert tensors.names(step=2, mode="EVAL") == expected
    # The mean loss of a validation is its batches'.
    losses = [float(tensors.value("CrossEntropyLoss_output_0", step, "EVAL")) for step in (2, 3)]
    assert training.history[1]["validation_loss"] == pytest.approx(sum(losses) / 2)


def test_input_means_are_those_of_the_first_layer(tmp_path: Path) -> None:
    trainer([hook(tmp_path)], epochs=1).fit()
    tensors = Tensors(tmp_path / "tensors")
    # White is (1 - 0.5) / 0.5 = 1 in every channel, black (0 - 0.5) / 0.5 = -1.
    for mode in ("TRAIN", "EVAL"):
        assert tensors.value("input_means", 0, mode).tolist() == pytest.approx(np.array([[1.0] * 3, [-1.0] * 3]))


def test_averaged_weights_are_validated_and_free_of_hooks_afterwards(tmp_path: Path) -> None:
    training = trainer([hook(tmp_path)], ema_decay=0.9, epochs=1)
    training.fit()
    assert training.average is not None
    assert torch_hooks(training.average.module) == torch_hooks(training.network) == 0
    tensors = Tensors(tmp_path / "tensors")
    with torch.no_grad():
        images, labels = next(BlackAndWhite(1).epoch(0))
        logits = training.average.module(images)
        others = training.network(images)
    assert tensors.value("predictions", 0, "EVAL") == pytest.approx(logits.numpy())
    assert tensors.value("labels", 0, "EVAL").tolist() == labels.tolist()
    assert float((logits - others).abs().max()) > 1e-4  # they do differ


def test_layers_are_followed_from_when_they_are_trained(tmp_path: Path) -> None:
    trainer([hook(tmp_path)], freeze="gradual", epochs=4).fit()
    tensors = Tensors(tmp_path / "tensors")
    # Head alone in epoch 1 (steps 0 to 2), layer1 from epoch 2, the stem from epoch 3 on.
    for name, first in (("head.weight", 0), ("backbone.layer1.weight", 3), ("backbone.conv.weight", 6)):
        expected = list(range(first, 12))
        assert tensors.saved(f"gradient/Classifier_{name}") == expected
        assert tensors.saved(f"Classifier_{name}") == expected
        assert tensors.saved(f"update_ratio/{name}") == expected


def test_labels_of_mixed_images_are_not_saved(tmp_path: Path) -> None:
    trainer([hook(tmp_path, mixed=True)], mixup=0.2).fit()
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.saved("labels") == tensors.saved("predictions") == []
    assert tensors.saved("labels", "EVAL") == tensors.saved("predictions", "EVAL") == [0, 1, 2, 3]
    assert tensors.saved("CrossEntropyLoss_output_0") == list(range(6))


def test_a_head_on_features(tmp_path: Path) -> None:
    trainer([hook(tmp_path)], network=nn.Linear(2, 2), batches=FeatureBatches(3), freeze="backbone").fit()
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.names("weights") == ["Linear_weight"]
    assert tensors.names("gradients") == ["gradient/Linear_bias", "gradient/Linear_weight"]
    assert tensors.names("input_means") == tensors.names("relu_active_share") == []


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types_of_numbers(tmp_path: Path, kind: torch.dtype) -> None:
    # All values of `by_hand` have few bits: they are exact in every type.
    train_by_hand([hook(tmp_path)], two_layers().to(kind), inputs=INPUTS.to(kind))
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.reduction("gradient/Sequential_head.weight", "l2") == pytest.approx(math.sqrt(2.5), rel=1e-2)
    assert tensors.reduction("gradient/Sequential_head.weight", "max") == pytest.approx(1, rel=1e-2)
    assert tensors.value("predictions").tolist() == [[1, 1], [7, 7]]


def test_it_counts_its_time_to_the_phases_it_interrupts(tmp_path: Path) -> None:
    state = train_by_hand([hook(tmp_path)], two_layers())
    assert set(state.observed) == {"forward", "optimizer"}
    assert min(state.observed.values()) > 0


def test_a_branch_that_is_called_twice_has_two_shares(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.relu = nn.Linear(2, 2), nn.ReLU(inplace=True)

        def forward(self, values: Tensor) -> Tensor:
            positive = self.relu(-self.relu(self.layer(values)))
            return torch.add(self.layer(values), positive)

    train_by_hand([hook(tmp_path)], Twice())
    tensors = Tensors(tmp_path / "tensors")
    assert tensors.names("relu_active_share") == ["relu_active_share/relu", "relu_active_share/relu_1"]
    # What was positive is negative the second time.
    assert tensors.value("relu_active_share/relu_1").tolist() == [0, 0]


def test_the_network_has_no_traces_of_it(tmp_path: Path) -> None:
    network = small_network()
    before = {name: sorted(vars(module)) for name, module in network.named_modules()}
    trainer([hook(tmp_path)], network=network).fit()
    assert {name: sorted(vars(module)) for name, module in network.named_modules()} == before
