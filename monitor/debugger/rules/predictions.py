"""Rules that compare labels and predictions, and the one that judges what the network is fed with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.rules.verdict import Finding
from monitor.debugger.rules.base import TRAINING, Array, Step, TensorRule, finding, finite

Indices = NDArray[np.int64]
_EACH: Final = 50
"""Samples a class, on average, before counts are compared: then chance alone makes the largest count of 1000 even
classes less than 3.5 times the smallest (Poisson with mean 50: 29 to 77 is where 999 of 1000 lie)."""
_FEW: Final = 100
"""Labels that are enough for their counts to be judged at the end of a training that had no more."""
_OWN: Final = 10
"""Samples of a class before its own mispredictions are judged."""


def classes_of(values: Array | None, argmax: bool = True) -> Indices | None:
    """(N, C) scores or one-hot, (N,) or (N, 1) indices, or scores of two classes -> (N,) indices; None: neither.

    argmax: whether (N, C) are scores; otherwise (N, 1) and (N,) are indices already. Single scores that are no whole
    numbers are of the second of two classes: above 0.5 if all are within 0 and 1, else (logits) above 0.
    """
    if values is None or not finite(values) or values.ndim not in (1, 2):
        return None
    if values.ndim == 2 and values.shape[1] > 1:
        return np.asarray(values.argmax(axis=1), np.int64) if argmax else None
    flat = values.reshape(-1)
    if argmax and flat.dtype.kind == "f" and not (flat == np.round(flat)).all():
        return (flat > (0.5 if flat.min() >= 0 and flat.max() <= 1 else 0.0)).astype(np.int64)
    return flat.astype(np.int64) if (flat >= 0).all() else None


def width_of(values: Array | None) -> int:
    """How many classes the scores are of, 0 if they don't say."""
    return values.shape[1] if values is not None and values.ndim == 2 and values.shape[1] > 1 else 0


@dataclass
class _Seen:
    """What was gathered in one mode."""

    counts: Indices = field(default_factory=lambda: np.zeros(0, np.int64))
    labels: list[Indices] = field(default_factory=list)
    predicted: list[Indices] = field(default_factory=list)
    classes: int = 0
    judged: int = 0
    uneven: set[int] = field(default_factory=set)  # classes that were mispredicted too often last time

    def grow(self, classes: int) -> None:
        self.classes = max(self.classes, classes)
        if self.classes > self.counts.size:
            self.counts = np.pad(self.counts, (0, self.classes - self.counts.size))


