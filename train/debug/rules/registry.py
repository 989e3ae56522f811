"""Every tensor rule by its name."""

from typing import Final

from train.debug.rules.activations import DeadRelu, SaturatedActivation
from train.debug.rules.base import Rule
from train.debug.rules.gradients import VanishingGradient
from train.debug.rules.inputs import CheckInputImages
from train.debug.rules.losses import LossNotDecreasing, Overfit
from train.debug.rules.overtraining import Overtraining
from train.debug.rules.predictions import ClassImbalance, Confusion
from train.debug.rules.stalled import StalledTrainingRule
from train.debug.rules.tensors import AllZero, ExplodingTensor, TensorVariance, UnchangedTensor
from train.debug.rules.weights import PoorWeightInitialization, WeightUpdateRatio

_CLASSES: Final[tuple[type[Rule], ...]] = (
    LossNotDecreasing, VanishingGradient, ExplodingTensor, Overfit, Overtraining, PoorWeightInitialization, DeadRelu,
    SaturatedActivation, WeightUpdateRatio, AllZero, UnchangedTensor, TensorVariance, ClassImbalance, CheckInputImages,
    Confusion, StalledTrainingRule,
)  # fmt: skip

TENSOR_RULE_CLASSES: Final[dict[str, type[Rule]]] = {each.__name__: each for each in _CLASSES}
"""Rule name -> class, in the order of contract.rules.tensor.TENSOR_RULES."""
