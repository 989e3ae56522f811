"""How long a network takes for one image: what a search can weigh accuracy against."""

import statistics
import time
from typing import Final

import torch

from model.network import Classifier

_WARM_UP: Final = 5
_MEASURED: Final = 20


@torch.inference_mode()
def measure_latency(network: Classifier, image_size: int, device: torch.device) -> float:
    """Milliseconds from pixels to logits for a single image: the median of 20, after 5 that don't count.

    image_size: side of the input in pixels. The network is left on `device`, in evaluation mode.
    """
    network.to(device).eval()
    image = torch.zeros(1, image_size, image_size, 3, dtype=torch.uint8, device=device)
    times = []
    for number in range(_WARM_UP + _MEASURED):
        start = time.perf_counter()
        # On the CPU at last: that waits for a GPU, as whoever wants the answer has to.
        network(image).cpu()
        if number >= _WARM_UP:
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)
