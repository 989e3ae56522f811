"""What of the torch engine's way on a GPU needs none to be seen."""

import numpy as np
import pytest
import torch
from torch import Tensor

from contract.errors import DeviceError
from serve.engines import torch as engine
from serve.engines.torch import (
    SIZES,
    Forward,
    by_fixed_sizes,
    choose_precision,
    fixed_size,
    forward_in,
    recorded,
    split,
)
from tests.contracts.engine_artifacts import pictures, separating_network


def test_precision() -> None:
    assert [choose_precision(wanted, True) for wanted in ("auto", "f32", "bf16", "f16")] == [
        "f16",
        "f32",
        "bf16",
        "f16",
    ]
    assert [choose_precision(wanted, False) for wanted in ("auto", "f32")] == ["f32", "f32"]
    for half in ("bf16", "f16"):
        with pytest.raises(DeviceError, match=f"precision {half} is wanted, but the engine torch computes in f32"):
            choose_precision(half, False)


@pytest.mark.parametrize(
    ("count", "parts"),
    [
        (1, [(0, 1, 1)]),
        (3, [(0, 3, 4)]),
        (4, [(0, 4, 4)]),
        (5, [(0, 5, 8)]),
        (8, [(0, 8, 8)]),
        (9, [(0, 8, 8), (8, 9, 1)]),
        (19, [(0, 8, 8), (8, 16, 8), (16, 19, 4)]),
    ],
)
def test_batches_become_sizes_that_there_are(count: int, parts: list[tuple[int, int, int]]) -> None:
    assert list(split(count, (1, 4, 8))) == parts


def test_any_number_of_images_by_fixed_sizes() -> None:
    made: list[int] = []
    ran: list[int] = []

    def record(size: int) -> Forward:
        """As a graph: computed from and to the same memory, whatever lies there from before."""
        images, logits = torch.full((size, 2, 2, 3), 99, dtype=torch.uint8), torch.full((size, 1), -1.0)

        def replay() -> None:
            ran.append(size)
            logits.copy_(images.double().sum((1, 2, 3))[:, None])

        made.append(size)
        return fixed_size(images, logits, replay)

    runs = by_fixed_sizes(record, (1, 2, 4))
    assert made == [4, 2, 1]

    def numbered(start: int, count: int) -> Tensor:
        return torch.arange(start, start + count, dtype=torch.uint8)[:, None, None, None].expand(-1, 2, 2, 3)

    for count in (1, 2, 3, 4, 5, 11):
        # Twelve values an image, all its number.
        assert runs(numbered(7, count)).tolist() == [[12.0 * (7 + i)] for i in range(count)]
    assert ran == [1, 2, 4, 4, 4, 1, 4, 4, 4]
    first, second = runs(numbered(1, 1)), runs(numbered(2, 1))
    assert (first.item(), second.item()) == (12.0, 24.0)


def test_kernels_that_cannot_be_recorded_run_one_by_one_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_arguments: object) -> Forward:
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    def forward(images: Tensor) -> Tensor:
        return images + 1

    warnings: list[str] = []
    # Not by what reaches the root logger: libraries that run in the same process set its level.
    monkeypatch.setattr(engine._log, "warning", lambda text, *values: warnings.append(text % values))
    monkeypatch.setattr(engine, "recorder", failing)
    assert recorded(forward, 32, torch.device("cpu")) is forward
    (warning,) = warnings
    assert warning.endswith("operation not permitted when stream is capturing")


def test_the_sizes_end_with_the_largest_batch() -> None:
    assert SIZES == (1, 2, 4, 8, 16, 32)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 0.0), (torch.bfloat16, 0.02), (torch.float16, 0.005)])
def test_half_precision_keeps_the_answers(dtype: torch.dtype, tolerance: float) -> None:
    # bf16 has 8 bits, f16 11: 2^-9 and 2^-12 a rounding, twenty layers deep.
    network = separating_network()
    images = torch.from_numpy(pictures())
    with torch.inference_mode():
        wanted = network(images).softmax(1)
        logits = forward_in(network, dtype)(images)
    assert logits.dtype == torch.float32
    assert np.asarray(logits.softmax(1)) == pytest.approx(np.asarray(wanted), abs=tolerance)
    assert network.head.weight.dtype == torch.float32
