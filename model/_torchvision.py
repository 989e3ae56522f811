"""torchvision, imported without what Kennel has no use for.

Two things stand in the way of a plain `import torchvision`:

- PyPI's wheel is linked against CUDA torch. Beside a CPU build its compiled operators don't load, and import fails
  on registering their shape functions. Networks, transforms and weights need none of them, so declaring the two
  operators that are looked up at import is enough.
- `torchvision.ops.roi_align` imports torch's compiler for one function: 4 s of processor time and 84 MB at every
  start of every process (torch 2.13, torchvision 0.28), for an operator that no classifier calls. While torchvision
  is imported, that function is a stand-in which imports the real one when it is called.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch

_COMPILER = ("torch._dynamo", "torch._dynamo.utils")


@contextmanager
def _compiler_on_demand() -> Iterator[None]:
    """Inside, importing torch's compiler gives a stand-in; afterwards it is as if nobody had imported it."""
    if any(name in sys.modules for name in _COMPILER):
        yield
        return
    package, utils = (ModuleType(name) for name in _COMPILER)

    def is_compile_supported(device_type: str) -> bool:
        return bool(importlib.import_module(_COMPILER[1]).is_compile_supported(device_type))

    vars(utils)["is_compile_supported"] = is_compile_supported
    vars(package).update(utils=utils, __path__=[])
    sys.modules.update(zip(_COMPILER, (package, utils), strict=True))
    try:
        yield
    finally:
        for name in _COMPILER:
            del sys.modules[name]


def _import_torchvision() -> ModuleType:
    try:
        with _compiler_on_demand():
            return importlib.import_module("torchvision")
    except (ImportError, AttributeError):
        # Another torchvision may want more of the compiler than the stand-in has.
        _forget("torchvision")
        return importlib.import_module("torchvision")


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]


try:
    torchvision = _import_torchvision()
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    _forget("torchvision")
    # The reference must live as long as the process, or the declarations go with it.
    _operators = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for _name in ("nms", "qnms"):
        _schema = f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        _operators.define(_schema)  # type: ignore[no-untyped-call]
    torchvision = _import_torchvision()

__all__ = ["torchvision"]
