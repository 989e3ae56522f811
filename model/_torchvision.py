"""torchvision, imported without what Kennel has no use for.

Two things stand in the way of a plain `import torchvision`:

- PyPI's wheel is linked against CUDA torch. Beside a CPU build its compiled operators don't load, and import fails
  on registering their shape functions. Networks, transforms and weights need none of them, so declaring the two
  operators that are looked up at import is enough.
- `torchvision.ops.roi_align` imports torch's compiler: see `model._compiler`.
"""

import importlib
import sys
from types import ModuleType

import torch

from model._compiler import importing_torchvision


def _import_torchvision() -> ModuleType:
    with importing_torchvision():
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
