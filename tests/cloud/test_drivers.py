"""Which host image an endpoint's GPU gets. The rows are AWS's table of GPU drivers, not our code's."""

import pytest

from backends.errors import BackendError
from backends.sagemaker.endpoints.drivers import DRIVERS, has_gpu, host_image
from tests.cloud.endpoint_cases import checked

NEWEST = "al2023-ami-sagemaker-inference-gpu-4-1"
OLDER = "al2-ami-sagemaker-inference-gpu-2-1"


@pytest.mark.parametrize(
    ("instance_type", "cuda", "wish", "expected"),
    [
        ("ml.m5.large", "13.0", "auto", None),
        ("ml.c6i.xlarge", "none", "auto", None),
        ("ml.t2.medium", "13.0", "none", None),
        # CUDA 13 needs driver 580.
        ("ml.g4dn.xlarge", "13.0", "auto", NEWEST),
        ("ml.g5.48xlarge", "13.0", "auto", NEWEST),
        ("ml.g6.xlarge", "13.0", "auto", NEWEST),
        ("ml.g6e.xlarge", "13.0", "auto", NEWEST),
        ("ml.p4d.24xlarge", "13.0", "auto", NEWEST),
        ("ml.p5.48xlarge", "13.0", "auto", NEWEST),
        ("ml.p5en.48xlarge", "13.0", "auto", NEWEST),
        # Newer than the table: the newest driver, whatever CUDA would do with.
        ("ml.g7e.2xlarge", "13.0", "auto", NEWEST),
        ("ml.p6-b200.48xlarge", "12.6", "auto", NEWEST),
        # CUDA 12 runs with 525 and newer, so on what these have.
        ("ml.g4dn.xlarge", "12.6", "auto", OLDER),
        ("ml.p3.2xlarge", "12.6", "auto", OLDER),
        ("ml.g6.xlarge", "12.6", "auto", None),
        ("ml.p5.48xlarge", "12.6", "none", None),
        ("ml.p4d.24xlarge", "11.8", "auto", None),
        # What the person wishes for, where it fits, and what is newer than the table.
        ("ml.g5.xlarge", "12.6", "al2-ami-sagemaker-inference-gpu-3-1", "al2-ami-sagemaker-inference-gpu-3-1"),
        ("ml.g5.xlarge", "13.0", NEWEST, NEWEST),
        ("ml.g5.xlarge", "13.0", "al2027-ami-of-tomorrow", "al2027-ami-of-tomorrow"),
        ("ml.g7e.2xlarge", "13.0", "none", None),
    ],
)
def test_the_driver_fits_the_images_cuda(instance_type: str, cuda: str, wish: str, expected: str | None) -> None:
    assert host_image(instance_type, cuda, wish) == expected


@pytest.mark.parametrize(
    ("instance_type", "cuda", "wish", "told"),
    [
        ("ml.g4dn.xlarge", "14.0", "auto", r"no host image .* CUDA 14.0 .* newest has 580.*ml.c6i.xlarge"),
        ("ml.p3.2xlarge", "13.0", "auto", r"CUDA 13.0 .* no code for the V100 of ml.p3.2xlarge; choose ml.g4dn.xlarge"),
        ("ml.p2.xlarge", "12.6", "auto", "no code for the K80"),
        ("ml.g4dn.xlarge", "none", "auto", r"no CUDA .* GPU of ml.g4dn.xlarge would idle.*TORCH=cuda"),
        ("ml.g4dn.xlarge", "13.0", "none", "leaves ml.g4dn.xlarge with driver 470, and CUDA 13.0 .* needs 580"),
        ("ml.g5.xlarge", "13.0", OLDER, f"{OLDER} has driver 535, .* needs 580 or newer; set ami to auto or {NEWEST}"),
        ("ml.m5.large", "13.0", NEWEST, "ml.m5.large has no GPU"),
        ("ml.c7g.large", "13.0", "auto", "ARM processor.*linux/amd64"),
        ("ml.m6gd.xlarge", "13.0", "auto", "ARM processor"),
        ("ml.r8g.medium", "13.0", "auto", "ARM processor"),
        ("ml.p6e-gb200.36xlarge", "13.0", "auto", "ARM processor"),
        ("ml.inf2.xlarge", "13.0", "auto", "accelerator that is programmed by another library"),
        ("ml.trn1.2xlarge", "13.0", "auto", "accelerator that is programmed by another library"),
    ],
)
def test_where_none_fits_it_says_so_and_what_would(instance_type: str, cuda: str, wish: str, told: str) -> None:
    with pytest.raises(BackendError, match=told):
        host_image(instance_type, cuda, wish)


def test_the_host_images_are_the_services_own() -> None:
    for name in DRIVERS:
        variant = {"VariantName": "AllTraffic", "InferenceAmiVersion": name}
        checked("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "one", "ProductionVariants": [variant]})
    assert len(DRIVERS) == 4


def test_every_instance_type_of_the_service_has_an_answer() -> None:
    import boto3

    client = boto3.client("sagemaker", region_name="eu-west-1", aws_access_key_id="n", aws_secret_access_key="n")
    types = client.meta.service_model.shape_for("ProductionVariantInstanceType").enum
    answers: dict[str, int] = {}
    for each in types:
        try:
            answer = host_image(each, "13.0", "auto")
            kind = "cpu" if answer is None else answer
            assert (kind == "cpu") is not has_gpu(each)
        except BackendError as error:
            kind = str(error).partition(" has ")[2][:6] or "none"
        answers[kind] = answers.get(kind, 0) + 1
    assert sum(answers.values()) == len(types) >= 277
    assert answers["cpu"] >= 100
    assert answers[NEWEST] >= 40
