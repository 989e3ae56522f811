"""torchvision, also beside a torch build it wasn't linked against.

PyPI's torchvision wheel is linked against CUDA torch. Beside a CPU build its compiled operators don't load,
and import fails on registering their shape functions. Networks, transforms and weights need none of them, so
declaring the two operators that are looked up at import is enough.
"""

import torch

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    # The reference must live as long as the process, or the declarations go with it.
    _operators = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for _name in ("nms", "qnms"):
        _schema = f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        _operators.define(_schema)  # type: ignore[no-untyped-call]
    import torchvision

__all__ = ["torchvision"]
