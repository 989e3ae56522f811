"""smdebug's hook, but with torch's hooks on the network only while a step is saved, and one transfer a step.

A tensor's reductions are what smdebug saves, in a few passes over its memory and without waiting for the device.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.hooks import RemovableHandle

from monitor.debugger._smdebug import ModeKeys
from monitor.debugger._smdebug_torch import SCALAR_COLLECTIONS, MendedHook, get_reduction_tensor_name, match_inc
from monitor.debugger.collections import LOSS
from monitor.debugger.writer import StepFile

EPSILON = 1e-9  # as in SageMaker's rule: an update of a weight of 0 is divided by it
# A module's inputs and outputs, as far as configurations distinguish them; a shared ReLU has an output for each call.
_SIDES = tuple(f"{side}_{number}" for side in ("input", "output") for number in range(3))
_reduction_name = functools.lru_cache(maxsize=65_536)(get_reduction_tensor_name)


class Hook(MendedHook):
    """A step is: `begin`, `attach`, the forward pass, `detach`, what there is to save, `finish`."""

    def __init__(self, *arguments: Any, trainable_only: bool = False, only: bool = False, **options: Any) -> None:
        """trainable_only: leave out weights that aren't trained, which never change. only: the others of the processes
        that train together have no hook.
        """
        self._only = only
        super().__init__(*arguments, **options)
        self._trainable_only = trainable_only
        self._summary = Summary()
        self._matching: dict[str, list[Any]] = {}
        self._handles: list[RemovableHandle] = []
        self._in_place: list[nn.Module] = []
        self._reduced: list[tuple[str, int, list[tuple[str, bool]], Tensor]] = []
        self._waiting: list[tuple[str, Tensor]] = []
        self._copies: dict[str, Tensor] = {}
        self._before: list[tuple[str, nn.Parameter, Tensor, Tensor]] = []

    def _get_num_workers(self) -> int:
        return 1 if self._only else int(super()._get_num_workers())

    def go_on(self, train: int, evaluation: int) -> None:
        """Count from there on: so many steps of TRAIN and of EVAL are done."""
        self.step = train + evaluation - 1
        last = {ModeKeys.GLOBAL: self.step, ModeKeys.TRAIN: train - 1, ModeKeys.EVAL: evaluation - 1}
        self.mode_steps.update(last)

    def begin(self, mode: str) -> bool:
        """Count a step of TRAIN or EVAL; whether anything of it is saved, here in this process."""
        if not self.prepared_collections:
            self._prepare_collections()
        self.set_mode(ModeKeys[mode])
        self._increment_step()
        if not self._get_collections_to_save_for_step():
            return False
        if not self.save_all_workers and self.worker != self.chief_worker:
            return False
        self._initialize_writers()
        return self.writer is not None

    def _initialize_writers(self, only_initialize_if_missing: bool = False) -> None:
        if only_initialize_if_missing and self.writer is not None:
            return
        super()._initialize_writers()
        if self.writer is not None and not self.out_dir.startswith("s3://"):
            self.writer = StepFile(self.out_dir, self.worker, self.step)

    def wants(self, name: str) -> bool:
        """Whether a tensor of this name is saved in this step."""
        if name not in self._matching:
            found = self._get_all_collections_to_save()
            self._matching[name] = [each for each in found if match_inc(name, each.include_regex)]
        now = self._get_collections_to_save_for_step()
        return any(each in now for each in self._matching[name])

    def _loss_alone(self) -> bool:
        """Whether nothing else is saved in this step: most are such, and looking for more would take a millisecond."""
        now = self._get_collections_to_save_for_step()
        return all(each.name == "losses" and len(each.include_regex) == 1 for each in now)

    # The forward pass

    def attach(self, network: nn.Module, guard: Callable[..., Any]) -> None:
        """Follow a forward pass. guard: wraps each function that torch calls."""
        if self._loss_alone():
            return
        network = unwrapped(network)
        for name, module in network.named_modules():
            title = name or type(module).__name__
            if isinstance(module, nn.ReLU) and self.wants(f"relu_active_share/{title}"):
                self._handles.append(module.register_forward_hook(guard(self._active_share(title))))
            if any(self.wants(f"{title}_{side}") for side in _SIDES):
                if getattr(module, "inplace", False):
                    # Its input would be gone by the time it is saved.
                    module.inplace = False
                    self._in_place.append(module)
                self._handles.append(module.register_forward_hook(guard(self._whole(title))))
        first = next((each for each in network.modules() if list(each.parameters(recurse=False))), None)
        if first is not None and self.wants("input_means"):
            self._handles.append(first.register_forward_pre_hook(guard(self._input_means)))

    def detach(self) -> None:
        """Leave the network as it was."""
        for handle in self._handles:
            handle.remove()
        for module in self._in_place:
            module.inplace = True  # type: ignore[assignment]
        self._handles, self._in_place = [], []

    def _whole(self, name: str) -> Callable[..., None]:
        def save(_module: nn.Module, inputs: Any, outputs: Any) -> None:
            self._write_inputs(name, inputs)
            self._write_outputs(name, outputs)

        return save

    def _active_share(self, name: str) -> Callable[..., None]:
        calls = 0

        def save(_module: nn.Module, _inputs: Any, outputs: Tensor) -> None:
            nonlocal calls
            title = f"relu_active_share/{name}" + (f"_{calls}" if calls else "")
            calls += 1
            self.later(title, active_share(outputs.detach()))

        return save

    def _input_means(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        images = inputs[0]
        if isinstance(images, Tensor) and images.dim() == 4 and images.shape[1] <= 4:
            self.later("input_means", images.detach().float().mean((2, 3)))

    # Parameters

    def save_parameters(self, network: nn.Module, gradients: bool) -> None:
        """Weights as they are, and gradients as the backward pass left them: call it before anything changes them."""
        if self._loss_alone():
            return
        network = unwrapped(network)
        root = type(network).__name__
        for name, parameter in network.named_parameters():
            if self._trainable_only and not parameter.requires_grad:
                continue
            weight = parameter.detach()
            self._save_for_tensor(f"{root}_{name}", weight)
            if not gradients or parameter.grad is None:
                continue
            if parameter.requires_grad and self.wants(f"update_ratio/{name}"):
                last, *_, summary = self._reduced[-1] if self._reduced else ("", torch.empty(0))
                size = summary[ABS_MEAN] if last == f"{root}_{name}" else self._summary.size(weight)
                self._before.append((name, parameter, self._copy(name, weight), size))
            self._save_for_tensor(f"gradient/{root}_{name}", parameter.grad.detach())

    def _copy(self, name: str, weight: Tensor) -> Tensor:
        # Into memory that is kept: memory that is new in every saved step made the optimizer's step twice as long.
        if name not in self._copies or self._copies[name].shape != weight.shape:
            self._copies[name] = torch.empty_like(weight)
        return self._copies[name].copy_(weight)

    def save_updates(self) -> None:
        """How far the weights have moved since `save_parameters`, relative to their size."""
        for name, parameter, before, size in self._before:
            ratio = self._summary.distance(parameter, before) / (size + EPSILON)
            self.later(f"update_ratio/{name}", ratio.float())
        self._before = []

    # Tensors

    def save_outputs(self, logits: Tensor, labels: Tensor | None, loss: Tensor) -> None:
        """logits: (N, C); labels: int (N,), None where images have none of their own; loss: a scalar."""
        self.later(LOSS, loss)
        if labels is not None:
            self.later("labels", labels)
            self.later("predictions", logits)

    def later(self, name: str, tensor: Tensor) -> None:
        """Save a small tensor, which doesn't change any more, when the step is finished."""
        if self.wants(name):
            self._waiting.append((name, tensor.detach()))

    def _write_reductions(
        self,
        tensor_name: str,
        tensor_value: Any,
        save_collections: Any,
        tensor_ref: Any = None,  # noqa: ARG002 - TensorFlow's
    ) -> None:
        wanted: dict[tuple[str, bool], None] = {}
        for each in save_collections:
            if each.name not in SCALAR_COLLECTIONS:
                chosen = each.reduction_config
                wanted |= dict.fromkeys((kind, False) for kind in (*chosen.reductions, *chosen.norms))
                wanted |= dict.fromkeys((kind, True) for kind in (*chosen.abs_reductions, *chosen.abs_norms))
        if not wanted or not isinstance(tensor_value, Tensor) or not tensor_value.numel():
            return
        for kind, absolute in wanted.keys() - DERIVED:
            value = self._get_reduction_of_data(kind, tensor_value.detach().float(), tensor_name, absolute)
            self._waiting.append((_reduction_name(tensor_name, kind, absolute), value))
        derived = [each for each in wanted if each in DERIVED]
        if derived:
            self._reduced.append((tensor_name, tensor_value.numel(), derived, self._summary.summarise(tensor_value)))

    def finish(self) -> None:
        """Write the step. Raises OSError where that can't be done."""
        waiting, reduced = self._waiting, self._reduced
        self._waiting, self._reduced = [], []
        rows = fetched([summary for *_, summary in reduced] + [tensor for _, tensor in waiting])
        place = {"mode": self.mode, "mode_step": self.mode_steps[self.mode]}
        for name, count, kinds, _ in reduced:
            row = next(rows).tolist()
            for kind, absolute in kinds:
                value = np.array(derive(row, count, kind, absolute), dtype=np.float32)
                if not self.dry_run:
                    self.writer.write_tensor(value, _reduction_name(name, kind, absolute), **place)
        for (name, _), tensor in zip(waiting, rows, strict=True):
            if name.startswith("smdebug/"):
                self._write_raw_tensor_simple(name, tensor)
            else:
                self._save_for_tensor(name, tensor)
        if not self.exported_collections:
            # At once, for readers wait for it.
            self.export_collections()
            self.exported_collections = True
        self.last_saved_step = self.step
        self._close_writers()

    def close(self) -> None:
        """No more steps: write the names of all tensors, and the file that marks the end for readers."""
        if not self.save_all_workers and self.worker != self.chief_worker:
            # Its end is none of the one that writes.
            self.abandon()
            return
        # Of a step that was cut short, by a signal, nothing is written.
        self.drop()
        self.exported_collections = not self.prepared_collections
        super().close()
        self._forget()

    def drop(self) -> None:
        """Let go of the network and forget the step."""
        self.detach()
        self._waiting, self._reduced, self._before = [], [], []
        self.writer = None

    def abandon(self) -> None:
        """Write nothing more."""
        self.drop()
        self._forget()
        super().abandon()

    def _forget(self) -> None:
        # smdebug keeps the hook itself for ever.
        self._copies.clear()
        self._summary.release()


