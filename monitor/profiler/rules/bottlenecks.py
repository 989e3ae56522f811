"""CPUBottleneck and IOBottleneck: the time in which something holds the GPU up. GPUMemoryIncrease and LoadBalancing."""

import itertools
from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from contract.rules.verdict import Finding
from monitor.profiler.recording import FloatArray, Recording
from monitor.profiler.rules.base import (
    LEAST_LIVE,
    LEAST_SAMPLES,
    JudgedSamples,
    Judgement,
    NoGPU,
    NothingToJudge,
    ProfilerRule,
    need_gpu,
    need_samples,
    percent,
    samples,
    seconds,
)
from monitor.profiler.statistics import mean


class _ShareOfTime(ProfilerRule):
    """Fires when a condition held in more than `threshold` percent of a machine's judged samples.

    Each span of samples in which it held is a finding.
    """

    @abstractmethod
    def held(self, judged: JudgedSamples) -> NDArray[np.bool_]:
        """(N,) whether the condition held in each sample."""

    @abstractmethod
    def words(self, gpu: bool) -> str:
        """The condition in words. gpu: whether the machine has one."""

    def judge(self, run: Recording, ended: bool) -> Judgement:
        found = Judgement()
        for node in run.nodes.values():
            least = LEAST_SAMPLES if ended else LEAST_LIVE
            judged = samples(run, node, self.parameters["patience"], least, ended)
            found.note = judged.note or found.note
            if not len(judged):
                continue
            found.datapoints += len(judged)
            held = self.held(judged)
            share = 100 * float(held.mean())
            if share <= self.parameters["threshold"]:
                continue
            for span in judged.spans(held):
                text = (
                    f"{judged.where()}{seconds(span)} {self.words(bool(node.gpus()))} "
                    f"({percent(share)} of {len(judged)} samples in all)"
                )
                found.findings.append(Finding(text, share, start_s=span[0], end_s=span[1]))
        return found


def least_used_gpu(judged: JudgedSamples) -> FloatArray:
    """(N,) percent of the GPU that is used least at the time."""
    gpus = judged.node.gpus()
    columns = [judged.column(gpu) for gpu in gpus]
    least: FloatArray = np.min([np.where(np.isfinite(each), each, np.inf) for each in columns], axis=0)
    return least


class CPUBottleneck(_ShareOfTime):
    """Fires when for more than `threshold` percent of the time a core is above cpu_threshold and a GPU below gpu_threshold.

    Kennel's own reading: the busiest core and the least used GPU of a sample, for one process that loads images
    keeps one core busy and may starve the GPU, however many cores are idle.
    """  # noqa: E501

    def judge(self, run: Recording, ended: bool) -> Judgement:
        try:
            need_gpu(run)
        except NoGPU as nothing:
            raise NoGPU(f"{nothing}: a CPU that trains is meant to be busy") from None
        return super().judge(run, ended)

    def held(self, judged: JudgedSamples) -> NDArray[np.bool_]:
        chosen = self.parameters
        held: NDArray[np.bool_] = judged.column("cpu_max") > chosen["cpu_threshold"]
        if not judged.node.gpus():
            return np.zeros_like(held)
        held &= least_used_gpu(judged) < chosen["gpu_threshold"]
        return held

    def words(self, gpu: bool) -> str:  # noqa: ARG002
        chosen = self.parameters
        return f"a CPU core was above {chosen['cpu_threshold']:g} % while a GPU was below {chosen['gpu_threshold']:g} %"


class IOBottleneck(_ShareOfTime):
    """Fires when for more than `threshold` percent of the time I/O wait is above io_threshold and a GPU below gpu_threshold.

    I/O wait: of the core that waits most, or of the whole machine where cores aren't separate. Kennel's own
    reading: without a GPU the I/O wait is judged alone, for a CPU that waits for the disk can't train.
    """  # noqa: E501

    def judge(self, run: Recording, ended: bool) -> Judgement:
        need_samples(run)
        if not any(np.isfinite(node["iowait_max"]).any() for node in run.nodes.values()):
            raise NothingToJudge("I/O wait was not sampled (only Linux reports it)")
        found = super().judge(run, ended)
        if not run.has_gpu() and found.datapoints:
            alone = "no GPU was sampled: I/O wait is judged alone"
            found.note = f"{found.note}; {alone}" if found.note else alone
        return found

    def held(self, judged: JudgedSamples) -> NDArray[np.bool_]:
        held: NDArray[np.bool_] = judged.column("iowait_max") > self.parameters["io_threshold"]
        if judged.node.gpus():
            held &= least_used_gpu(judged) < self.parameters["gpu_threshold"]
        return held

    def words(self, gpu: bool) -> str:
        text = f"I/O wait was above {self.parameters['io_threshold']:g} %"
        if gpu:
            text += f" while a GPU was below {self.parameters['gpu_threshold']:g} %"
        return text


_BINS = 10


class GPUMemoryIncrease(ProfilerRule):
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
                judged = JudgedSamples(run, node, judged.start + len(judged) // 4, judged.stop, judged.note)
            for gpu in node.gpus():
                found.datapoints += len(judged)
                found.findings += self._rises(judged, gpu, window)
        return found

    def _rises(self, judged: JudgedSamples, gpu: str, window: int) -> list[Finding]:
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


class LoadBalancing(ProfilerRule):
    """Fires when the utilisation histograms of two GPUs are farther apart than `threshold`.

    Kennel's own reading: ten bins of 10 %; the distance is half the sum of the differences (total variation):
    0 for equal histograms, 1 for such that share no bin.
    """

    def judge(self, run: Recording, ended: bool) -> Judgement:
        need_gpu(run, least=2)
        found = Judgement()
        gpus: list[tuple[str, FloatArray, float, JudgedSamples]] = []
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
