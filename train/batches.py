"""What training and evaluation run over."""

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor


class Batches(Protocol):
    """What is trained on: batches of inputs (images or features) and labels (N,), anew in every epoch."""

    def __len__(self) -> int: ...

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]: ...
