"""A tensor's reductions, as smdebug saves them, in a few passes over its memory and without waiting for the device."""

import math
from typing import Final

import torch
from torch import Tensor

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
