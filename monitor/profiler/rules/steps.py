"""MaxInitializationTime, StepOutlier, Dataloader and OverallFrameworkMetrics: what the times of the steps show."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from contract.rules.verdict import Finding
from monitor.profiler.recording import Recording, Steps, number
from monitor.profiler.rules.base import LEAST_LIVE, Judgement, NothingToJudge, ProfilerRule, percent
from monitor.profiler.statistics import outliers
from monitor.profiler.step_times import WAITING, phase_shares, slowest_phases


class MaxInitializationTime(ProfilerRule):
    """Fires when the first training step came later than `threshold` minutes after the job began, or is missing."""

    def judge(self, run: Recording, ended: bool) -> Judgement:
        began = run.started()
        if not began:
            raise NothingToJudge("nothing was recorded")
        first = run.steps.times[0] if len(run.steps) else None
        if first is None and run.source == "sagemaker":
            raise NothingToJudge("the times of steps were not recorded")
        until = run.ended() if first is None else first
        minutes = max(0.0, until - began) / 60
        found = Judgement(1 if first is not None or ended else 0)
        if minutes > self.parameters["threshold"]:
            text = (
                f"after {minutes:.1f} minutes no step had begun"
                if first is None
                else f"the first step began after {minutes:.1f} minutes"
            )
            found.datapoints = 1
            found.findings.append(Finding(text, minutes, start_s=0.0, end_s=max(0.0, until - began)))
        return found


class StepOutlier(ProfilerRule):
    """Fires when more than n_outliers steps took longer than the mean by more than `stddev` standard deviations.

    Training and validation each on their own. Kennel's own reading: the population's standard deviation, over all
    judged steps; the first step, which warms up, and those that torch.profiler recorded are no outliers.
    A validation step is one of a SageMaker folder; Kennel's own files know one time for each epoch's validation.
    """

    def judge(self, run: Recording, ended: bool) -> Judgement:
        found = Judgement()
        wanted = str(self.parameters["mode"]).strip().upper()
        for mode, steps in (("TRAIN", run.steps), ("EVAL", validation(run))):
            if not len(steps) or wanted not in ("", mode):
                continue
            judged = steps.judged()
            count = int(judged.sum())
            if not ended and count < LEAST_LIVE:
                continue
            found.datapoints += count
            slow, limit = outliers(steps["seconds"], judged, self.parameters["stddev"])
            if len(slow) > self.parameters["n_outliers"]:
                usual = f"mean {steps['seconds'][judged].mean():.3f} s, limit {limit:.3f} s"
                found.findings += list(_outliers(run, steps, slow, mode, usual))
        if not found.datapoints and ended:
            raise NothingToJudge(f"no steps{f' of mode {wanted}' if wanted else ''} were timed")
        if found.datapoints and wanted != "EVAL":
            recorded = int((run.steps["recorded"] > 0).sum())
            found.note = "the first step is not judged"
            found.note += f", nor {recorded} that torch.profiler recorded" if recorded else ""
        return found


def _outliers(run: Recording, steps: Steps, slow: NDArray[np.int64], mode: str, usual: str) -> Iterator[Finding]:
    names = slowest_phases(steps, slow) if mode == "TRAIN" else [None] * len(slow)
    for index, phase in zip(slow.tolist(), names, strict=True):
        start, took = steps.times[index] - run.started(), float(steps["seconds"][index])
        step = int(steps["step"][index])
        text = f"{'step' if mode == 'TRAIN' else 'validation'} {step} took {took:.3f} s ({usual})"
        if phase:
            text += f", most of it beyond the usual in {phase}"
        yield Finding(text, took, step=step, mode=mode, start_s=max(0.0, start), end_s=max(0.0, start + took))


def validation(run: Recording) -> Steps:
    """Validation steps; for Kennel's own files, each epoch's validation as one, numbered by its epoch."""
    if len(run.evaluations):
        return run.evaluations
    steps = Steps()
    for order, part in enumerate(each for each in run.parts if each.name == "validation"):
        steps.add(part.start, {"step": float(part.epoch or order), "seconds": part.seconds})
    return steps


def workers(run: Recording) -> int | None:
    """Processes that load images; None where it isn't known."""
    workers = number(run.config.get("workers"))
    return None if math.isnan(workers) else int(workers)


def waiting_percent(run: Recording) -> float:
    """Percent of the judged steps' time spent waiting for data; NaN where steps weren't taken apart."""
    return 100 * phase_shares(run.steps).get("data", math.nan)


class Dataloader(ProfilerRule):
    """Fires when loading processes are more than max_threshold percent of the cores, or fewer than min_threshold percent.

    Kennel's own reading: too few only where steps really wait for data (over 15 % of their time), if that is known.
    On a machine without a GPU the network needs the cores itself, and no loading process is the right number.
    """  # noqa: E501

    def judge(self, run: Recording, ended: bool) -> Judgement:
        count, cores = workers(run), run.cores()
        if count is None:
            raise NothingToJudge("the number of loading processes was not recorded")
        if not cores:
            raise NothingToJudge("the number of cores was not recorded")
        if not ended and len(run.steps) < LEAST_LIVE:
            return Judgement()
        share = 100 * count / cores
        found = Judgement(1)
        waits = waiting_percent(run)
        words = f"{count} loading processes on {cores} cores ({percent(share)})"
        if share > self.parameters["max_threshold"]:
            found.findings.append(Finding(f"{words}, more than {self.parameters['max_threshold']:g} %", share))
        elif share < self.parameters["min_threshold"]:
            if math.isnan(waits) and run.has_gpu():
                found.findings.append(Finding(f"{words}, fewer than {self.parameters['min_threshold']:g} %", share))
            elif waits > WAITING:
                text = f"{words}, and waiting for data takes {percent(waits)} of a step"
                found.findings.append(Finding(text, share))
            else:
                found.note = f"{words}: few, and enough, for steps hardly wait for data"
        return found


class OverallFrameworkMetrics(ProfilerRule):
    """Never fires. Where the time of a step goes is the report's `steps.phases`."""

    def judge(self, run: Recording, ended: bool) -> Judgement:
        if not len(run.steps):
            if ended:
                raise NothingToJudge("no steps were timed")
            return Judgement()
        shares = sorted(phase_shares(run.steps).items(), key=lambda item: -item[1])
        parts = ", ".join(f"{phase} {percent(100 * share)}" for phase, share in shares if share >= 0.005)
        return Judgement(len(run.steps), note=f"of a step's time: {parts}" if parts else None)
