"""deploy.py doctor: the image in ECR, and the account's quotas."""

import json
from dataclasses import replace
from typing import Any

import pytest

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.billing.quotas import Quota
from backends.settings.sections import Deploy, Settings, Train
from cli.doctor.account import check_quotas, wanted
from cli.doctor.check import CheckResult, run_check
from cli.doctor.image import Address, check_image
from tests.cloud.conftest import IMAGE
from tests.cloud.doctor_cases import CONFIG, LABELS, QUOTAS, changed, fault, give_config, give_quotas, only
from tests.cloud.simulator.server import Simulator

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        (IMAGE, Address("123456789012", "eu-west-1", "kennel", {"imageTag": "1.0"})),
        (f"{HOST}/dogs/kennel", Address("123456789012", "eu-west-1", "dogs/kennel", {"imageTag": "latest"})),
        (f"{HOST}/kennel:1@sha256:ab", Address("123456789012", "eu-west-1", "kennel", {"imageDigest": "sha256:ab"})),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/kennel:1",
         Address("123456789012", "cn-north-1", "kennel", {"imageTag": "1"})),
    ],
)  # fmt: skip
def test_addresses(uri: str, address: Address) -> None:
    assert Address.parse(uri) == address


@pytest.mark.parametrize("uri", ["kennel:latest", "docker.io/kennel/kennel:1", f"{HOST}/", "localhost:5000/kennel:1"])
def test_what_is_in_no_ecr_is_refused(uri: str) -> None:
    with pytest.raises(BackendError, match="is no image in ECR, where SageMaker takes images from; push it with"):
        Address.parse(uri)


def test_an_image_in_order(cloud: Simulator, account: Account) -> None:
    give_config(cloud, CONFIG)
    assert list(check_image(account)) == [
        CheckResult("image", "ok", f"{IMAGE}, 0.0 GB as it travels"),
        CheckResult("image's machine", "ok", "linux/amd64"),
        CheckResult("image's content", "ok", "CUDA 13.0; ImageNet weights: resnet18"),
        CheckResult("instances", "ok", "the image runs on ml.g4dn.xlarge, ml.m5.xlarge, ml.m5.large"),
    ]
    (asked,) = cloud.requests("BatchGetImage")
    assert {key: asked[key] for key in ("registryId", "repositoryName", "imageIds")} == {
        "registryId": "123456789012", "repositoryName": "kennel", "imageIds": [{"imageTag": "1.0"}],
    }  # fmt: skip
    assert len(asked["acceptedMediaTypes"]) == 4


def test_an_image_that_is_not_there(cloud: Simulator, account: Account) -> None:
    (row,) = run_check("image", lambda: check_image(changed(account, image=f"{HOST}/kennel:2.0")))
    assert (row.state, row.message) == fault(
        f"{HOST}/kennel:2.0 isn't there (Requested image not found); push it with ./build_and_push.sh, ",
        "and set image to the URI on its last line",
    )
    (row,) = run_check("image", lambda: check_image(changed(account, image=f"{HOST}/kennel-cattery:1.0")))
    assert row.state == "fault"
    assert row.message.startswith(f"looking for {HOST}/kennel-cattery:1.0: ")


def test_an_image_in_another_region(account: Account) -> None:
    uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kennel:1.0"
    assert only(check_image(changed(account, image=uri))) == fault(
        f"{uri} is in us-east-1, and jobs in eu-west-1 take none from there; push it to eu-west-1, or set region"
    )


@pytest.mark.parametrize(
    ("form", "manifest", "said"),
    [
        (OCI, {"config": {}, "layers": []}, f"in another form than Docker's own ({OCI})"),
        (INDEX, {"manifests": [{"platform": {"os": "linux", "architecture": "arm64"}}, {"platform": {}}]},
         f"an index of images (linux/arm64, ?/?; {INDEX})"),
    ],
)  # fmt: skip
def test_forms_that_sagemaker_refuses(
    cloud: Simulator, account: Account, form: str, manifest: dict[str, Any], said: str
) -> None:
    image = {"imageManifest": json.dumps({"mediaType": form, **manifest}), "imageManifestMediaType": form}
    cloud.answer("BatchGetImage", lambda _request: {"images": [image], "failures": []})
    assert only(check_image(account)) == (
        "fault", f"{IMAGE} is {said}, which SageMaker refuses; push it with ./build_and_push.sh",
    )  # fmt: skip


