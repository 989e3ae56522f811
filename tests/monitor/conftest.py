"""Tests of the debugger, the profiler and the process beside a training."""

import torch

# Networks this small gain nothing from more, and on a busy machine threads wait for each other.
torch.set_num_threads(1)
