"""What the image in ECR says of its CUDA."""

import json
from dataclasses import replace
from typing import Any

import pytest

from backends.errors import BackendError
from backends.sagemaker.endpoints.drivers import image_cuda, image_labels
from tests.cloud.conftest import BUCKET, IMAGE, settings
from tests.cloud.endpoint_cases import account_of
from tests.cloud.simulator.server import Simulator

CONFIG = "sha256:" + "1" * 64


def labelled(cloud: Simulator, config: Any) -> None:
    """Moto has no layers: the image's configuration lies in S3 instead."""
    cloud.objects.write(f"s3://{BUCKET}/config.json", json.dumps(config).encode())
    signed = cloud.client("s3").generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "config.json"})
    cloud.answer("GetDownloadUrlForLayer", lambda _: {"downloadUrl": signed, "layerDigest": CONFIG})


@pytest.mark.parametrize("cuda", ["13.0", "none"])
def test_the_label_is_read(cloud: Simulator, cuda: str) -> None:
    labelled(cloud, {"config": {"Labels": {"ai.kennel.cuda": cuda, "other": "label"}}})
    account = account_of(settings())
    assert image_cuda(account) == (cuda, "")
    (image,), (layer,) = cloud.requests("BatchGetImage"), cloud.requests("GetDownloadUrlForLayer")
    assert image == {
        "registryId": "123456789012", "repositoryName": "kennel", "imageIds": [{"imageTag": "1.0"}],
        "acceptedMediaTypes": [
            "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json",
        ],
    }  # fmt: skip
    assert layer == {"registryId": "123456789012", "repositoryName": "kennel", "layerDigest": CONFIG}


@pytest.mark.parametrize(
    "config", [{}, {"config": {}}, {"config": {"Labels": None}}, {"config": {"Labels": {"a": "b"}}}]
)
def test_without_a_label_13_is_assumed_and_said(cloud: Simulator, config: Any) -> None:
    labelled(cloud, config)
    cuda, note = image_cuda(account_of(settings()))
    assert cuda == "13.0"
    assert note == "the image's CUDA is taken to be 13.0, for it has no label ai.kennel.cuda"


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("kennel:latest", "kennel:latest is no image in ECR"),
        (IMAGE.replace("eu-west-1", "us-east-1"), "lies in us-east-1, and the account is asked in eu-west-1"),
        (IMAGE.replace(":1.0", ":2.0"), "there is no image .*:2.0; push it"),
        (IMAGE.replace("/kennel:", "/kennel-cats:"), "reading the image .*kennel-cats"),
    ],
)
def test_an_image_that_cant_be_read_is_told_and_13_assumed(cloud: Simulator, image: str, told: str) -> None:
    chosen = settings()
    account = account_of(replace(chosen, sagemaker=replace(chosen.sagemaker, image=image)))
    with pytest.raises(BackendError, match=told):
        image_labels(account)
    cuda, note = image_cuda(account)
    assert cuda == "13.0"
    assert note.startswith("the image's CUDA is taken to be 13.0, for its labels can't be read: ")


def test_an_image_named_by_its_digest(cloud: Simulator) -> None:
    cloud.answer("BatchGetImage", lambda _: {"images": [{"imageManifest": json.dumps({"config": {"digest": CONFIG}})}]})
    labelled(cloud, {"config": {"Labels": {"ai.kennel.cuda": "none"}}})
    chosen, digest = settings(), "sha256:" + "2" * 64
    image = f"{IMAGE.removesuffix(':1.0')}@{digest}"
    assert image_cuda(account_of(replace(chosen, sagemaker=replace(chosen.sagemaker, image=image)))) == ("none", "")
    assert cloud.requests("BatchGetImage")[0]["imageIds"] == [{"imageDigest": digest}]


def test_an_index_of_several_images(cloud: Simulator) -> None:
    cloud.answer("BatchGetImage", lambda _: {"images": [{"imageManifest": json.dumps({"manifests": []})}]})
    with pytest.raises(BackendError, match="is an index of several images; push it with"):
        image_labels(account_of(settings()))


def test_a_download_that_is_no_configuration(cloud: Simulator) -> None:
    cloud.objects.write(f"s3://{BUCKET}/config.json", b"<html>")
    signed = cloud.client("s3").generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "config.json"})
    cloud.answer("GetDownloadUrlForLayer", lambda _: {"downloadUrl": signed})
    with pytest.raises(BackendError, match="ECR's download gave no configuration"):
        image_labels(account_of(settings()))
