"""Every tensor rule by its name."""

from typing import Final

from monitor.debugger.rules.activations import DeadRelu, SaturatedActivation
from monitor.debugger.rules.base import Rule
from monitor.debugger.rules.losses import LossNotDecreasing, Overfit, Overtraining
from monitor.debugger.rules.phases import StalledTrainingRule
from monitor.debugger.rules.predictions import CheckInputImages, ClassImbalance, Confusion
from monitor.debugger.rules.tensors import AllZero, ExplodingTensor, TensorVariance, UnchangedTensor, VanishingGradient
from monitor.debugger.rules.weights import PoorWeightInitialization, WeightUpdateRatio

_CLASSES: Final[tuple[type[Rule], ...]] = (
    LossNotDecreasing, VanishingGradient, ExplodingTensor, Overfit, Overtraining, PoorWeightInitialization, DeadRelu,
    SaturatedActivation, WeightUpdateRatio, AllZero, UnchangedTensor, TensorVariance, ClassImbalance, CheckInputImages,
    Confusion, StalledTrainingRule,
)  # fmt: skip

TENSOR_RULE_CLASSES: Final[dict[str, type[Rule]]] = {each.__name__: each for each in _CLASSES}
"""Rule name -> class, in the order of contract.rules.tensor.TENSOR_RULES."""
