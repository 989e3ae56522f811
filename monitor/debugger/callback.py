"""Saves tensors of a training with smdebug's hook, and never ends it."""

import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from contract.debugger import HookLocation, Schedule
from monitor.callbacks import Callback, TrainState

if TYPE_CHECKING:
    from monitor.debugger.hook import Hook


@dataclass
class _Step:
    """A step that is being saved. phase: the one it is in; labels: None where images have none of their own."""

    hook: "Hook"
    phase: str
    labels: Tensor | None


class DebugHook(Callback):
    """Saves what debughookconfig.json asks for, or else Kennel's own choice (monitor.debugger.collections).

    TRAIN steps have the loop's own numbers, validation batches are EVAL steps. An error switches it off, loudly.
    It stands behind the profiler in the list of observers: what it does when a phase begins is counted to that phase.
    """

    def __init__(self, place: HookLocation, schedule: Schedule, mixed: bool = False, only: bool = False) -> None:
        """mixed: whether training images are mixed, so that their labels aren't those of single classes. only: of
        several processes that train together, no other has such an observer.
        """
        self._place, self._schedule, self._mixed, self._only = place, schedule, mixed, only
        self._hook: Hook | None = None
        self._state: TrainState | None = None
        self._step: _Step | None = None

    def on_train_start(self, state: TrainState) -> None:
        self._state = state
        with self._guarded():
            # Here, where an error of its imports ends nothing.
            from monitor.debugger.creation import create

            self._hook = create(self._place, self._schedule, state.step, state.epoch, self._only)

    def on_batch_start(self, state: TrainState, inputs: Tensor, labels: Tensor) -> None:
        del inputs
        with self._guarded():
            self._begin("TRAIN", "forward", state.network, None if self._mixed and len(labels) > 1 else labels)

    def on_loss(self, state: TrainState, logits: Tensor, loss: Tensor) -> None:
        del state
        if self._step is not None:
            with self._guarded():
                self._step.hook.detach()
                self._step.hook.save_outputs(logits, self._step.labels, loss)

    def on_phase(self, phase: str) -> None:
        if phase == "optimizer" and self._step is not None and self._state is not None:
            self._step.phase = phase
            with self._guarded(), self._counted(phase):
                self._step.hook.save_parameters(self._state.network, gradients=True)

    def on_batch_end(self, state: TrainState) -> None:
        del state
        self._finish()

    def on_validation_batch_start(self, network: nn.Module, inputs: Tensor, labels: Tensor) -> None:
        del inputs
        with self._guarded(), self._counted("validation"):
            self._begin("EVAL", "validation", network, labels)
            if self._step is not None:
                self._step.hook.save_parameters(network, gradients=False)

    def on_validation_batch_end(self, logits: Tensor, labels: Tensor) -> None:
        if self._step is not None:
            with self._guarded(), self._counted("validation"):
                self._step.hook.detach()
                loss = cross_entropy(logits.float(), labels.to(logits.device))
                self._step.hook.save_outputs(logits, labels, loss)
                self._finish()

    def on_train_end(self, state: TrainState) -> None:
        del state
        with self._guarded():
            if self._hook is not None:
                self._hook.close()
        self._hook = self._step = self._state = None

    def _begin(self, mode: str, phase: str, network: nn.Module, labels: Tensor | None) -> None:
        if self._hook is None:
            return
        if self._step is not None:
            # It was cut short.
            self._step.hook.drop()
            self._step = None
        if self._hook.begin(mode):
            self._step = _Step(self._hook, phase, labels)
            self._hook.attach(network, self._from_torch)

    def _finish(self) -> None:
        if self._step is not None:
            with self._guarded():
                self._step.hook.save_updates()
                self._step.hook.finish()
            self._step = None

    def _from_torch(self, call: Callable[..., None]) -> Callable[..., None]:
        """`call` as a hook that torch may call: it gives nothing back, costs the phase its time, and never fails."""

        @functools.wraps(call)
        def guarded(*arguments: Any) -> None:
            if self._step is not None:
                with self._guarded(), self._counted(self._step.phase):
                    call(*arguments)

        return guarded

    @contextmanager
    def _counted(self, phase: str) -> Iterator[None]:
        """What is inside takes time of another phase than the observers' own."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if self._state is not None:
                observed = self._state.observed
                observed[phase] = observed.get(phase, 0.0) + time.perf_counter() - start

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with torch.no_grad():
                yield
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with saving, training goes on
            self._switch_off(error)

    def _switch_off(self, error: Exception) -> None:
        hook, self._hook, self._step = self._hook, None, None
        if hook is not None:
            with suppress(Exception):
                hook.abandon()
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        print(
            f"WARNING: the debugger's hook is switched off, training goes on: no more tensors are saved ({cause})",
            file=sys.stderr,
            flush=True,
        )
