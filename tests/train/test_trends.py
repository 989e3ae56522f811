"""What the debugger's page plots, on steps made by hand."""

import math
from typing import Any

import numpy as np
import pytest

from monitor.debugger.trends import MOST_STEPS, Trends, layer_name, network_order
from tests.train.saved_steps import Saved, losses


def step_with(number: int, **tensors: tuple[str, Any]) -> Saved:
    arrays = {
        name.replace("__", "/").replace("_DOT_", "."): (kind, np.array(value))
        for name, (kind, value) in tensors.items()
    }
    return Saved(number, "TRAIN", number, arrays)


def test_trends_by_arithmetic() -> None:
    trends = Trends()
    trends.add(
        step_with(
            0,
            Net_conv1_DOT_weight=("weights", [3.0, 4.0]),
            gradient__Net_conv1_DOT_weight=("gradients", [0.6, 0.8]),
            gradient__Net_fc_DOT_weight=("gradients", [1.0, math.inf]),
            update_ratio__conv1_DOT_weight=("update_ratios", 0.25),
            # Two of four units are above 0 for less than 1 % of their values.
            relu_active_share__relu=("relu_active_share", [0.0, 0.009, 0.01, 1.0]),
        )
    )
    trends.add(step_with(5, gradient__Net_fc_DOT_weight=("gradients", [0.0, 2.0])))
    found = trends.to_dict()
    # sqrt(0.36 + 0.64) = 1 and sqrt(0 + 4) = 2; JSON has no infinity, which goes by its name.
    assert found["gradient_norm"] == {
        "steps": [0, 5], "layers": ["conv1.weight", "fc.weight"], "values": [[pytest.approx(1.0), None], ["inf", 2.0]],
    }  # fmt: skip
    assert found["weight_norm"] == {"steps": [0], "layers": ["conv1.weight"], "values": [[5.0]]}
    assert found["update_ratio"] == {"steps": [0], "layers": ["conv1.weight"], "values": [[0.25]]}
    assert found["dead_relu_share"] == {"steps": [0], "layers": ["relu"], "values": [[0.5]]}


def test_trends_stay_small_and_even() -> None:
    trends = Trends()
    for step in losses(*range(5 * MOST_STEPS)):
        trends.add(step)
    steps = [row[0] for row in trends.to_dict()["losses"]["TRAIN"]]
    # 2000 steps: doubled at 401, 801 and 1601 (each time more than 400 would be left), so every 8th of them, 10 apart.
    assert steps == [80 * index for index in range(250)]


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("gradient/Classifier_head.weight", "head.weight"),
        ("Classifier_backbone.layer2.0.conv1.weight", "backbone.layer2.0.conv1.weight"),
        ("relu_active_share/backbone.layer2.0.relu", "backbone.layer2.0.relu"),
        ("update_ratio/head.bias", "head.bias"),
        ("Linear_bias", "bias"),
    ],
)
def test_a_layer_is_called_after_its_parameter(tensor: str, layer: str) -> None:
    assert layer_name(tensor) == layer


def test_layers_go_from_input_to_output() -> None:
    layers = [
        "conv1.weight",
        "bn1.weight",
        "layer2.0.conv1.weight",
        "layer2.0.bn1.weight",
        "layer2.1.conv1.weight",
        "layer10.0.conv1.weight",
    ]
    expected = [*(f"backbone.{layer}" for layer in layers), "head.fc.weight", "head.fc.bias"]
    assert sorted(sorted(expected), key=network_order) == expected
