"""torch's compiler stays out of processes that don't use it, and works as ever in those that do. A process each."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Steps of an optimizer; `step()` makes one more, `executed()` tells whether torch._dynamo is more than its name.
STEPS = """
import sys
import torch
import model.network

network = torch.nn.Linear(3, 2)
optimizer = torch.optim.AdamW(network.parameters())

def step():
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()

def executed():
    assert ("sympy" in sys.modules) == ("torch._dynamo.eval_frame" in sys.modules)
    return "sympy" in sys.modules

for _ in range(3):
    step()
optimizer.state_dict()
before = sys.modules["torch._dynamo"]
assert not executed()
"""
# Whatever was done, the package is the real one by now, once, and torch asks it for what it had from the stand-in.
REAL = """
from types import ModuleType
import inspect
import torch._dynamo.utils
assert executed()
assert before is torch._dynamo is sys.modules["torch._dynamo"]
assert type(before) is ModuleType
assert inspect.getsourcefile(torch._dynamo.graph_break).endswith("torch/_dynamo/decorators.py")
assert torch._dynamo.utils is sys.modules["torch._dynamo.utils"]
assert torch._dynamo.utils.__file__ == torch._dynamo.utils.__spec__.origin
assert not [finder for finder in sys.meta_path if type(finder).__module__ == "model._compiler"]
zero_grad = torch.optim.Optimizer.zero_grad.__wrapped__
step()
assert "torch/_dynamo/eval_frame.py" in inspect.getsourcefile(vars(zero_grad)["__dynamo_disable"])
"""


def run(code: str) -> str:
    """What it prints, run by a Python of its own, where warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


USES = [
    "from torch._dynamo import graph_break, config; assert graph_break is torch._dynamo.graph_break",
    "torch.compiler.reset()",
]
MORE_USES = [
    "import torch._dynamo.backends.registry as found; assert found.list_backends",
    "torch._dynamo.disable(step)()",
    "torch._dynamo.note = 1; assert vars(before)['note'] == 1; assert 'export' in dir(torch._dynamo)",
    "assert not hasattr(torch._dynamo, 'never_heard_of')",
]


@pytest.mark.parametrize("use", [*USES, *(pytest.param(use, marks=pytest.mark.long) for use in MORE_USES)])
def test_any_use_of_the_compiler_gets_the_real_one(use: str) -> None:
    run(f"{STEPS}\n{use}\n{REAL}")


@pytest.mark.long
def test_what_was_stepped_can_be_compiled() -> None:
    run(
        STEPS
        + """
import copy, warnings
# The compiler's own deprecations.
warnings.simplefilter("ignore")
image = torch.ones(2, 3)
compiled = torch.compile(network, backend="eager", fullgraph=True)
assert torch.equal(compiled(image), network(image))
compiled(image).sum().backward()
other = copy.deepcopy(network)
for mine, its in zip(network.parameters(), other.parameters()):
    its.grad = mine.grad.clone()
theirs = torch.optim.AdamW(other.parameters())
theirs.load_state_dict(copy.deepcopy(optimizer.state_dict()))
torch.compile(optimizer.step, backend="eager")()
theirs.step()
# Compiled, it computes with tensors what is numbers else.
assert all(torch.allclose(a, b) for a, b in zip(network.parameters(), other.parameters()))
exported = torch.export.export(network, (image,))
assert torch.equal(exported.module()(image), network(image))
"""
        + REAL
    )


@pytest.mark.long
def test_threads_that_want_it_at_the_same_time_get_one() -> None:
    run(
        STEPS
        + """
import threading
uses = [
    "import torch._dynamo; torch._dynamo.optimize",
    "from torch._dynamo import config; config.verbose",
    "torch._dynamo.reset",
    "torch.compiler.reset()",
] * 2 + ["for _ in range(300): step()"]
errors, names = [], {**globals()}
gate = threading.Barrier(len(uses))

def work(use):
    gate.wait()
    try:
        exec(use, dict(names))
    except BaseException as error:
        errors.append((use, error))

threads = [threading.Thread(target=work, args=(use,)) for use in uses]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not errors, errors
"""
        + REAL
    )


@pytest.mark.long
def test_whoever_imports_it_first_gets_the_real_one() -> None:
    run("import sys, model.network, torch._dynamo\nassert 'sympy' in sys.modules\nimport torch._dynamo.utils")
    run(
        "import sys, torch._dynamo\nreal = torch._dynamo\nimport model.network\n"
        "assert sys.modules['torch._dynamo'] is real\nassert real.utils is sys.modules['torch._dynamo.utils']"
    )


@pytest.mark.long
def test_another_torch_that_asks_for_more_gets_the_real_one() -> None:
    run(
        STEPS
        + """
scope = {**vars(torch._compile), "torch": torch, "step": step}
assert eval("torch._dynamo.disable(step, reason='none')", scope) is not step
"""
        + REAL
    )
    run(
        """
import sys
from model._compiler import importing_torchvision
import torch
with importing_torchvision():
    from torch._dynamo.utils import is_compile_supported, counters
    import torch._dynamo
assert "sympy" in sys.modules
assert counters is torch._dynamo.utils.counters
assert torch._dynamo.utils.__file__
"""
    )


TRAINING = """
import hashlib, io, sys
if sys.argv[1] == "real":
    import torch._dynamo
import torch
from model.network import build
from train.optim import WeightAverage
from contract.hyperparameters import Hyperparameters
from train.optim import build_optimizer, build_schedule

torch.set_num_threads(1)
for name in ("adamw", "adam", "sgd"):
    torch.manual_seed(0)
    network = build("resnet18", "linear", 3, (0.5,) * 3, (0.5,) * 3)
    optimizer = build_optimizer(network, Hyperparameters(optimizer=name))
    schedule, average = build_schedule(optimizer, 4, 0.1, "cosine"), WeightAverage(network, 0.9)
    for _ in range(4):
        images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
        with torch.autocast("cpu", torch.bfloat16, enabled=name == "adamw"):
            network(images).float().logsumexp(1).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        average.update_parameters(network)
    digest = hashlib.sha256()
    for state in (network.state_dict(), average.state_dict(), *optimizer.state_dict()["state"].values()):
        for tensor in state.values():
            digest.update(tensor.numpy().tobytes())
    print(name, digest.hexdigest())
print("sympy" in sys.modules, file=sys.stderr)
"""


@pytest.mark.long
def test_the_weights_are_the_same_to_the_byte() -> None:
    answers = {}
    for which in ("real", "without"):
        command = [sys.executable, "-c", TRAINING, which]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert answer.stderr.splitlines()[-1:] == [str(which == "real")], answer.stderr
        answers[which] = answer.stdout
    assert answers["real"] == answers["without"]
    assert len(answers["real"].splitlines()) == 3
