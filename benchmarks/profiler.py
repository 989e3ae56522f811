"""What profiling costs: the same training with and without it, in turn, the sampler in a process of its own."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from benchmarks.timing import print_facts
from contract.hyperparameters import Hyperparameters
from contract.profiler import ProfilerSettings
from model.machine import available_cpus
from model.network import build
from model.preprocess import IMAGENET_MEAN, IMAGENET_STD
from model.threads import use_threads
from monitor.callbacks import Callback, Callbacks, TrainState
from monitor.profiler.callback import StepProfiler
from monitor.profiler.machine_load import MachineLoad
from train.loss import TrainingLoss
from train.trainer import Listeners, Trainer

INTERVALS_MS: Final = (500, 100)
ROUNDS: Final = 8
STEPS: Final = 20
SIZE, BATCH, CLASSES = 64, 32, 133
# Samples while it is asked to; says when it has begun and ended.
_SAMPLER: Final = """
import sys
from pathlib import Path
from monitor.profiler.sampler import Sampler
for line in sys.stdin:
    if line == "on\\n":
        sampler = Sampler(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
        sampler.start()
    else:
        sampler.stop()
    print("done", flush=True)
"""


class _Batches:
    """The same random images, `count` times."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self._images = torch.randint(0, 256, (BATCH, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)
        self._labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:  # noqa: ARG002 - the interface
        for _ in range(self._count):
            yield self._images, self._labels


class _Seconds(Callback):
    """The time from each step's end to the next one's: an epoch's first step and its validation are in none."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_batch_end(self, state: TrainState) -> None:  # noqa: ARG002 - the interface
        self.ends.append(time.perf_counter())

    @property
    def mean(self) -> float:
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


def main() -> None:
    """Print the ratio of step times, and what one sample, one step and one recording cost."""
    print_facts("torch", "psutil")
    use_threads(available_cpus())
    torch.manual_seed(0)
    network = build("resnet18", "linear", CLASSES, IMAGENET_MEAN, IMAGENET_STD)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _train(network, [])  # warm: caches, thread pools
        for interval in INTERVALS_MS:
            _compare(network, folder, interval)
        _print_parts(network, folder)


def _train(network: nn.Module, observers: list[Callback]) -> float:
    """Seconds a step."""
    chosen = Hyperparameters(epochs=1, batch_size=BATCH, image_size=SIZE)
    device = torch.device("cpu")
    watch = _Seconds()
    trainer = Trainer(
        network,
        _Batches(STEPS),
        _Batches(1),
        chosen,
        TrainingLoss(chosen, [1] * CLASSES, device),
        device,
        Listeners(Callbacks([*observers, watch]), lambda _metrics: None),
    )
    trainer.fit()
    return watch.mean


def _profiler(folder: Path, interval: int, steps: str) -> StepProfiler:
    return StepProfiler(ProfilerSettings(folder, interval, steps), {}, torch.device("cpu"))


def _compare(network: nn.Module, folder: Path, interval: int) -> None:
    times: dict[str, list[float]] = {"off": [], "on": []}
    command = [sys.executable, "-c", _SAMPLER, str(folder), str(os.getpid()), str(interval)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sampler:
        assert sampler.stdin is not None
        assert sampler.stdout is not None
        for number in range(ROUNDS):
            # Each goes first in half of the rounds.
            for which in ("off", "on") if number % 2 else ("on", "off"):
                if which == "on":
                    _tell(sampler, "on")
                times[which].append(_train(network, [_profiler(folder, interval, "none")] if which == "on" else []))
                if which == "on":
                    _tell(sampler, "off")
        sampler.stdin.close()
    print(f"a sample every {interval} ms (n = {ROUNDS} rounds of {STEPS} steps, ResNet-18, {BATCH} x {SIZE} px)")
    for which, values in times.items():
        ratios = [own / base for own, base in zip(values, times["off"], strict=True)]
        low, middle, high = (1000 * value for value in (min(values), statistics.median(values), max(values)))
        spread = f", rounds {min(ratios):.3f} to {max(ratios):.3f}" if which == "on" else ""
        ratio = f"x {statistics.median(ratios):.3f}{spread}"
        print(f"  profile={which:<4} {middle:9.2f} ms   ({low:.2f} to {high:.2f})   {ratio}")


def _tell(sampler: "subprocess.Popen[str]", word: str) -> None:
    assert sampler.stdin is not None
    assert sampler.stdout is not None
    sampler.stdin.write(f"{word}\n")
    sampler.stdin.flush()
    assert sampler.stdout.readline() == "done\n"


def _print_parts(network: nn.Module, folder: Path) -> None:
    load = MachineLoad(os.getppid())
    print(f"one sample: {1000 * _cpu(load.sample, 50, 0.02):.2f} ms of CPU (n = 50)")
    state = TrainState(network, torch.optim.SGD(network.parameters(), lr=0.1), 1, 10_000, epoch=1)
    profiler = _profiler(folder, 500, "none")
    profiler.on_train_start(state)

    def step() -> None:
        for phase in ("data", "copy", "hook", "forward", "hook", "backward", "optimizer", "hook"):
            profiler.on_phase(phase)
        state.step += 1
        profiler.on_batch_end(state)

    print(f"one step's anatomy: {1e6 * _cpu(step, 5000, 0):.0f} us of CPU (n = 5000)")
    profiler.on_train_end(state)
    seconds = []
    plain = 0.0
    for _ in range(3):
        recorder = _profiler(folder, 500, "5:3")
        start = time.perf_counter()
        plain = _train(network, [])
        between = time.perf_counter()
        _train(network, [recorder])
        seconds.append((time.perf_counter() - between) - (between - start))
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    spread = f"{low:.2f} to {high:.2f}, n = 3; a step: {plain:.3f} s"
    print(f"recording 3 steps' operators, once a job: {middle:.2f} s ({spread})")


def _cpu(call: Callable[[], object], count: int, pause: float) -> float:
    """Seconds of this thread's CPU time that one call takes."""
    used = 0.0
    for _ in range(count):
        start = time.thread_time()
        call()
        used += time.thread_time() - start
        if pause:
            time.sleep(pause)
    return used / count
