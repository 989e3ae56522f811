"""GPUMemoryIncrease and LoadBalancing."""

import itertools

import numpy as np

from contract.rules.verdict import Finding
from train.profile.recording import FloatArray, Recording
from train.profile.rules.base import LEAST_LIVE, LEAST_SAMPLES, Judged, Judgement, Rule, need_gpu, percent, samples
from train.profile.statistics import mean

_BINS = 10


class GPUMemoryIncrease(Rule):
    """Fires when the moving average of a GPU's used memory has risen by more than `increase` percentage points.

    Risen against its lowest value so far; after a finding it starts anew from there, so that memory that goes on
    growing is found again. Kennel's own reading for a job too short for patience and window: the window is a quarter of
    its samples, and the first quarter, in which memory is allocated, is left out.
    """

    def judge(self, run: Recording, ended: bool) -> Judgement:
        need_gpu(run)
        found = Judgement()
        chosen = self.parameters
        for node in run.nodes.values():
            judged = samples(run, node, chosen["patience"], chosen["window"] + 1, ended)
            found.note = judged.note or found.note
            window = chosen["window"]
            if judged.note is not None and len(judged):
                window = min(window, max(1, len(judged) // 4))
                judged = Judged(run, node, judged.start + len(judged) // 4, judged.stop, judged.note)
            for gpu in node.gpus():
                found.datapoints += len(judged)
                found.findings += self._rises(judged, gpu, window)
        return found

    def _rises(self, judged: Judged, gpu: str, window: int) -> list[Finding]:
        values = judged.column(f"{gpu}_memory")
        values = values[np.isfinite(values)]
        if len(values) <= window:
            return []
        sums = np.concatenate([[0.0], np.cumsum(values)])
        average = (sums[window:] - sums[:-window]) / window
        found, lowest = [], 0
        for index in range(1, len(average)):
            rise = average[index] - average[lowest]
            if rise > self.parameters["increase"]:
                span = judged.span(lowest + window - 1, index + window - 1)
                found.append(
                    Finding(
                        f"{judged.where()}{gpu}: mean of used memory rose by {percent(rise)} "
                        f"from {percent(average[lowest])} at {span[0]:.1f} s to {percent(average[index])} "
                        f"at {span[1]:.1f} s",
                        float(rise),
                        start_s=span[0],
                        end_s=span[1],
                    )
                )
                lowest = index
            elif rise < 0:
                lowest = index
        return found


def histogram(values: FloatArray) -> FloatArray:
    """(10,) share of the samples in each tenth of 0 to 100 %; the sum is 1."""
    counts = np.histogram(np.clip(values[np.isfinite(values)], 0, 100), bins=_BINS, range=(0, 100))[0]
    total = counts.sum()
    return counts / total if total else np.zeros(_BINS)


class LoadBalancing(Rule):
    """Fires when the utilisation histograms of two GPUs are farther apart than `threshold`.

    Kennel's own reading: ten bins of 10 %; the distance is half the sum of the differences (total variation):
    0 for equal histograms, 1 for such that share no bin.
    """

    def judge(self, run: Recording, ended: bool) -> Judgement:
        need_gpu(run, least=2)
        found = Judgement()
        gpus: list[tuple[str, FloatArray, float, Judged]] = []
        for node in run.nodes.values():
            least = LEAST_SAMPLES if ended else LEAST_LIVE
            judged = samples(run, node, self.parameters["patience"], least, ended)
            found.note = judged.note or found.note
            for gpu in node.gpus() if len(judged) else ():
                values = judged.column(gpu)
                found.datapoints += len(values)
                gpus.append((f"{judged.where()}{gpu}", histogram(values), mean(values), judged))
        for (name, values, used, judged), (other, others, less, _) in itertools.combinations(gpus, 2):
            distance = 0.5 * float(np.abs(values - others).sum())
            if distance > self.parameters["threshold"]:
                span = judged.span(0, len(judged) - 1)
                text = (
                    f"the utilisation of {name} (mean {percent(used)}) and {other} "
                    f"(mean {percent(less)}) differs: distance {distance:.2f}"
                )
                found.findings.append(Finding(text, distance, start_s=span[0], end_s=span[1]))
        return found
