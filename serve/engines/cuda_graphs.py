"""The network's kernels recorded once for a few batch sizes: a replay starts them all at once.

For one image, starting a hundred kernels from Python takes longer than computing them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import torch
from torch import Tensor

SIZES: Final = (1, 2, 4, 8, 16, 32)

# uint8 images (N, H, W, 3) -> logits (N, classes)
Forward = Callable[[Tensor], Tensor]


class FixedSize:
    """A computation that always reads `images` (N, H, W, 3) and writes `logits` (N, classes).

    replay: makes it run. Rows don't depend on each other, so with fewer images the other rows are left as they were.
    """

    def __init__(self, images: Tensor, logits: Tensor, replay: Callable[[], None]) -> None:
        self._images, self._logits, self._replay = images, logits, replay

    def __call__(self, images: Tensor) -> Tensor:
        self._images[: len(images)].copy_(images)
        self._replay()
        # The next replay writes the same memory.
        return self._logits[: len(images)].clone()


class FixedSizes:
    """Any number of images by computations of a few fixed sizes, all of which `record` makes, the largest first."""

    def __init__(self, record: Callable[[int], FixedSize], sizes: Sequence[int] = SIZES) -> None:
        self._runs = {size: record(size) for size in sorted(sizes, reverse=True)}

    def __call__(self, images: Tensor) -> Tensor:
        plan = split(len(images), list(self._runs))
        return torch.cat([self._runs[size](images[start:stop]) for start, stop, size in plan])


def split(count: int, sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(start, stop, size) of each part of `count` images: the largest size as often as it fits, then the smallest
    that the rest fits into.
    """
    largest = max(sizes)
    for start in range(0, count, largest):
        stop = min(count, start + largest)
        yield start, stop, min(size for size in sizes if size >= stop - start)


class Recorder:
    """Records `forward` on the GPU; one recording after the other, never two at once, so they share their memory."""

    def __init__(self, forward: Forward, image_size: int, device: torch.device) -> None:
        self._forward, self._image_size, self._device = forward, image_size, device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, size: int) -> FixedSize:
        """Raises RuntimeError when it can't be recorded."""
        images = torch.zeros(size, self._image_size, self._image_size, 3, dtype=torch.uint8, device=self._device)
        # Libraries set themselves up in the first runs, which must not be recorded; and not on the default stream.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._forward(images)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            logits = self._forward(images)
        return FixedSize(images, logits, graph.replay)
