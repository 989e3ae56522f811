"""What the tests of model/ share."""

import torch

# Networks this small gain nothing from more, and on a busy machine threads wait for each other.
torch.set_num_threads(1)
