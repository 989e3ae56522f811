"""What a profiler rule is given and what it answers; which samples are judged."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from contract.rules.rule import Rule
from contract.rules.verdict import Finding
from monitor.profiler.recording import FloatArray, Node, Recording
from monitor.profiler.statistics import spans

LEAST_SAMPLES: Final = 10  # fewer are no basis for a judgement
LEAST_LIVE: Final = 100  # the same while the job runs: what fires then stays fired
_GAP: Final = 4  # samples that interrupt a span without ending it


class NothingToJudge(Exception):
    """This job has nothing that the rule could judge; the message says what is missing."""


class NoGPU(NothingToJudge):
    """It judges GPUs, and there are too few of them."""


@dataclass
class Judgement:
    """datapoints: samples or steps that were judged. findings: where the rule fires; none: all is well."""

    datapoints: int = 0
    findings: list[Finding] = field(default_factory=list)
    note: str | None = None


class ProfilerRule(Rule):
    """Judges a recording anew each time: the same recording gives the same judgement."""

    profiler = True

    @abstractmethod
    def judge(self, run: Recording, ended: bool) -> Judgement:
        """ended: nothing more will be recorded. Raises NothingToJudge."""


@dataclass(frozen=True)
class JudgedSamples:
    """The samples of one machine that a rule judges: those from `start` up to, without, `stop`."""

    run: Recording
    node: Node
    start: int
    stop: int
    note: str | None = None

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def column(self, name: str) -> FloatArray:
        return self.node[name][self.start : self.stop]

    def span(self, first: int, last: int) -> tuple[float, float]:
        """Seconds since the job began, of the samples `first` to `last`, counted from `start`.

        A sample stands for the interval that ends with it.
        """
        times = self.node.time()[self.start : self.stop]
        began = self.run.started()
        return max(0.0, float(times[first]) - began - self.interval()), max(0.0, float(times[last]) - began)

    def interval(self) -> float:
        """Seconds between two samples."""
        interval = self.run.machine.get("interval_ms")
        if isinstance(interval, int | float) and interval > 0:
            return float(interval) / 1000
        gaps = np.diff(self.node.time())
        return float(np.median(gaps)) if len(gaps) else 0.0

    def spans(self, held: "np.ndarray[Any, np.dtype[np.bool_]]") -> list[tuple[float, float]]:
        """Where a condition held, as seconds since the job began; interruptions of a few samples don't count."""
        return [self.span(first, last) for first, last in spans(held, _GAP)]

    def where(self) -> str:
        """Words for the machine, where there are several."""
        return f"{self.node.name}: " if len(self.run.nodes) > 1 else ""


def samples(run: Recording, node: Node, patience: int, needed: int, ended: bool) -> JudgedSamples:
    """The samples after the first `patience`, up to the end of the training loop.

    Where these are fewer than `needed` when the job has ended, patience would leave a short job unjudged: then all
    samples of the training loop are judged, and the note says so. Empty while there are too few.
    """
    times = node.time()
    begins, ends = run.training()
    stop = len(times) if ends is None else int(np.searchsorted(times, ends))
    if stop - patience >= needed:
        return JudgedSamples(run, node, patience, stop)
    if not ended:
        return JudgedSamples(run, node, stop, stop)
    # Where stages are known and training isn't among them, the job ended before it began.
    unknown = stop if run.stages else 0
    start = unknown if begins is None else int(np.searchsorted(times, begins))
    count = max(0, stop - start)
    if count < LEAST_SAMPLES:
        note = (
            f"{count} samples of the training loop, fewer than the {LEAST_SAMPLES} that are needed; "
            "a smaller profile_interval gives more"
        )
        return JudgedSamples(run, node, stop, stop, note)
    return JudgedSamples(
        run, node, start, stop,
        f"the training loop ended after {stop} samples, too few for patience={patience}"
        + (f" and {needed} more" if needed else "")
        + f": all its {count} samples are judged",
    )  # fmt: skip


def need_gpu(run: Recording, least: int = 1) -> None:
    """Raises NoGPU unless a machine has GPUs that were sampled."""
    count = sum(len(node.gpus()) for node in run.nodes.values())
    if count < least:
        what = "no GPU was sampled" if not count else "one GPU was sampled"
        raise NoGPU(f"it judges {'several GPUs' if least > 1 else 'GPUs'}, and {what}")


def need_samples(run: Recording) -> None:
    """Raises NothingToJudge when no machine was sampled."""
    if not any(len(node) for node in run.nodes.values()):
        raise NothingToJudge("the machine was not sampled")


def percent(value: float) -> str:
    """In words: 5.25 -> 5.2 %, 41.3 -> 41 %."""
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def seconds(span: tuple[float, float]) -> str:
    """In words: from 1.5 s to 20.0 s."""
    return f"from {span[0]:.1f} s to {span[1]:.1f} s"
