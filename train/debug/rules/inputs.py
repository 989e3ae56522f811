"""The rule that judges what the network is fed with."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from contract.rules.verdict import Finding
from train.debug.rules.base import Array, Rule, Step
from train.debug.rules.common import finding, finite


class CheckInputImages(Rule):
    """The mean of a channel, over at least threshold_samples images, is farther from 0 than threshold_mean.

    Judged are each image's channel means, (N, C), where the hook measured them (collection input_means), else whole
    images with the channel on axis `channel`: the tensors that regex matches, or by default the first one in the
    alphabet named as ..._input_0 that has four dimensions and 1, 3 or 4 channels. Training and validation on their own;
    judged anew whenever another threshold_samples images have come.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._gathered: dict[tuple[str, str], list[Array]] = {}

    def judge(self, step: Step) -> list[Finding] | None:
        found = self._means(step)
        if found is None:
            return None
        name, means = found
        gathered = self._gathered.setdefault((step.mode, name), [])
        if gathered and gathered[0].shape[1] != means.shape[1]:
            gathered.clear()
        gathered.append(means)
        images = sum(len(each) for each in gathered)
        if images < self.parameters["threshold_samples"]:
            return None
        channels = np.concatenate(gathered).mean(axis=0)
        gathered.clear()
        limit = self.parameters["threshold_mean"]
        told = []
        for channel, mean in enumerate(channels):
            if abs(mean) > limit:
                text = f"{name}: the mean of channel {channel} over {images} images is {mean:.3g}, {limit:g} is allowed"
                told.append(finding(step, text, float(mean), name))
        return told

    def needs(self) -> str:
        return "at least threshold_samples images, or their channel means (collection input_means)"

    def _means(self, step: Step) -> tuple[str, Array] | None:
        """(name, (N, C))."""
        regex = self.parameters["regex"]
        for name in step.names("input_means") if not regex else ():
            value = step.value(name)
            if value is not None and finite(value) and value.ndim == 2:
                return name, value.astype(np.float64)
        channel = self.parameters["channel"]
        for name in step.matching(regex or "_input_0$"):
            value = step.value(name)
            if value is None or value.ndim != 4 or not 0 < channel < 4 or not finite(value):
                continue
            if regex or value.shape[channel] in (1, 3, 4):
                return name, value.astype(np.float64).mean(axis=tuple(axis for axis in (1, 2, 3) if axis != channel))
        return None