class ClassImbalance(TensorRule):
    """largest class count / smallest > threshold_imbalance, or a class mispredicted more than threshold_misprediction.

    Counts are of all training labels so far; those of validation are judged only where there are none. Mispredictions
    are of the newest `samples` labels. It judges whenever another `samples` labels have come. Kennel's own reading: a
    training that ends before has its counts judged then, if there are 100 labels; the counts need 50 labels a class on
    average, so that chance is no imbalance; and a class is mispredicted unevenly only if it has 10 labels and the other
    classes together are mispredicted by less than half the threshold, for an untrained network mispredicts all of them;
    and if it is so twice in a row, for a network may find a class late.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._seen: dict[str, _Seen] = {}
        self._last: Step | None = None

    def judge(self, step: Step) -> list[Finding] | None:
        labels = self._find(step, self.parameters["labels_regex"])
        scores = self._find(step, self.parameters["predictions_regex"])
        truth = classes_of(labels)
        if truth is None or (step.mode not in TRAINING and any(mode in TRAINING for mode in self._seen)):
            return None
        seen = self._seen.setdefault(step.mode, _Seen())
        seen.grow(max(width_of(labels), width_of(scores), int(truth.max()) + 1))
        seen.counts = seen.counts + np.bincount(truth, minlength=seen.counts.size)
        predicted = classes_of(scores, self.parameters["argmax"])
        if predicted is not None and predicted.shape == truth.shape:
            seen.labels.append(truth)
            seen.predicted.append(predicted)
        self._last = step
        if seen.counts.sum() - seen.judged < self.parameters["samples"]:
            return None
        seen.judged = int(seen.counts.sum())
        return self._counts(step, seen) + self._mispredictions(step, seen)

    def end(self) -> list[Finding]:
        if self._last is None:
            return []
        seen = self._seen[self._last.mode]
        few = not seen.judged and seen.counts.sum() >= _FEW
        return self._counts(self._last, seen) if few else []

    def needs(self) -> str:
        return "at least `samples` labels (tensors that labels_regex matches), and predictions"

    @staticmethod
    def _find(step: Step, regex: str) -> Array | None:
        return next((value for name in step.matching(regex) if (value := step.value(name)) is not None), None)

    def _counts(self, step: Step, seen: _Seen) -> list[Finding]:
        counts = seen.counts
        if counts.size < 2 or counts.sum() < _EACH * counts.size:
            return []
        low, high = int(counts.argmin()), int(counts.argmax())
        ratio = float(counts[high] / counts[low]) if counts[low] else float("inf")
        if ratio <= self.parameters["threshold_imbalance"]:
            return []
        text = (
            f"class {high} has {counts[high]} of {counts.sum()} labels, class {low} only {counts[low]}; "
            f"{self.parameters['threshold_imbalance']:g} times as many are allowed"
        )
        return [finding(step, text, ratio, "labels")]

    def _mispredictions(self, step: Step, seen: _Seen) -> list[Finding]:
        if not seen.labels:
            return []
        truth, predicted = np.concatenate(seen.labels), np.concatenate(seen.predicted)
        seen.labels, seen.predicted = [], []
        wrong, limit = truth != predicted, self.parameters["threshold_misprediction"]
        findings, uneven = [], set[int]()
        for index in np.unique(truth):
            own = truth == index
            others = wrong[~own]
            share = float(wrong[own].mean())
            if own.sum() < _OWN or share <= limit or not others.size or others.mean() >= limit / 2:
                continue
            uneven.add(int(index))
            if index not in seen.uneven:
                continue
            text = f"class {index} is mispredicted in {100 * share:.3g} % of {own.sum()} samples, the others in "
            findings.append(finding(step, f"{text}{100 * others.mean():.3g} %", share, "predictions"))
        seen.uneven = uneven
        return findings


class Confusion(TensorRule):
    """The confusion matrix of a validation phase, by rows of the true class, has a share on the diagonal below min_diag
    or off it above max_off_diag.

    A phase is a row of EVAL (or PREDICT) steps; where no mode was set (GLOBAL), 500 samples or more are one. Training
    steps are not judged, for an untrained network confuses everything. The documented formula divides the diagonal by
    the sum of the whole diagonal, which no matrix of two classes passes; Kennel divides by the row, the samples of that
    class.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self._pairs: list[tuple[Indices, Indices]] = []
        self._classes = parameters["category_no"]
        self._last: Step | None = None

    def judge(self, step: Step) -> list[Finding] | None:
        if step.mode == "TRAIN":
            return self.end() or None
        labels = self._find(step, "labels")
        scores = self._find(step, "predictions")
        truth, predicted = classes_of(labels), classes_of(scores)
        if truth is None or predicted is None or truth.shape != predicted.shape:
            return None
        self._pairs.append((truth, predicted))
        self._last = step
        if step.mode == "GLOBAL" and sum(len(each) for each, _ in self._pairs) >= 500:
            return self.end()
        return []

    def end(self) -> list[Finding]:
        if not self._pairs or self._last is None:
            return []
        truth, predicted = (np.concatenate(each) for each in zip(*self._pairs, strict=True))
        self._pairs = []
        size = max(self._classes, int(max(truth.max(), predicted.max())) + 1)
        matrix = np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)
        return self._judge(self._last, matrix)

    def needs(self) -> str:
        return "labels and predictions of validation steps (collections of these names)"

    def _find(self, step: Step, which: str) -> Array | None:
        names = step.names(self.parameters[f"{which}_collection"]) or step.matching(self.parameters[which])
        return next((value for name in names if (value := step.value(name)) is not None), None)

    def _judge(self, step: Step, matrix: Indices) -> list[Finding]:
        findings = []
        for row, counts in enumerate(matrix):
            if not counts.sum():
                continue
            shares = counts / counts.sum()
            if shares[row] < self.parameters["min_diag"]:
                text = f"class {row} is recognised in {100 * shares[row]:.3g} % of {counts.sum()} samples"
                findings.append(finding(step, text, float(shares[row]), "predictions"))
            for column, share in enumerate(shares):
                if column != row and share > self.parameters["max_off_diag"]:
                    text = f"class {row} is taken for class {column} in {100 * share:.3g} % of {counts.sum()} samples"
                    findings.append(finding(step, text, float(share), "predictions"))
        return findings


class CheckInputImages(TensorRule):
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
        findings = []
        for channel, mean in enumerate(channels):
            if abs(mean) > limit:
                text = f"{name}: the mean of channel {channel} over {images} images is {mean:.3g}, {limit:g} is allowed"
                findings.append(finding(step, text, float(mean), name))
        return findings

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