def test_an_image_of_another_account_and_of_no_kennel(cloud: Simulator, account: Account) -> None:
    give_config(cloud, {**CONFIG, "config": {}})
    manifest = {"config": {"digest": f"sha256:{'1' * 64}"}, "layers": [{"size": 3_000_000_000}, {"size": 200_000_000}]}
    image = {"imageManifest": json.dumps(manifest),
             "imageManifestMediaType": "application/vnd.docker.distribution.manifest.v2+json"}  # fmt: skip
    cloud.answer("BatchGetImage", lambda _request: {"images": [image], "failures": []})
    uri = "999999999999.dkr.ecr.eu-west-1.amazonaws.com/kennel:1.0"
    assert list(check_image(changed(account, image=uri))) == [
        CheckResult("image", "ok", f"{uri}, 3.2 GB as it travels"),
        CheckResult("image", "note", "it is of account 999999999999, whose repository has to let the role pull"),
        CheckResult("image's machine", "ok", "linux/amd64"),
        CheckResult("image's content", "note", "it has none of the labels of Kennel's image; is it one?"),
    ]


def test_an_image_for_another_machine(cloud: Simulator, account: Account) -> None:
    give_config(cloud, {**CONFIG, "architecture": "arm64"})
    assert list(check_image(account))[1] == CheckResult(
        "image's machine", "fault",
        "linux/arm64, and SageMaker's instances are linux/amd64 (it would end with exec format error); push it with "
        "./build_and_push.sh",
    )  # fmt: skip


def test_a_configuration_that_cannot_be_had(cloud: Simulator, account: Account) -> None:
    cloud.fail("GetDownloadUrlForLayer", "AccessDeniedException", "You may not.")
    assert [row.state for row in run_check("image", lambda: check_image(account))] == ["ok", "note"]
    cloud.answer("GetDownloadUrlForLayer", lambda _request: {"downloadUrl": f"{cloud.url}/kennel-bucket/none"})
    last = list(run_check("image", lambda: check_image(account)))[-1]
    assert last.state == "fault"
    assert last.message.startswith("the image's configuration can't be fetched from S3 (")


NO_GPU = (
    "its torch is for CPUs, and {} would be paid for its GPU; build it with TORCH=cuda, or set another "
    "instance_type in [train]"
)
NO_WEIGHTS = (
    "it has no ImageNet weights, and with network_isolation none can be fetched; build it with PRETRAINED=resnet18, or "
    "train with --set pretrained=FILE"
)


@pytest.mark.parametrize(
    ("labels", "instance", "isolated", "said"),
    [
        ({**LABELS, "ai.kennel.cuda": "none"}, "ml.g4dn.xlarge", False,
         [NO_GPU.format("ml.g4dn.xlarge")]),
        ({**LABELS, "ai.kennel.cuda": "none"}, "ml.p3.2xlarge", False,
         [NO_GPU.format("ml.p3.2xlarge")]),
        ({**LABELS, "ai.kennel.cuda": "none"}, "ml.m5.large", False, []),
        ({**LABELS, "ai.kennel.pretrained": "none"}, "ml.g4dn.xlarge", False, []),
        ({**LABELS, "ai.kennel.pretrained": "none"}, "ml.g4dn.xlarge", True,
         [NO_WEIGHTS]),
        (LABELS, "ml.g4dn.xlarge", True, []),
    ],
)  # fmt: skip
def test_whether_its_content_suits_the_settings(
    cloud: Simulator, account: Account, labels: dict[str, str], instance: str, isolated: bool, said: list[str]
) -> None:
    give_config(cloud, {**CONFIG, "config": {"Labels": labels}})
    settings = replace(
        account.settings, train=Train(instance_type=instance),
        sagemaker=replace(account.settings.sagemaker, network_isolation=isolated),
    )  # fmt: skip
    rows = [row for row in check_image(Account(settings, account.consent)) if row.subject == "image's content"]
    assert [row.message for row in rows if row.state == "fault"] == said
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"deploy": Deploy(instance_type="ml.g5.xlarge")},
         (True, "ml.m5.xlarge, ml.g5.xlarge (with the driver of al2023-ami-sagemaker-inference-gpu-4-1)")),
        ({"deploy": Deploy(instance_type="ml.m6g.large", kind="serverless")}, (True, "ml.g4dn.xlarge, ml.m5.xlarge")),
        ({"deploy": Deploy(instance_type="ml.m6g.large")}, (False, "ml.m6g.large has an ARM processor")),
        ({"train": Train(instance_type="ml.trn1.2xlarge")}, (False, "ml.trn1.2xlarge has an accelerator")),
    ],
)  # fmt: skip
def test_whether_it_runs_on_the_instances(
    cloud: Simulator, account: Account, sections: dict[str, Any], said: tuple[bool, str]
) -> None:
    give_config(cloud, CONFIG)
    (row,) = [
        row
        for row in check_image(Account(replace(account.settings, **sections), account.consent))
        if row.subject == "instances"
    ]
    assert row.state == ("ok" if said[0] else "fault")
    assert said[1] in row.message


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        (Settings(), {"ml.g4dn.xlarge for training job usage": 1, "ml.m5.xlarge for transform job usage": 1,
                      "ml.m5.xlarge for processing job usage": 1, "ml.m5.large for endpoint usage": 1}),
        (Settings(train=Train(spot=True, instance_count=2), deploy=Deploy(kind="serverless")),
         {"ml.g4dn.xlarge for spot training job usage": 2, "ml.m5.xlarge for transform job usage": 1,
          "ml.m5.xlarge for processing job usage": 1}),
        (Settings(train=Train(keep_alive_minutes=5), deploy=Deploy(instance_count=2, max_instances=6)),
         {"ml.g4dn.xlarge for training job usage": 1, "ml.m5.xlarge for transform job usage": 1,
          "ml.m5.xlarge for processing job usage": 1, "ml.g4dn.xlarge for training warm pool usage": 1,
          "ml.m5.large for endpoint usage": 6}),
    ],
)  # fmt: skip
def test_the_quotas_that_settings_need(settings: Settings, needed: dict[str, int]) -> None:
    assert wanted(settings) == needed


