"""BatchSize and LowGPUUtilization: windows of samples in which little is used; OverallSystemUsage."""

import numpy as np

from contract.rules.verdict import Finding
from monitor.profiler.recording import FloatArray, Recording
from monitor.profiler.rules.base import (
    JudgedSamples,
    Judgement,
    ProfilerRule,
    need_gpu,
    need_samples,
    percent,
    samples,
    seconds,
)
from monitor.profiler.statistics import percentile, spans


def windows(judged: JudgedSamples, window: int) -> list[tuple[int, int]]:
    """(first, last) of windows that follow each other without overlap; one of all samples in a job that is too short.

    What is left over at the end is no window. Kennel's own reading: the documentation doesn't say whether they overlap.
    """
    if judged.note is not None:
        return [(0, len(judged) - 1)] if len(judged) else []
    return [(first, first + window - 1) for first in range(0, len(judged) - window + 1, window)]


def merged(all_windows: list[tuple[int, int]], fires: list[bool]) -> list[tuple[int, int]]:
    """Windows that fire one after the other as one span."""
    return [(all_windows[first][0], all_windows[last][1]) for first, last in spans(np.array(fires, dtype=np.bool_))]


class BatchSize(ProfilerRule):
    """Fires where, in a window, the 95th percentiles of CPU, GPU and GPU memory are all below their thresholds.

    CPU: mean of the cores; GPU and GPU memory: the most used GPU's. Kennel's own reading: without a GPU the CPU is what
    trains, and is judged alone.
    """

    def judge(self, run: Recording, ended: bool) -> Judgement:
        need_samples(run)
        found = Judgement()
        chosen = self.parameters
        for node in run.nodes.values():
            judged = samples(run, node, chosen["patience"], chosen["window"], ended)
            found.note = judged.note or found.note
            found.datapoints += len(judged)
            parts = windows(judged, chosen["window"])
            fires = [self._fires(self._percentiles(judged, first, last)) for first, last in parts]
            for first, last in merged(parts, fires):
                values = self._percentiles(judged, first, last)
                span = judged.span(first, last)
                percentiles = ", ".join(f"{name} {percent(value)}" for name, value in values.items())
                text = f"{judged.where()}95th percentiles {seconds(span)}: {percentiles}"
                found.findings.append(Finding(text, next(iter(values.values())), start_s=span[0], end_s=span[1]))
        if not run.has_gpu() and found.datapoints:
            alone = "no GPU was sampled: the CPU is judged alone"
            found.note = f"{found.note}; {alone}" if found.note else alone
        return found

    def _percentiles(self, judged: JudgedSamples, first: int, last: int) -> dict[str, float]:
        part = slice(first, last + 1)
        values = {"CPU": percentile(judged.column("cpu")[part], 95)}
        gpus = judged.node.gpus()
        if gpus:
            values["GPU"] = max(percentile(judged.column(gpu)[part], 95) for gpu in gpus)
            values["GPU memory"] = max(percentile(judged.column(f"{gpu}_memory")[part], 95) for gpu in gpus)
        return values

    def _fires(self, values: dict[str, float]) -> bool:
        limits = {"CPU": "cpu_threshold_p95", "GPU": "gpu_threshold_p95", "GPU memory": "gpu_memory_threshold_p95"}
        return all(value < self.parameters[limits[name]] for name, value in values.items())


class LowGPUUtilization(ProfilerRule):
    """Fires where, in a window, a GPU's 95th percentile is below threshold_p95: it has too little to do.

    And where it is not, but the 5th is below threshold_p5: the GPU works in spurts and waits between them.
    """

    def judge(self, run: Recording, ended: bool) -> Judgement:
        need_gpu(run)
        found = Judgement()
        chosen = self.parameters
        for node in run.nodes.values():
            judged = samples(run, node, chosen["patience"], chosen["window"], ended)
            found.note = judged.note or found.note
            found.datapoints += len(judged) if node.gpus() else 0
            parts = windows(judged, chosen["window"])
            for gpu in node.gpus():
                values = judged.column(gpu)
                kinds = [self._kind(values[first : last + 1]) for first, last in parts]
                for kind in ("low", "spurts"):
                    for first, last in merged(parts, [each == kind for each in kinds]):
                        found.findings.append(self._finding(judged, gpu, first, last, kind))
        return found

    def _kind(self, values: FloatArray) -> str:
        if percentile(values, 95) < self.parameters["threshold_p95"]:
            return "low"
        return "spurts" if percentile(values, 5) < self.parameters["threshold_p5"] else ""

    def _finding(self, judged: JudgedSamples, gpu: str, first: int, last: int, kind: str) -> Finding:
        span = judged.span(first, last)
        values = judged.column(gpu)[first : last + 1]
        high, low = percentile(values, 95), percentile(values, 5)
        text = f"{judged.where()}{gpu} {seconds(span)}: 95th percentile {percent(high)}"
        if kind == "spurts":
            text += f", 5th {percent(low)}: it works in spurts and waits between them"
        return Finding(text, high if kind == "low" else low, start_s=span[0], end_s=span[1])


class OverallSystemUsage(ProfilerRule):
    """Never fires. Its statistics are the report's `system.statistics`."""

    def judge(self, run: Recording, ended: bool) -> Judgement:  # noqa: ARG002
        need_samples(run)
        count = sum(len(node) for node in run.nodes.values())
        used = percentile(run.node["cpu"], 50), percentile(run.node["cpu"], 95)
        return Judgement(count, note=f"CPU: median {percent(used[0])}, 95th percentile {percent(used[1])}")
