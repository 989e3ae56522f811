"""Which host image (InferenceAmiVersion) gives an endpoint's GPU a driver that the image's CUDA can use.

Facts of AWS's page "GPU drivers", of the service model (botocore 1.44.5) and of NVIDIA's release notes.

What the image in ECR says about itself: its labels, asked of the registry without Docker.
"""

import json
import re
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.errors import translate_aws_errors

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
_OTHER_ACCELERATORS: Final = re.compile(r"inf\d|trn\d|dl\d")
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
    if _OTHER_ACCELERATORS.match(name):
        raise BackendError(
            f"{instance_type} has an accelerator that is programmed by another library than CUDA, which the image "
            "doesn't have; choose one like ml.m5.large, ml.c6i.large or ml.g4dn.xlarge"
        )


def host_image(instance_type: str, cuda: str, ami: str) -> str | None:
    """The InferenceAmiVersion for an endpoint, None where none has to be asked for.

    cuda: of the image, as in 13.0, or "none". ami: "auto", "none" or a host image's name. Raises BackendError where
    no host image fits, or the chosen one doesn't.
    """
    check_processor(instance_type)
    if not has_gpu(instance_type):
        if ami not in (AUTO, NONE):
            raise BackendError(f"ami: {instance_type} has no GPU, so {ami} has no driver to bring; set ami to auto")
        return None
    if cuda == NONE:
        raise BackendError(
            f"the image has no CUDA (it was built with TORCH=cpu), so the GPU of {instance_type} would idle at its "
            "price; choose ml.m5.large or ml.c6i.xlarge, or build and push the image with TORCH=cuda"
        )
    _check_generation(instance_type, cuda)
    needed, default = _driver_needed(cuda), DEFAULT_DRIVERS.get(family(instance_type))
    if ami == NONE:
        if default is not None and default < needed:
            raise BackendError(
                f"ami: none leaves {instance_type} with driver {default}, and CUDA {cuda} of the image needs {needed} "
                "or newer; set ami to auto"
            )
        return None
    if ami != AUTO:
        return _check_ami(ami, cuda, needed)
    if default is None:
        # A newer family may need a newer driver than CUDA does.
        return max(_host_images_with_driver(cuda, needed), key=lambda name: DRIVERS[name])
    return None if default >= needed else min(_host_images_with_driver(cuda, needed), key=lambda name: DRIVERS[name])


def _check_generation(instance_type: str, cuda: str) -> None:
    gpu, first = TOO_OLD.get(family(instance_type), ("", _major(cuda) + 1))
    if _major(cuda) >= first:
        raise BackendError(
            f"CUDA {cuda} of the image has no code for the {gpu} of {instance_type}; choose ml.g4dn.xlarge or "
            "ml.g5.xlarge, or ml.c6i.xlarge with no GPU"
        )


def _host_images_with_driver(cuda: str, needed: int) -> list[str]:
    names = [name for name, driver in DRIVERS.items() if driver >= needed]
    if not names:
        raise BackendError(
            f"no host image of SageMaker has the driver that CUDA {cuda} of the image needs (the newest has "
            f"{max(DRIVERS.values())}); choose an instance type with no GPU, as ml.c6i.xlarge"
        )
    return names


def _check_ami(ami: str, cuda: str, needed: int) -> str:
    # One that isn't in the table is newer than the table.
    if DRIVERS.get(ami, needed) < needed:
        raise BackendError(
            f"ami: {ami} has driver {DRIVERS[ami]}, and CUDA {cuda} of the image needs {needed} or newer; set ami to "
            f"{' or '.join(['auto', *_host_images_with_driver(cuda, needed)])}"
        )
    return ami


def _major(cuda: str) -> int:
    return int(cuda.partition(".")[0])


def _driver_needed(cuda: str) -> int:
    # A CUDA that isn't known here needs a newer driver than any that is.
    return NEEDED.get(_major(cuda), max(DRIVERS.values()) + 1 if _major(cuda) > max(NEEDED) else min(NEEDED.values()))


CUDA_LABEL: Final = "ai.kennel.cuda"
ASSUMED_CUDA: Final = "13.0"
_ECR: Final = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[a-z.]+/([^:@]+)(?::([^@]+))?(?:@(sha256:[0-9a-f]{64}))?")
_MANIFESTS: Final = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_TIMEOUT_S: Final = 20


def image_cuda(account: Account) -> tuple[str, str]:
    """(the image's CUDA as in 13.0 or "none", what the person should know of how that is known, or nothing)."""
    try:
        labels = image_labels(account)
    except BackendError as error:
        return ASSUMED_CUDA, f"the image's CUDA is taken to be {ASSUMED_CUDA}, for its labels can't be read: {error}"
    if CUDA_LABEL not in labels:
        return ASSUMED_CUDA, f"the image's CUDA is taken to be {ASSUMED_CUDA}, for it has no label {CUDA_LABEL}"
    return labels[CUDA_LABEL], ""


def image_labels(account: Account) -> dict[str, str]:
    """The labels of the image in the settings. Raises BackendError when it isn't in ECR or can't be read."""
    match = _ECR.fullmatch(account.image)
    if match is None:
        raise BackendError(f"{account.image} is no image in ECR")
    registry, region, repository, tag, digest = match.groups()
    if region != account.region:
        raise BackendError(f"{account.image} lies in {region}, and the account is asked in {account.region}")
    ecr = account.client("ecr")
    key = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    with translate_aws_errors(f"reading the image {account.image}"):
        answer = ecr.batch_get_image(
            registryId=registry, repositoryName=repository, imageIds=[key], acceptedMediaTypes=list(_MANIFESTS)
        )
        if not answer["images"]:
            raise BackendError(f"there is no image {account.image}; push it with ./build_and_push.sh")
        config = json.loads(answer["images"][0]["imageManifest"]).get("config", {}).get("digest")
        if not config:
            raise BackendError(f"{account.image} is an index of several images; push it with ./build_and_push.sh")
        url = ecr.get_download_url_for_layer(registryId=registry, repositoryName=repository, layerDigest=config)
    return _labels(url["downloadUrl"])


def _labels(url: str) -> dict[str, str]:
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as answer:
            config: dict[str, Any] = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        raise BackendError(f"ECR's download gave no configuration ({error})") from error
    return config.get("config", {}).get("Labels") or {}
