"""What the image in ECR says about itself: its labels, asked of the registry without Docker."""

import json
import re
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from backends.cloud.account import Account
from backends.cloud.errors import told
from backends.errors import BackendError

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
    with told(f"reading the image {account.image}"):
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