def unwrapped(network: nn.Module) -> nn.Module:
    """The network itself: DistributedDataParallel is no part of its names."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def active_share(outputs: Tensor) -> Tensor:
    """Float32 (C,): the share of a unit's outputs above 0. outputs: (N, C, ...)."""
    rows = outputs.movedim(1, -1).reshape(-1, outputs.shape[1]) if outputs.dim() > 1 else outputs[:, None]
    # Written as float at once: five times as fast as counting Booleans.
    active = torch.gt(rows, 0, out=torch.empty(rows.shape, device=rows.device))
    return active.mean(0)


def fetched(tensors: list[Tensor]) -> Iterator[Tensor]:
    """The same tensors on the CPU, those of a GPU in one transfer. Integers up to 2^53 stay exact."""
    remote = [tensor for tensor in tensors if tensor.device.type != "cpu"]
    local = torch.cat([tensor.double().reshape(-1) for tensor in remote]).cpu() if remote else None
    start = 0
    for tensor in tensors:
        if tensor.device.type == "cpu" or local is None:
            yield tensor
            continue
        part = local[start : start + tensor.numel()]
        start += tensor.numel()
        yield part.reshape(tensor.shape).to(tensor.dtype)


# What `summarise` gives, in this order. centred: the sum of the squared distances from the mean.
_MIN, _MAX, _MEAN, ABS_MEAN, _L2, _CENTRED = range(6)