def test_quotas_are_the_accounts_own_else_the_default(cloud: Simulator, account: Account) -> None:
    own = {name: value for name, value in QUOTAS.items() if "endpoint" not in name and "transform" not in name}
    own["ml.g4dn.xlarge for training job usage"] = 0
    give_quotas(cloud, own, {**QUOTAS, "ml.m5.large for endpoint usage": 1})
    train = "ml.g4dn.xlarge for training job usage"
    assert list(check_quotas(account)) == [
        CheckResult("quota", "fault", f"{train}: 0, and 1 needed; ask for more with: aws service-quotas "
            f"request-service-quota-increase --service-code sagemaker --quota-code L-{len(train):08d} "
            "--desired-value 1 --region eu-west-1"),
        CheckResult("quota", "ok", "ml.m5.xlarge for transform job usage: 4, 1 needed"),
        CheckResult("quota", "ok", "ml.m5.xlarge for processing job usage: 4, 1 needed"),
        CheckResult("quota", "ok", "ml.m5.large for endpoint usage: 1, 1 needed"),
    ]  # fmt: skip
    assert [request.get("NextToken") for request in cloud.requests("ListServiceQuotas")] == [None, "more"]
    assert {request["ServiceCode"] for request in cloud.requests("ListServiceQuotas")} == {"sagemaker"}


def test_quotas_that_are_all_the_accounts_own_need_no_defaults(cloud: Simulator, account: Account) -> None:
    give_quotas(cloud, QUOTAS, {})
    assert {row.state for row in check_quotas(account)} == {"ok"}
    assert cloud.requests("ListAWSDefaultServiceQuotas") == []


def test_a_type_that_the_region_has_not(cloud: Simulator, account: Account) -> None:
    give_quotas(cloud, QUOTAS, {})
    settings = replace(account.settings, train=Train(instance_type="ml.g9.xlarge"))
    row = next(iter(check_quotas(Account(settings, account.consent))))
    assert row == CheckResult(
        "quota", "fault", "eu-west-1 has no quota 'ml.g9.xlarge for training job usage', so the instance type isn't "
        "offered there; set another",
    )  # fmt: skip


def test_who_may_not_see_the_quotas_hears_of_it(cloud: Simulator, account: Account) -> None:
    cloud.fail("ListServiceQuotas", "AccessDeniedException", "You may not.")
    (row,) = run_check("quotas", lambda: check_quotas(account))
    assert (row.subject, row.state) == ("quotas", "note")


def test_a_quota_that_is_fixed() -> None:
    quota = Quota("ml.m5.large for endpoint usage", "L-1", 0, False)
    assert quota.remedy(2, "eu-west-1") == "it can't be raised; choose another instance type"
