"""The image in ECR: whether it is there, in the form and for the machine that SageMaker takes, with what jobs need."""

import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.endpoints.drivers import check_processor, has_gpu, host_image
from backends.sagemaker.errors import translate_aws_errors
from backends.settings.sections import Settings
from cli.doctor.check import CheckResult, fault, note, ok, run_check

_URI: Final = re.compile(
    r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([a-z0-9._/-]+)(?::([\w.-]+))?(?:@(sha256:\w+))?"
)
_DOCKER: Final = "application/vnd.docker.distribution.manifest.v2+json"
_FORMS: Final = (
    _DOCKER, "application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)  # fmt: skip
_PUSH: Final = "push it with ./build_and_push.sh"
_LIMIT_S: Final = 30


@dataclass(frozen=True)
class Address:
    """Of an image in ECR. reference: as ECR's requests name an image, by tag or by digest."""

    account: str
    region: str
    repository: str
    reference: Mapping[str, str]

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """Raises BackendError for what is in no ECR."""
        match = _URI.fullmatch(uri)
        if match is None:
            raise BackendError(f"{uri} is no image in ECR, where SageMaker takes images from; {_PUSH}")
        tag, digest = match[4], match[5]
        reference = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
        return cls(match[1], match[2], match[3], reference)


def check_image(account: Account) -> Iterator[CheckResult]:
    """Raises BackendError when it can't be looked at."""
    address = Address.parse(account.image)
    if address.region != account.region:
        reason = f"{account.image} is in {address.region}, and jobs in {account.region} take none from there"
        yield fault("image", f"{reason}; push it to {account.region}, or set region")
        return
    form, manifest = _manifest(account, address)
    if form != _DOCKER:
        yield fault("image", f"{account.image} is {_named(form, manifest)}, which SageMaker refuses; {_PUSH}")
        return
    size = sum(layer["size"] for layer in manifest["layers"]) / 1e9
    yield ok("image", f"{account.image}, {size:.1f} GB as it travels")
    if address.account != account.identity["Account"]:
        yield note("image", f"it is of account {address.account}, whose repository has to let the role pull")
    yield from _content(account, _config(account, address, manifest["config"]["digest"]))


def _manifest(account: Account, address: Address) -> tuple[str, dict[str, Any]]:
    """(media type, manifest)."""
    with translate_aws_errors(f"looking for {account.image}"):
        answer = account.client("ecr").batch_get_image(
            registryId=address.account,
            repositoryName=address.repository,
            imageIds=[dict(address.reference)],
            acceptedMediaTypes=list(_FORMS),
        )
    if not answer["images"]:
        why = answer["failures"][0]["failureReason"] if answer["failures"] else "ECR has none of that name"
        raise BackendError(f"{account.image} isn't there ({why}); {_PUSH}, and set image to the URI on its last line")
    image = answer["images"][0]
    manifest: dict[str, Any] = json.loads(image["imageManifest"])
    return image.get("imageManifestMediaType") or manifest.get("mediaType", "of no known form"), manifest


def _named(form: str, manifest: Mapping[str, Any]) -> str:
    platforms = [entry.get("platform", {}) for entry in manifest.get("manifests", [])]
    if platforms:
        names = ", ".join(f"{platform.get('os', '?')}/{platform.get('architecture', '?')}" for platform in platforms)
        return f"an index of images ({names}; {form})"
    return f"in another form than Docker's own ({form})"


def _config(account: Account, address: Address, digest: str) -> dict[str, Any]:
    """The image's configuration, which says what it is for."""
    with translate_aws_errors("looking into the image"):
        answer = account.client("ecr").get_download_url_for_layer(
            registryId=address.account, repositoryName=address.repository, layerDigest=digest
        )
    try:
        with urllib.request.urlopen(answer["downloadUrl"], timeout=_LIMIT_S) as opened:
            config: dict[str, Any] = json.load(opened)
    except (OSError, ValueError) as error:
        raise BackendError(f"the image's configuration can't be fetched from S3 ({error}); repeat it") from error
    return config


def _content(account: Account, config: Mapping[str, Any]) -> Iterator[CheckResult]:
    machine = f"{config.get('os')}/{config.get('architecture')}"
    if machine != "linux/amd64":
        reason = f"{machine}, and SageMaker's instances are linux/amd64 (it would end with exec format error); {_PUSH}"
        yield fault("image's machine", reason)
    else:
        yield ok("image's machine", machine)
    labels = config.get("config", {}).get("Labels") or {}
    if "ai.kennel.cuda" not in labels:
        yield note("image's content", "it has none of the labels of Kennel's image; is it one?")
        return
    yield from _fitting(account.settings, labels)


def _fitting(settings: Settings, labels: Mapping[str, str]) -> Iterator[CheckResult]:
    """Whether what is in the image suits the settings."""
    cuda, weights = labels["ai.kennel.cuda"], labels.get("ai.kennel.pretrained", "none")
    faults = []
    if cuda == "none" and has_gpu(settings.train.instance_type):
        faults.append(
            f"its torch is for CPUs, and {settings.train.instance_type} would be paid for its GPU; build it with "
            "TORCH=cuda, or set another instance_type in [train]"
        )
    if weights == "none" and settings.sagemaker.network_isolation:
        faults.append(
            "it has no ImageNet weights, and with network_isolation none can be fetched; build it with "
            "PRETRAINED=resnet18, or train with --set pretrained=FILE"
        )
    for reason in faults:
        yield fault("image's content", reason)
    if not faults:
        yield ok("image's content", f"CUDA {cuda}; ImageNet weights: {weights}")
    yield from run_check("instances", partial(_instances, settings, cuda))


def _instances(settings: Settings, cuda: str) -> Iterator[CheckResult]:
    """Whether the image can run on the instance types. Raises BackendError for the first on which it can't."""
    types = [settings.train.instance_type, settings.transform.instance_type, settings.evaluate.instance_type]
    for instance_type in types:
        check_processor(instance_type)
    deploy = settings.deploy
    if deploy.kind != "serverless":
        types.append(deploy.instance_type)
        if ami := host_image(deploy.instance_type, cuda, deploy.ami):
            types[-1] += f" (with the driver of {ami})"
    yield ok("instances", f"the image runs on {', '.join(dict.fromkeys(types))}")