# (smdebug's name, of absolute values) of all that follow from a summary.
DERIVED: Final = frozenset(
    [
        *((name, False) for name in ("min", "max", "mean", "std", "variance", "sum", "l1", "l2")),
        *((name, True) for name in ("max", "mean", "sum", "l1", "l2")),
    ]
)


class Summary:
    """Summarises tensors, with memory of its own that grows to the largest of them."""

    def __init__(self) -> None:
        self._scratch: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    @torch.no_grad()
    def summarise(self, tensor: Tensor) -> Tensor:
        """(6,) on the tensor's device: minimum, maximum, mean, mean absolute value (at index ABS_MEAN), Euclidean norm,
        and sum of the squared distances from the mean. tensor: not empty; float64 stays so, all else becomes float32.
        """
        flat = flattened(tensor)
        scratch = self._like(flat)
        low, high = torch.aminmax(flat)
        mean = flat.mean()
        centred = torch.sub(flat, mean, out=scratch)
        # Twice as fast as torch.var, and as exact: the mean is taken off first.
        squares = torch.dot(centred, centred)
        # Six times as fast as a norm of order 1.
        absolute = torch.abs(flat, out=scratch).mean()
        return torch.stack([low, high, mean, absolute, torch.linalg.vector_norm(flat), squares])

    @torch.no_grad()
    def distance(self, one: Tensor, other: Tensor) -> Tensor:
        """Mean absolute difference of two tensors of the same shape and memory layout, a scalar."""
        first, second = flattened(one), flattened(other)
        scratch = self._like(first)
        return torch.sub(first, second, out=scratch).abs_().mean()

    @torch.no_grad()
    def size(self, tensor: Tensor) -> Tensor:
        """Mean absolute value, a scalar."""
        flat = flattened(tensor)
        return torch.abs(flat, out=self._like(flat)).mean()

    def _like(self, flat: Tensor) -> Tensor:
        key = (flat.device, flat.dtype)
        if key not in self._scratch or len(self._scratch[key]) < len(flat):
            self._scratch[key] = torch.empty_like(flat)
        return self._scratch[key][: len(flat)]

    def release(self) -> None:
        """Give the memory back."""
        self._scratch.clear()


def flattened(tensor: Tensor) -> Tensor:
    """Float (elements,), in the order of the memory where that is dense: then nothing is copied."""
    tensor = tensor.detach()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        # Four times as fast as in the order of the axes.
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.reshape(-1)


def derive(summary: list[float], count: int, kind: str, absolute: bool) -> float:
    """A reduction of DERIVED from the summary of a tensor of `count` elements. std, variance: with count - 1."""
    if kind in ("std", "variance"):
        variance = summary[_CENTRED] / (count - 1) if count > 1 else math.nan
        return math.sqrt(variance) if kind == "std" else variance
    if kind == "max" and absolute:
        # Either is NaN only when both are.
        return max(abs(summary[_MIN]), abs(summary[_MAX]))
    mean = summary[ABS_MEAN if absolute else _MEAN]
    values = {
        "min": summary[_MIN],
        "max": summary[_MAX],
        "mean": mean,
        "sum": mean * count,
        "l1": summary[ABS_MEAN] * count,
        "l2": summary[_L2],
    }
    return values[kind]
