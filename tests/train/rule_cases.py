"""Hand-made tensors just on both sides of each rule's thresholds, and what the rule has to tell of them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.train.sick import reduced

NAN, INF = float("nan"), float("inf")
W, G, L = "Net_fc.weight", "gradient/Net_fc.weight", "CrossEntropyLoss_output_0"
Steps = list[dict[str, Any]]


@dataclass
class Case:
    """Steps, all TRAIN unless said, and what the rule tells of them: (step, value) of each finding."""

    steps: Steps
    told: list[tuple[int, float | None]]
    parameters: dict[str, Any] = field(default_factory=dict)
    modes: str = ""  # T or E a step


def constant(value: float, size: int = 4) -> Any:
    return np.full((2, size // 2), value)


def spread(variance: float) -> Any:
    """Eight values of mean 0 and this variance: half of them sqrt(variance), half the negative."""
    return np.sqrt(variance) * np.array([[1.0, -1.0, 1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]])


def units(dead: int, of: int, active: float = 0.5, values: int = 200) -> Any:
    """(values, of): this many units are above 0 in 0.5 % of their values, 1 of 200; the others in `active`."""
    array = np.full((values, of), -1.0)
    array[: int(active * values), dead:] = 1.0
    array[0, :dead] = 1.0
    return array


def images(*means: float, count: int = 250) -> Any:
    """(count, channels, 2, 2) around these means."""
    wave = np.array([[1.0, -1.0], [-1.0, 1.0]])
    return np.tile(wave, (count, len(means), 1, 1)) + np.array(means)[None, :, None, None]


def labels(*counts: int) -> Any:
    return np.repeat(np.arange(len(counts)), counts)


def scores(indices: Any, classes: int) -> Any:
    return np.eye(classes, dtype=np.float32)[np.asarray(indices)]


def mistaken(wrong: int) -> dict[str, Any]:
    """100 labels of each of two classes; this many of class 1 are taken for class 0."""
    truth = labels(100, 100)
    predicted = truth.copy()
    predicted[100 : 100 + wrong] = 0
    return {"labels": truth, "predictions": scores(predicted, 2)}


# fmt: off
CASES: dict[str, list[Case]] = {
    "LossNotDecreasing": [
        Case([{L: 1.0}] * 50, [(49, 0.0)]),
        Case([{L: 1.0 - 0.01 * n} for n in range(50)], []),
    ],
    "Overfit": [
        Case([{L: 1.0}, {L: 1.25}], [(1, 0.25)], modes="TE"),  # (1.25 - 1) / 1
        Case([{L: 1.0}, {L: 1.0625}], [], modes="TE"),  # 0.0625, below 0.1
    ],
    "Overtraining": [
        Case([{L: 1.0}] * 10 + [{L: 0.5}] * 70, [(79, 0.5)]),
        Case([{L: 1.0}] * 10 + [{L: 0.5}] * 60, []),
    ],
    "VanishingGradient": [
        Case([{G: [9e-8, -9e-8]}, {G: [11e-8, -11e-8]}], [(0, 9e-8)]),
        Case([reduced(G, [9e-8, -9e-8]), reduced(G, [11e-8, -11e-8])], [(0, 9e-8)]),
        Case([{G: [9e-8]}], [], {"threshold": 8e-8}),
        Case([{"gradient/Net_fc.bias": [1e-9]}], []),
        Case([{"gradient/Net_fc.bias": [1e-9]}], [(0, 1e-9)], {"tensor_regex": "^gradient"}),
        # Nothing is left to learn at a loss below a thousandth of the first, 2.
        Case([{L: 2.0, G: [1.0]}, {L: 0.0021, G: [1e-8]}, {L: 0.0019, G: [1e-8]}], [(1, 1e-8)]),
        # SageMaker's min and max alone: mean |g| <= max |g| = 9e-8.
        Case([{f"smdebug/reductions/min/{G}": -9e-8, f"smdebug/reductions/max/{G}": 8e-8}], [(0, 9e-8)]),
        Case([{G: [NAN]}], []),
    ],
    "ExplodingTensor": [
        Case([{W: [1.0, 3e38]}, {W: [1.0, NAN]}, {W: [NAN, NAN]}, {G: [-INF]}], [(1, None), (3, None)]),
        Case([{W: [INF]}, {G: [NAN]}], [(1, None)], {"only_nan": True}),
        Case([{W: [NAN], G: [NAN]}], [(0, None)], {"tensor_regex": "^gradient"}),
        Case([{W: [NAN], G: [NAN]}], [(0, None)], {"collection_names": "losses,weights"}),
        Case([{f"smdebug/reductions/min/{W}": 1.0, f"smdebug/reductions/max/{W}": INF}], [(0, None)]),
        # The std of one value is NaN, as torch reckons it.
        Case([{f"smdebug/reductions/min/{W}": 1.0, f"smdebug/reductions/max/{W}": 1.0,
               f"smdebug/reductions/std/{W}": NAN}], []),
        Case([{"labels": [1, 2]}], []),
    ],
    "PoorWeightInitialization": [
        # (2, 4): fan_in 4, fan_out 2; the band is 1 / (3 * 4) = 0.0833 to 2 / 2 = 1. Ten times outside: 0.00833, 10.
        Case([{W: spread(0.008)}], [(0, 0.0833333 / 0.008)]),
        Case([{W: spread(0.009)}], []),
        Case([{W: spread(11.0)}], [(0, 11.0)]),
        Case([{W: spread(9.0)}], []),
        Case([{W: spread(9.0)}], [(0, 9.0)], {"threshold": 8.0}),
        Case([{W: constant(0.5)}], [(0, INF)]),
        Case([{W: constant(0.0)}], []),
        Case([{W: spread(0.5)}, {W: spread(100.0)}], []),  # not how it began
        Case([{"Net_embedding.weight": spread(100.0)}], []),
        # Gradients 0.0008 apart while the loss is flat: 5 steps after the first.
        Case([{L: 1.0, G: [-4e-4] * 50 + [4e-4] * 50}] * 7, [(5, 8e-4), (6, 8e-4)]),
        Case([{L: 1.0, G: [-6e-4] * 50 + [6e-4] * 50}] * 7, []),
        Case([{L: 0.98**n, G: [-4e-4] * 50 + [4e-4] * 50} for n in range(10)], []),
        Case([{L: 1.0, G: [-4e-4] * 50 + [4e-4] * 50}] * 7, [(3, 8e-4)], {"patience": 3, "steps": 4}),
        # Reductions: 3.29 * std of 2e-4 is 6.6e-4, of 4e-4 1.3e-3.
        Case([{L: 1.0} | reduced(G, [-2e-4, 2e-4])] * 6, [(5, 3.2897 * 2e-4)]),
        Case([{L: 1.0} | reduced(G, [-4e-4, 4e-4])] * 6, []),
        Case([{L: 1.0} | reduced(G, [-2e-4, NAN])] * 7, []),  # that is ExplodingTensor's
        Case([{"tanh0_input_0": spread(1.0), "tanh1_input_0": spread(16.0)}], [(0, 16.0)],
             {"activation_inputs_regex": "tanh.*input"}),
        Case([{"tanh0_input_0": spread(1.0), "tanh1_input_0": spread(9.0)}], [],
             {"activation_inputs_regex": "tanh.*input"}),
    ],
    "DeadRelu": [
        Case([{"relu1_output_0": units(6, 10)}], [(0, 60.0)]),
        Case([{"relu1_output_0": units(5, 10)}], []),
        Case([{"relu1_output_0": units(5, 10)}], [(0, 50.0)], {"threshold_layer": 49.0}),
        Case([{"relu1_output_0": units(6, 10)}], [], {"threshold_inactivity": 0.4}),  # they are active in 0.5 %
        Case([{"my_output": units(6, 10)}], [(0, 60.0)], {"tensor_regex": "^my"}),
        Case([{"relu1_output_0": units(6, 10, values=50)}] * 2, []),  # 1 of 50 values is 2 %
        Case([{"relu1_output_0": np.full((50, 4), -1.0)}] * 3, [(1, 100.0)]),  # 100 values come in two steps
        Case([{"relu1_input_0": np.full((100, 4), -1.0), "relu1_output_0": np.zeros((100, 4))}], [(0, 100.0)]),
        Case([{"relu1_output_0": np.full((2, 3, 10, 5), 1.0)}], []),  # 100 values of each of 3 channels
        # Shares as the hook measures them: 0.5 % of the values, or 1 %.
        Case([{"relu_active_share/relu": [0.005, 0.005, 0.3]}], [(0, 200 / 3)]),
        Case([{"relu_active_share/relu": [0.011, 0.011, 0.3]}], []),
        Case([{"relu_active_share/relu": [NAN, NAN, 0.3]}], []),
    ],
    "SaturatedActivation": [
        Case([{"tanh0_input_0": np.where(units(6, 10) > 0, 0.0, 9.6)}], [(0, 60.0)]),
        Case([{"tanh0_input_0": np.where(units(6, 10) > 0, 0.0, -9.6)}], [(0, 60.0)]),
        Case([{"tanh0_input_0": np.where(units(6, 10) > 0, 0.0, 9.4)}], []),
        Case([{"tanh0_input_0": np.where(units(5, 10) > 0, 0.0, 9.6)}], []),
        Case([{"sigmoid_input_0": np.full((100, 2), 17.1)}], [(0, 100.0)]),
        Case([{"sigmoid_input_0": np.full((100, 2), 16.9)}], []),
        Case([{"sigmoid_input_0": np.full((100, 2), -23.1)}], [(0, 100.0)]),
        Case([{"sigmoid_input_0": np.full((100, 2), -22.9)}], []),
        Case([{"my_tanh": np.full((100, 2), 5.0)}], [(0, 100.0)], {"tensor_regex": "my", "threshold_tanh_max": 4.0}),
    ],
    "WeightUpdateRatio": [
        # mean |w|: 1, 12, 24, 276. Updates 11, 12, 252: ratios 11 (the first one), 1, 10.5.
        Case([{W: constant(w)} for w in (1.0, 12.0, 24.0, 276.0)], [(3, 10.5)]),
        Case([{W: constant(w)} for w in (1.0, 12.0, 24.0, 263.0)], []),  # 239 / 24 = 9.96
        Case([{W: constant(1.0)}] * 3, [(2, 0.0)]),
        Case([{W: constant(1.0)}] * 2, []),
        # Over 2 steps: 23 / 1 (the first one), then 264 / 12.
        Case([{W: constant(w)} for w in (1.0, 12.0, 24.0, 276.0)], [(3, 22.0)], {"num_steps": 2}),
        Case([{"update_ratio/fc.weight": [r]} for r in (5e-9, 5e-9, 2e-8, 5e-9, 11.0, 9.0)], [(1, 5e-9), (4, 11.0)]),
        Case([{"update_ratio/fc.bias": [r]} for r in (100.0, 100.0)], []),
        Case([{"update_ratio/fc.weight": [r]} for r in (NAN, NAN, 1e-3)], []),
        # Only fc has gradients: the other layer is frozen.
        Case([{W: constant(w), "Net_frozen.weight": constant(1.0), G: [1.0]} for w in (1.0, 1.1, 1.2)], []),
    ],
    "AllZero": [
        Case([{G: [0.0, 1.0]}, {G: [0.0, 0.0]}, {G: [0.0, 1e-9]}], [(1, 100.0)]),
        Case([reduced(G, [0.0, 1.0]), reduced(G, [0.0, 0.0])], [(1, 100.0)]),
        Case([{G: [0.0, 0.0]}, {G: [1.0, 1.0]}], []),  # many start at 0
        Case([{G: [1.0]}, {G: [0.0, 0.0, 0.0, 1.0]}], [(1, 75.0)], {"threshold": 75.0}),
        Case([{G: [1.0]}, {G: [0.0, 0.0, 0.0, 1.0]}], [], {"threshold": 76.0}),
        Case([{"relu0_output_0": [0.0]}], [(0, 100.0)], {"tensor_regex": "relu"}),
        Case([{"Net_frozen.bias": [0.0], W: [1.0], G: [1.0]}] * 3, []),
        Case([{L: 1.0, G: [1.0]}, {L: 0.0, G: [0.0]}], []),
        Case([{W: [NAN]}, {W: [NAN]}], []),
    ],
    "UnchangedTensor": [
        # allclose: |before - now| <= 1e-8 + 1e-5 * |now|, of 1: 1.001e-5.
        Case([{W: constant(1.0)}, {W: constant(1.0)}, {W: constant(1.0 + 0.9e-5)}], [(2, None)]),
        Case([{W: constant(1.0)}, {W: constant(1.0)}, {W: constant(1.0 + 1.2e-5)}], []),
        Case([{W: constant(1.0)}] * 2, []),
        Case([{W: constant(1.0)}] * 2, [(1, None)], {"num_steps": 2}),
        Case([{W: constant(1.0)}, {W: constant(1.0)}, {W: constant(1.1)}], [(2, None)], {"rtol": 0.2}),
        Case([reduced(W, [1.0, 2.0])] * 3, [(2, None)]),
        Case([reduced(W, [1.0, 2.0])] * 2 + [reduced(W, [1.0, 2.000001])], []),  # equal, not close
        Case([{W: constant(1.0)}] * 4, [], modes="TEET"),  # nothing changes in validation
        Case([{W: constant(0.0)}] * 3, []),
        Case([{G: [1e-9, -5e-9]}] * 3, []),
        Case([{"Net_frozen.weight": constant(1.0), W: constant(1.0 + n), G: [float(n)]} for n in (1, 2, 3)], []),
        Case([{L: 0.7}] * 3, [(2, None)]),
        Case([{W: [NAN, 1.0]}] * 3, []),
    ],
    "TensorVariance": [
        Case([{W: spread(2.0)}, {W: spread(0.4)}, {W: spread(1.0)}], [(0, 2.0), (1, 0.4)],
             {"min_threshold": 0.5, "max_threshold": 1.5}),
        Case([reduced(W, spread(2.0))], [(0, 2.0)], {"max_threshold": 1.5}),
        Case([{W: spread(2.0)}], [], {"max_threshold": 2.5}),
        Case([{L: [1.0, 5.0]}], [(0, 4.0)], {"max_threshold": 3.0, "collection_names": "losses"}),
        Case([{W: [NAN, 1.0]}], [], {"max_threshold": 3.0}),
    ],
    "ClassImbalance": [
        Case([{"labels": labels(550, 50)}], [(0, 11.0)]),
        Case([{"labels": labels(500, 50)}], []),
        Case([{"labels": labels(250, 25)}] * 2, []),  # 500 labels have not been seen at the first
        Case([{"labels": labels(249, 24)}] * 2, [(1, 498 / 48)]),
        Case([{"labels": labels(450, 50)}], [(0, 9.0)], {"threshold_imbalance": 8.0}),
        # 120 labels are judged at the end, 98 aren't.
        Case([{"labels": labels(55, 5)}] * 2, [(1, 110 / 10)]),
        Case([{"labels": labels(46, 3)}] * 2, []),
        Case([{"labels": labels(90, 8)}], [], {"samples": 90}),  # fewer than 50 a class
        Case([{"labels": labels(600), "predictions": scores(labels(600), 2)}], [(0, INF)]),  # a class without any
        # Class 1 is mispredicted in 71 or 70 of 100 samples, in two judgements.
        Case([mistaken(71)] * 2, [(1, 0.71)], {"samples": 200}),
        Case([mistaken(70)] * 2, [], {"samples": 200}),
        Case([mistaken(71), mistaken(50), mistaken(71)], [], {"samples": 200}),
        Case([{"labels": labels(100, 100), "predictions": scores(labels(100, 100) ^ 1, 2)}] * 2, [], {"samples": 200}),
        Case([{"labels": labels(300, 300)}, {"labels": labels(20, 580)}], [], modes="TE"),  # validation may be uneven
        Case([{"labels": labels(20, 580)}], [(0, 29.0)], modes="E"),  # unless there is nothing else
    ],
    "CheckInputImages": [
        Case([{"Net_input_0": images(0.0, 0.25, -0.15)}] * 2, [(1, 0.25)]),
        Case([{"Net_input_0": images(0.0, 0.19, -0.19)}] * 2, []),
        Case([{"Net_input_0": images(0.0, -0.25, 0.0)}], []),  # 250 of 500
        Case([{"Net_input_0": images(0.0, -0.25, 0.0)}], [(0, -0.25)], {"threshold_samples": 250}),
        Case([{"pictures": images(0.3).transpose(0, 2, 3, 1)}] * 2, [(1, 0.3)], {"regex": "pict", "channel": 3}),
        Case([{"Net_input_0": images(0.3, 0.3, 0.3)}] * 2, [], {"threshold_mean": 0.31}),
        Case([{"input_means": np.tile([0.0, 0.3, 0.1], (500, 1))}], [(0, 0.3)]),
        Case([{"input_means": np.tile([0.0, 0.1, 0.1], (500, 1))}], []),
        Case([{"Net_input_0": np.full((500, 3, 2, 2), NAN)}], []),
    ],
    "Confusion": [
        # Of 10 of class 0, 8 are right and 2 taken for class 1; class 1 is right throughout.
        Case([{"labels": labels(10, 10), "predictions": scores([0] * 8 + [1] * 12, 2)}], [(0, 0.8), (0, 0.2)],
             modes="E"),
        Case([{"labels": labels(10, 10), "predictions": scores([0] * 8 + [1] * 12, 2)}], [], modes="T"),
        Case([{"labels": labels(10, 10), "predictions": scores([0] * 9 + [1] * 11, 2)}], [], modes="E"),
        Case([{"labels": labels(10, 10), "predictions": scores([0] * 8 + [1] * 12, 2)}], [],
             {"min_diag": 0.75, "max_off_diag": 0.25}, modes="E"),
        # One phase of two steps: 18 of 20 are right.
        Case([{"labels": labels(10), "predictions": scores([0] * 8 + [1] * 2, 2)},
              {"labels": labels(10), "predictions": scores([0] * 10, 2)}], [], modes="EE"),
    ],
}
# fmt: on
