"""Real small networks, sick on purpose, written by a plain smdebug script: the right rule fires and no wrong one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract.rules.tensor import TENSOR_RULES
from tests.shared import made_once
from tests.train.sick import judge, judge_all, make

pytestmark = pytest.mark.long

# What fires for each network, by default. Beside the sickness's own rule, which comes first, only what can't be told
# from it.
FIRES: dict[str, set[str]] = {
    "healthy": set(),
    "healthy_conv": set(),
    "healthy_frozen": set(),
    "healthy_reduced": set(),
    # Gradients of 1e-19 leave float32 weights as they are, so these don't move, and neither does the loss.
    "vanishing": {"VanishingGradient", "LossNotDecreasing", "WeightUpdateRatio", "UnchangedTensor"},
    "vanishing_reduced": {"VanishingGradient"},
    # A rate of a million: the update that is followed by NaN is a billion times the weight. The loss is NaN after two
    # steps, so nothing is said of its course.
    "exploding": {"ExplodingTensor", "WeightUpdateRatio"},
    "dead_relu": {"DeadRelu"},
    # Training went on for more than ten epochs after the validation loss was at its best.
    "memorised": {"Overfit", "Overtraining"},
    "badly_scaled": {"PoorWeightInitialization"},
    "shuffled": {"LossNotDecreasing"},
    "hardly_learning": {"LossNotDecreasing"},
    # A rate of 1e-12 is below what float32 weights resolve: they don't move at all.
    "standing_still": {"WeightUpdateRatio", "UnchangedTensor", "LossNotDecreasing"},
    "saturated": {"SaturatedActivation"},
    "unnormalised": {"CheckInputImages"},
    "imbalanced": {"ClassImbalance"},
}
DEFAULT = [name for name, spec in TENSOR_RULES.items() if spec.on]


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All networks' folders, trained in one process that never saw Kennel."""
    return made_once(tmp_path_factory, "sick", train_networks)


def train_networks(folder: Path) -> Path:
    script = Path(__file__).with_name("sick_networks.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SMDEBUG_LOG_LEVEL": "error"}
    environment.pop("TRAINING_JOB_NAME", None)
    command = [sys.executable, "-W", "ignore", str(script), str(folder)]
    result = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert {each.name for each in folder.iterdir()} == set(FIRES)
    return folder


@pytest.mark.parametrize("name", FIRES)
def test_a_sickness_is_named_by_the_right_rule_alone(networks: Path, name: str) -> None:
    answers = judge_all(networks / name, {rule: make(rule) for rule in DEFAULT})
    assert {rule: findings[0].text for rule, (findings, _) in answers.items() if findings}.keys() == FIRES[name]
    judged = {rule for rule, (_, datapoints) in answers.items() if datapoints}
    assert FIRES[name] | {"ExplodingTensor"} <= judged


def test_a_healthy_network_is_judged_by_all_rules_but_those_it_holds_nothing_for(networks: Path) -> None:
    answers = judge_all(networks / "healthy", {rule: make(rule) for rule in DEFAULT})
    silent = {rule for rule, (_, datapoints) in answers.items() if not datapoints}
    assert silent == {"SaturatedActivation", "CheckInputImages"}  # neither tanh nor images in it


def test_findings_name_the_sick_layer(networks: Path) -> None:
    (dead, *_), _ = judge(networks / "dead_relu", "DeadRelu")
    assert (dead.tensor, dead.value, dead.mode) == ("relu1_output_0", 75.0, "TRAIN")  # 24 of its 32 units
    (scaled,), _ = judge(networks / "badly_scaled", "PoorWeightInitialization")
    assert (scaled.tensor, scaled.step) == ("Net_fc1.weight", 0)
    findings, _ = judge(networks / "vanishing", "VanishingGradient")
    first = {each.tensor for each in findings if each.step == 0}
    assert "gradient/Net_fc0.weight" in first
    assert "gradient/Net_head.weight" not in first
    (exploded, *_), _ = judge(networks / "exploding", "ExplodingTensor")
    assert "holds NaN" in exploded.text


def test_memorised_labels_are_confused_in_validation(networks: Path) -> None:
    findings, datapoints = judge(networks / "memorised", "Confusion")
    assert datapoints > 0
    assert any("is recognised in" in each.text for each in findings)
    assert {each.mode for each in findings} == {"EVAL"}
