"""How many threads torch computes with, and that they compute the same in every process."""

import torch


def use_threads(count: int) -> None:
    """Let torch compute with so many threads. Call it once at least, before anything is computed.

    Intel MKL, which torch's CPU build computes square roots, exponentials and the like with, looks up the processor
    when one of these functions is first called, and stores what it found twice: as a number of its own, then
    translated into the row of its table of functions. A thread that asks between the two takes another row; on
    Intel's with AVX-512 that of the least accuracy, whose square roots have a relative error of 2.5e-4 instead of
    6e-8. Adam's first step is such a call, made by all threads at once, and one training in eight went another way
    from there. After one call by one thread the number is settled, for as long as the process lives.
    """
    torch.set_num_threads(count)
    torch.ones(1).sqrt()
