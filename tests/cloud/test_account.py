"""The account that a step works in: its bucket, its role, its region."""

import pytest

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.settings.sections import AccountSettings, Settings
from tests.cloud.simulator.server import Simulator

DEFAULT = "sagemaker-eu-west-1-123456789012"


def account(**chosen: str) -> Account:
    return Account(Settings(sagemaker=AccountSettings(**chosen)), lambda _items: None)  # type: ignore[arg-type]


def test_sagemakers_own_bucket_is_made_once(cloud: Simulator) -> None:
    assert account().bucket == DEFAULT
    assert cloud.client("s3").get_bucket_location(Bucket=DEFAULT)["LocationConstraint"] == "eu-west-1"
    assert account().bucket == DEFAULT
    assert len(cloud.requests("CreateBucket")) == 1


def test_in_the_first_region_a_bucket_has_no_place(cloud: Simulator) -> None:
    assert account(region="us-east-1").bucket == "sagemaker-us-east-1-123456789012"
    location = cloud.client("s3").get_bucket_location(Bucket="sagemaker-us-east-1-123456789012")
    assert location["LocationConstraint"] is None


def test_a_bucket_of_that_name_that_is_another_accounts_is_not_used(cloud: Simulator) -> None:
    cloud.fail("HeadBucket", "403", "Forbidden", status=403)
    with pytest.raises(
        BackendError, match=r"^looking for the bucket: whoever these credentials are may not do s3:List"
    ):
        _ = account().bucket
    assert cloud.requests("CreateBucket") == []


def test_the_sdk_works_in_the_same_bucket(cloud: Simulator) -> None:
    assert account(bucket="kennel-bucket").session.default_bucket() == "kennel-bucket"
    assert account().session.default_bucket() == DEFAULT


def test_a_roles_name_becomes_its_arn(cloud: Simulator) -> None:
    assert account(role="kennel-execution").role == "arn:aws:iam::123456789012:role/kennel-execution"
    assert account(role="arn:aws:iam::1:role/x").role == "arn:aws:iam::1:role/x"
    with pytest.raises(BackendError, match=r"no execution role; make one \(docs/iam/create.sh\) and set role in"):
        _ = account().role


def test_what_is_missing_is_told(cloud: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match=r"there is no image for SageMaker; push one \(./build_and_push.sh kennel\)"):
        _ = account().image
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BackendError, match=r"^there is no AWS region; set region in \[sagemaker\]"):
        _ = account().region


def test_kennels_clients_name_themselves(cloud: Simulator) -> None:
    here = account(region="eu-west-1", bucket="kennel-bucket")
    here.client("s3").list_objects_v2(Bucket="kennel-bucket")
    here.session.sagemaker_client.list_models()
    assert [call.agent.split()[-1] for call in cloud.calls] == ["kennel"] * 2
