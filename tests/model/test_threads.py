import subprocess
import sys
from pathlib import Path

from torch.utils._python_dispatch import TorchDispatchMode

from model.threads import use_threads

# Each child is a process in which no square root was ever computed: the first one is computed by two threads at once.
ROOTS = """
import os
import torch
from model.threads import use_threads

values = torch.linspace(0.001, 1, 5120)
for _ in range(40):
    child = os.fork()
    if child == 0:
        use_threads(2)
        torch.add(values, values)
        first = torch.sqrt(values)
        os._exit(not torch.equal(first, torch.sqrt(values)))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


class Called(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        self.operators.append(f"{func.overloadpacket.__name__} {result.numel()}")
        return result


def test_a_vector_function_of_mkl_is_called_before_threads_can_call_it_together() -> None:
    with Called() as called:
        use_threads(1)
    # Of one value, so by one thread.
    assert called.operators[-1] == "sqrt 1"


def test_the_first_square_root_is_like_any_other() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", ROOTS]
    found = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["0"] * 40
