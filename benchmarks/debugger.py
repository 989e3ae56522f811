"""What saving tensors costs: training steps of a ResNet-18 with debug=on and debug=off, in turn."""

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import print_facts
from contract.debugger import HookLocation, Schedule
from contract.hyperparameters import Hyperparameters
from model.machine import available_cpus
from model.network import build
from model.preprocess import IMAGENET_MEAN, IMAGENET_STD
from model.threads import use_threads
from monitor.callbacks import Callback, Callbacks, TrainState
from monitor.debugger.callback import DebugHook
from train.loss import TrainingLoss
from train.trainer import Listeners, Trainer

CLASSES, BATCH = 133, 32


class Noise:
    """`steps` batches of the same noise."""

    def __init__(self, size: int, steps: int) -> None:
        self._batch = torch.randint(0, 256, (BATCH, size, size, 3), dtype=torch.uint8), torch.randint(CLASSES, (BATCH,))
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        del number
        for _ in range(self._steps):
            yield self._batch


@dataclass
class Clock(Callback):
    """Seconds of each step, from the end of the one before, and the CPU seconds of all threads."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def on_train_start(self, state: TrainState) -> None:
        del state
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def on_batch_end(self, state: TrainState) -> None:
        del state
        wall, cpu = time.perf_counter(), time.process_time()
        self.wall.append(wall - self._wall)
        self.cpu.append(cpu - self._cpu)
        self._wall, self._cpu = wall, cpu


def main() -> None:
    """The shortest interval that Kennel chooses of itself, which is the dearest; the first one warms up."""
    print_facts("torch", "smdebug")
    use_threads(available_cpus())
    for size, intervals, rounds in ((64, 3, 6), (224, 1, 2)):
        compare(size, intervals, rounds)


def compare(size: int, intervals: int, rounds: int) -> None:
    """Print the overhead over whole intervals, the median of the rounds', and what saved steps cost."""
    every = Schedule(0, 1, 1).every()
    steps = every * (intervals + 1)
    clocks: dict[str, list[Clock]] = {"off": [], "on": []}
    for number in range(rounds):
        for debug in ("off", "on") if number % 2 == 0 else ("on", "off"):
            clocks[debug].append(train(size, steps, debug == "on"))
    mean = {debug: [statistics.mean(each.wall[every:]) * 1000 for each in found] for debug, found in clocks.items()}
    overhead = [100 * (on / off - 1) for on, off in zip(mean["on"], mean["off"], strict=True)]
    print(f"{size} px, batch {BATCH}, every {every}th step saved; n = {rounds} rounds of {intervals} x {every} steps")
    for debug, values in mean.items():
        middle, low, high = statistics.median(values), min(values), max(values)
        print(f"  debug={debug:<4} mean step {middle:9.2f} ms   ({low:.2f} to {high:.2f})")
    middle, low, high = statistics.median(overhead), min(overhead), max(overhead)
    print(f"  overhead   {middle:9.2f} %   ({low:.2f} to {high:.2f}), rounds paired")
    inside = [100 * share for each in clocks["on"] for share in overheads_inside(each.wall, every)]
    middle, low, high = statistics.median(inside), min(inside), max(inside)
    print(f"  inside debug=on, against its own unsaved steps: {middle:.2f} %   ({low:.2f} to {high:.2f})")
    _print_cpu(clocks, every)


def overheads_inside(wall: list[float], every: int) -> list[float]:
    """What an interval's steps take beyond the median of those of them in which nothing is saved, as a share.

    Neighbours share the machine's mood, which changes by more between two trainings than what is to be measured.
    """
    losses = Schedule(0, 1, 1).every_loss()
    found = []
    for first in range(every, len(wall) - every + 1, every):
        interval = wall[first : first + every]
        plain = statistics.median(seconds for step, seconds in enumerate(interval) if step % losses != 0)
        saved = sum(seconds - plain for step, seconds in enumerate(interval) if step % losses == 0)
        found.append(saved / (every * plain))
    return found


def _print_cpu(clocks: dict[str, list[Clock]], every: int) -> None:
    losses = Schedule(0, 1, 1).every_loss()
    plain = [cpu for each in clocks["off"] for cpu in each.cpu[every:]]
    base = statistics.median(plain) * 1000
    print(f"  CPU time of all threads: a step with debug=off {base:.1f} ms; with debug=on beyond that")
    kinds: dict[str, Callable[[int], bool]] = {
        "all collections saved": lambda step: step % every == 0,
        "the loss alone": lambda step: step % losses == 0 and step % every != 0,
        "nothing": lambda step: step % losses != 0,
    }
    for kind, chosen in kinds.items():
        found = [
            cpu * 1000 - base
            for each in clocks["on"]
            for step, cpu in enumerate(each.cpu)
            if step >= every and chosen(step)
        ]
        print(f"    {kind:<22} {statistics.median(found):9.2f} ms   (n = {len(found)})")


def train(size: int, steps: int, debug: bool) -> Clock:
    """One epoch."""
    torch.manual_seed(0)
    network = build("resnet18", "linear", CLASSES, IMAGENET_MEAN, IMAGENET_STD)
    chosen = Hyperparameters(epochs=1, batch_size=BATCH, pretrained="none", device="cpu")
    clock = Clock()
    cpu = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        observers: list[Callback] = [clock]
        if debug:
            observers.append(
                DebugHook(HookLocation(Path(folder, "tensors"), Path(folder, "none.json")), Schedule(0, 1, 1))
            )
        # A step ends when the debugger is done with it.
        observers.sort(key=lambda each: each is clock)
        loss = TrainingLoss(chosen, [1] * CLASSES, cpu)
        listeners = Listeners(Callbacks(observers), lambda _: None)
        data = Noise(size, steps), Noise(size, 1)
        Trainer(network, *data, chosen, loss, cpu, listeners).fit()
    gc.collect()
    return clock
