"""Which host image (InferenceAmiVersion) gives an endpoint's GPU a driver that the image's CUDA can use.

Facts of AWS's page "GPU drivers", of the service model (botocore 1.44.5) and of NVIDIA's release notes.
"""

import re
from typing import Final

from backends.errors import BackendError

AUTO: Final = "auto"
NONE: Final = "none"
# Driver of each host image, of the same driver the better one first; SageMaker offers no others for NVIDIA's GPUs.
DRIVERS: Final = {
    "al2-ami-sagemaker-inference-gpu-2-1": 535,
    "al2-ami-sagemaker-inference-gpu-2": 535,
    "al2-ami-sagemaker-inference-gpu-3-1": 550,
    "al2023-ami-sagemaker-inference-gpu-4-1": 580,
}
# Driver that a family has when no host image is asked for. Families that aren't here are newer than this table.
DEFAULT_DRIVERS: Final = {
    "p2": 470, "p3": 470, "p4d": 470, "p4de": 470, "g4dn": 470, "g5": 470, "g6": 535, "g6e": 535, "p5": 535,
    "p5e": 550, "p5en": 550,
}  # fmt: skip
# Oldest driver for a major version of CUDA; within it an older driver will do.
NEEDED: Final = {11: 450, 12: 525, 13: 580}
# GPU, and the first major version of CUDA that has no code for it.
TOO_OLD: Final = {"p2": ("K80", 12), "p3": ("V100", 13)}
# Made for another library than CUDA.
_OTHERS: Final = re.compile(r"inf\d|trn\d|dl\d")
_GPU: Final = re.compile(r"[gp]\d")
# Amazon's own processors: a `g` after the generation. (g4dn, g5 and g6 begin with it.)
_ARM: Final = re.compile(r"[a-z]+\d+g[a-z]*")


def family(instance_type: str) -> str:
    """g4dn of ml.g4dn.xlarge."""
    return instance_type.split(".")[1]


def has_gpu(instance_type: str) -> bool:
    """Whether it has NVIDIA GPUs."""
    return _GPU.match(family(instance_type)) is not None


def check_processor(instance_type: str) -> None:
    """Raises BackendError for an instance type that the image can't run on, or can't make use of."""
    name = family(instance_type)
    if _ARM.fullmatch(name) or name.endswith("gb200"):
        raise BackendError(
            f"{instance_type} has an ARM processor, and the image is built for linux/amd64; choose one like "
            "ml.m5.large, ml.c6i.large or ml.g4dn.xlarge"
        )
    if _OTHERS.match(name):
        raise BackendError(
            f"{instance_type} has an accelerator that is programmed by another library than CUDA, which the image "
            "doesn't have; choose one like ml.m5.large, ml.c6i.large or ml.g4dn.xlarge"
        )


def host_image(instance_type: str, cuda: str, wish: str) -> str | None:
    """The InferenceAmiVersion for an endpoint, None where none has to be asked for.

    cuda: of the image, as in 13.0, or "none". wish: "auto", "none" or a host image's name. Raises BackendError where
    no host image fits, or not the one wished for.
    """
    check_processor(instance_type)
    if not has_gpu(instance_type):
        if wish not in (AUTO, NONE):
            raise BackendError(f"ami: {instance_type} has no GPU, so {wish} has no driver to bring; set ami to auto")
        return None
    if cuda == NONE:
        raise BackendError(
            f"the image has no CUDA (it was built with TORCH=cpu), so the GPU of {instance_type} would idle at its "
            "price; choose ml.m5.large or ml.c6i.xlarge, or build and push the image with TORCH=cuda"
        )
    _check_generation(instance_type, cuda)
    needed, default = _driver_needed(cuda), DEFAULT_DRIVERS.get(family(instance_type))
    if wish == NONE:
        if default is not None and default < needed:
            raise BackendError(
                f"ami: none leaves {instance_type} with driver {default}, and CUDA {cuda} of the image needs {needed} "
                "or newer; set ami to auto"
            )
        return None
    if wish != AUTO:
        return _checked(wish, cuda, needed)
    if default is None:
        # A newer family may need a newer driver than CUDA does.
        return max(_fitting(cuda, needed), key=lambda name: DRIVERS[name])
    return None if default >= needed else min(_fitting(cuda, needed), key=lambda name: DRIVERS[name])


def _check_generation(instance_type: str, cuda: str) -> None:
    gpu, first = TOO_OLD.get(family(instance_type), ("", _major(cuda) + 1))
    if _major(cuda) >= first:
        raise BackendError(
            f"CUDA {cuda} of the image has no code for the {gpu} of {instance_type}; choose ml.g4dn.xlarge or "
            "ml.g5.xlarge, or ml.c6i.xlarge with no GPU"
        )


def _fitting(cuda: str, needed: int) -> list[str]:
    found = [name for name, driver in DRIVERS.items() if driver >= needed]
    if not found:
        raise BackendError(
            f"no host image of SageMaker has the driver that CUDA {cuda} of the image needs (the newest has "
            f"{max(DRIVERS.values())}); choose an instance type with no GPU, as ml.c6i.xlarge"
        )
    return found


def _checked(wish: str, cuda: str, needed: int) -> str:
    # One that isn't in the table is newer than the table.
    if DRIVERS.get(wish, needed) < needed:
        raise BackendError(
            f"ami: {wish} has driver {DRIVERS[wish]}, and CUDA {cuda} of the image needs {needed} or newer; set ami to "
            f"{' or '.join(['auto', *_fitting(cuda, needed)])}"
        )
    return wish


def _major(cuda: str) -> int:
    return int(cuda.partition(".")[0])


def _driver_needed(cuda: str) -> int:
    # A CUDA that isn't known here needs a newer driver than any that is.
    return NEEDED.get(_major(cuda), max(DRIVERS.values()) + 1 if _major(cuda) > max(NEEDED) else min(NEEDED.values()))
