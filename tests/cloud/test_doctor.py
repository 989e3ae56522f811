"""deploy.py doctor on an account: credentials, region, role, bucket, VPC and key."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.settings.sections import General, Settings
from cli.doctor.account import check_bucket, check_network, check_rights, check_role, check_sdk, trusts
from cli.doctor.check import CheckResult, run_check
from cli.doctor.examine import examine
from tests.backends.terminal import deploy
from tests.cloud.conftest import IMAGE, ROLE
from tests.cloud.doctor_cases import changed, fault, in_order, only
from tests.cloud.simulator.server import Simulator

OPTIONS = ("--on", "sagemaker", "-o", f"role={ROLE}", "-o", "bucket=kennel-bucket", "--image", IMAGE)
SUBNET, GROUP = "subnet-0a", "sg-0a"


def rows_of(account: Account, runs: Path) -> dict[str, list[tuple[str, str]]]:
    settings = Settings(kennel=General(on="sagemaker"), sagemaker=account.settings.sagemaker)
    found: dict[str, list[tuple[str, str]]] = {}
    for row in examine(settings, runs, account):
        found.setdefault(row.subject, []).append((row.state, row.message))
    return found


def test_an_account_in_order(cloud: Simulator, tmp_path: Path) -> None:
    in_order(cloud)
    answer = deploy("doctor", *OPTIONS, "--runs", tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = [(line[:5].strip(), line[7:24].strip(), line[24:]) for line in answer.stdout.splitlines()]
    assert found[0] == ("ok", "settings", "5 set: -o (sagemaker.role, sagemaker.bucket), --on, --runs, --image")
    (start,) = [number for number, row in enumerate(found) if row[1] == "SageMaker's SDK"]
    assert found[start][2].startswith("sagemaker 2.")
    assert found[start + 4][:2] == ("note", "role's rights")
    assert found[start + 4][2].startswith("not looked at, which jobs don't need: asking IAM what the role may do: ")
    del found[start + 4]
    assert found[start + 1 :] == [
        ("ok", "credentials", "arn:aws:sts::123456789012:user/moto, in eu-west-1"),
        ("ok", "SageMaker", "answers in eu-west-1"),
        ("ok", "role", f"{ROLE}, which SageMaker may act as"),
        ("ok", "bucket", "s3://kennel-bucket/kennel, in eu-west-1"),
        ("ok", "image", f"{IMAGE}, 0.0 GB as it travels"),
        ("ok", "image's machine", "linux/amd64"),
        ("ok", "image's content", "CUDA 13.0; ImageNet weights: resnet18"),
        ("ok", "instances", "the image runs on ml.g4dn.xlarge, ml.m5.xlarge, ml.m5.large"),
        ("ok", "quota", "ml.g4dn.xlarge for training job usage: 2, 1 needed"),
        ("ok", "quota", "ml.m5.xlarge for transform job usage: 4, 1 needed"),
        ("ok", "quota", "ml.m5.xlarge for processing job usage: 4, 1 needed"),
        ("ok", "quota", "ml.m5.large for endpoint usage: 4, 1 needed"),
        ("no fa", "ts", ""),
    ]
    assert cloud.changes() == []


def test_without_credentials_nothing_else_is_asked(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    cloud.fail("GetCallerIdentity", "ExpiredToken", "The security token included in the request is expired", status=403)
    found = rows_of(account, tmp_path)
    ((state, said),) = found["credentials"]
    assert state == "fault"
    assert "expired" in said
    assert found["account"] == [("note", "not looked at without credentials and a region")]
    assert [call.operation for call in cloud.calls] == ["GetCallerIdentity"]
    assert "role" not in found


def test_credentials_of_another_account_than_the_one_meant(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    meant = changed(account, account="999999999999")
    (found,) = rows_of(meant, tmp_path)["credentials"]
    assert found == fault(
        "these credentials (arn:aws:sts::123456789012:user/moto) are of account 123456789012, and this is in ",
        "999999999999; use some of that (AWS_PROFILE, or profile in [sagemaker] of kennel.toml)",
    )
    # Whatever is asked for first.
    with pytest.raises(BackendError, match="and this is in 999999999999"):
        changed(account, account="999999999999").client("sagemaker")
    assert {call.operation for call in cloud.calls} == {"GetCallerIdentity"}
    assert changed(account, account="123456789012").client("sagemaker") is not None


def test_all_that_is_missing_is_told_at_once(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    cloud.answer("ListServiceQuotas", lambda _request: {"Quotas": []})
    cloud.answer("ListAWSDefaultServiceQuotas", lambda _request: {"Quotas": []})
    found = rows_of(changed(account, role="", bucket="nobodys-bucket", image=""), tmp_path)
    told = "there is no execution role; make one (docs/iam/create.sh) and set role in [sagemaker] of kennel.toml"
    assert found["role"] == [("fault", told)]
    assert found["bucket"] == [
        ("fault", "there is no bucket nobodys-bucket; aws s3 mb s3://nobodys-bucket --region eu-west-1")
    ]
    assert found["image"][0][1].startswith("there is no image for SageMaker; push one (./build_and_push.sh kennel)")
    assert len(found["quota"]) == 4
    assert {state for state, _ in found["quota"]} == {"fault"}


def test_who_may_not_ask_sagemaker_is_told(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    in_order(cloud)
    cloud.fail("ListTrainingJobs", "AccessDeniedException", "User: me is not authorized to perform: "
               "sagemaker:ListTrainingJobs because no identity-based policy allows it", times=9)  # fmt: skip
    ((state, said),) = rows_of(account, tmp_path)["SageMaker"]
    assert state == "fault"
    assert "sagemaker:ListTrainingJobs" in said


def test_a_role_that_is_not_there(cloud: Simulator, account: Account) -> None:
    cloud.client("iam").delete_role(RoleName="kennel-execution")
    assert only(check_role(changed(account, role="kennel-execution"))) == fault(
        f"there is no role {ROLE}; docs/iam/create.sh makes one, role in [sagemaker] names it"
    )
    cloud.fail("GetRole", "AccessDenied", "User: me is not authorized to perform: iam:GetRole", status=403)
    (row,) = run_check("role", lambda: check_role(account))
    assert (row.subject, row.state) == ("role", "note")
    assert "iam:GetRole" in row.message


def test_a_role_of_another_account(account: Account) -> None:
    other = "arn:aws:iam::999999999999:role/kennel-execution"
    assert only(check_role(changed(account, role=other))) == (
        "fault", f"{other} is of account 999999999999, and these credentials are of 123456789012; set a role of it",
    )  # fmt: skip


def test_a_role_that_only_others_may_act_as(cloud: Simulator, account: Account) -> None:
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    cloud.client("iam").update_assume_role_policy(RoleName="kennel-execution", PolicyDocument=policy)
    assert only(check_role(account)) == fault(
        f"{ROLE} doesn't trust sagemaker.amazonaws.com; give it the trust policy docs/iam/execution-role-trust.json"
    )


@pytest.mark.parametrize(
    ("statement", "does"),
    [
        ({"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}, True),
        ([{"Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com", "sagemaker.amazonaws.com"]},
           "Action": ["sts:TagSession", "sts:AssumeRole"]}], True),
        ({"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:*"}, True),
        ({"Effect": "Deny", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}, False),
        ({"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:TagSession"}, False),
        ({"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}, False),
        ({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}, False),
        ([], False),
    ],
)  # fmt: skip
def test_who_a_trust_policy_trusts(statement: Any, does: bool) -> None:
    assert trusts({"Version": "2012-10-17", "Statement": statement}) is does
    assert trusts(json.dumps({"Statement": statement})) is does


def simulated(account: Account, decisions: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """The row of the role's rights where IAM decides so of some actions, and allows the others."""
    bucket, logs = "arn:aws:s3:::kennel-bucket", "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker"
    asked = {
        bucket: ["s3:ListBucket"],
        f"{bucket}/kennel/runs/kennel-run/output": ["s3:GetObject", "s3:PutObject"],
        f"{logs}/TrainingJobs:log-stream:run": ["logs:PutLogEvents"],
        "arn:aws:ecr:eu-west-1:123456789012:repository/kennel": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }
    account.identity  # noqa: B018 - asked before the stub stands in
    with Stubber(account.client("iam")) as iam:
        for resource, actions in asked.items():
            results = [
                {"EvalActionName": action, "EvalDecision": "allowed", **decisions.get(action, {})} for action in actions
            ]
            expected = {"PolicySourceArn": ROLE, "ActionNames": actions, "ResourceArns": [resource]}
            iam.add_response("simulate_principal_policy", {"EvaluationResults": results}, expected)
        found = only(check_rights(account))
        iam.assert_no_pending_responses()
    return found


def test_what_the_role_may_do(account: Account) -> None:
    assert simulated(account, {}) == ("ok", "it may read and write the bucket, pull the image and write logs")
    denied = {"EvalDecision": "implicitDeny"}
    assert simulated(account, {"s3:PutObject": denied, "ecr:BatchGetImage": {"EvalDecision": "explicitDeny"}}) == fault(
        "its policies don't allow s3:PutObject on arn:aws:s3:::kennel-bucket/kennel/runs/kennel-run/output, ",
        "ecr:BatchGetImage on arn:aws:ecr:eu-west-1:123456789012:repository/kennel; ",
        "give it docs/iam/execution-role.json",
    )
    unknown = {**denied, "MissingContextValues": ["aws:SourceVpc"]}
    assert simulated(account, {"s3:ListBucket": unknown}) == (
        "note", "its policies have conditions for s3:ListBucket on arn:aws:s3:::kennel-bucket",
    )  # fmt: skip


def test_the_bucket_that_the_sdk_makes_may_be_missing(cloud: Simulator, account: Account) -> None:
    unset = changed(account, bucket="")
    assert only(check_bucket(unset)) == (
        "ok", "s3://sagemaker-eu-west-1-123456789012 isn't there yet; it is made when it is first needed",
    )  # fmt: skip
    place = {"LocationConstraint": "eu-west-1"}
    cloud.client("s3").create_bucket(Bucket="sagemaker-eu-west-1-123456789012", CreateBucketConfiguration=place)
    assert only(check_bucket(unset)) == ("ok", "s3://sagemaker-eu-west-1-123456789012/kennel, in eu-west-1")


def test_a_bucket_elsewhere(cloud: Simulator, account: Account) -> None:
    place = {"LocationConstraint": "us-west-2"}
    far = boto3.client("s3", region_name="us-west-2", endpoint_url=cloud.url)
    far.create_bucket(Bucket="far-away", CreateBucketConfiguration=place)
    assert only(check_bucket(changed(account, bucket="far-away"))) == (
        "fault", "s3://far-away is in us-west-2, and jobs in eu-west-1 take nothing from there; set another, or region",
    )  # fmt: skip


def test_a_bucket_of_somebody_else(cloud: Simulator, account: Account) -> None:
    cloud.fail("HeadBucket", "403", "Forbidden", status=403)
    assert only(check_bucket(account)) == (
        "fault", "s3://kennel-bucket is another's, or you may not list it; set bucket in [sagemaker]",
    )  # fmt: skip


def network(vpc_of_group: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("describe_subnets", {"Subnets": [{"SubnetId": SUBNET, "VpcId": "vpc-1"}]}),
        ("describe_security_groups", {"SecurityGroups": [{"GroupId": GROUP, "VpcId": vpc_of_group}]}),
    ]


@pytest.mark.parametrize(
    ("vpc_of_group", "row"),
    [
        ("vpc-1", CheckResult("VPC", "ok", "vpc-1: 1 subnets, 1 security groups")),
        ("vpc-2", CheckResult("network", "fault",
                      "subnets and security groups are of several VPCs (vpc-1, vpc-2); set those of one")),
    ],
)  # fmt: skip
def test_a_vpc(account: Account, vpc_of_group: str, row: CheckResult) -> None:
    inside = changed(account, subnets=(SUBNET,), security_groups=(GROUP,))
    with Stubber(inside.client("ec2")) as ec2:
        for operation, answer in network(vpc_of_group):
            ec2.add_response(operation, answer)
        assert list(run_check("network", lambda: check_network(inside))) == [row]


def test_a_subnet_that_is_not_there(account: Account) -> None:
    inside = changed(account, subnets=(SUBNET,), security_groups=(GROUP,))
    with Stubber(inside.client("ec2")) as ec2:
        ec2.add_client_error("describe_subnets", "InvalidSubnetID.NotFound", "The subnet ID 'subnet-0a' does not exist")
        (row,) = run_check("network", lambda: check_network(inside))
    assert row.state == "fault"
    assert "The subnet ID 'subnet-0a' does not exist" in row.message


def test_a_key(cloud: Simulator, account: Account) -> None:
    key = cloud.client("kms").create_key()["KeyMetadata"]
    locked = changed(account, kms_key=key["KeyId"])
    assert list(check_network(locked)) == [CheckResult("key", "ok", key["Arn"])]
    cloud.client("kms").disable_key(KeyId=key["KeyId"])
    (row,) = run_check("key", lambda: check_network(locked))
    assert (row.state, row.message) == (
        "fault", f"the key {key['KeyId']} is Disabled; enable it, or set another kms_key",
    )  # fmt: skip
    assert list(check_network(account)) == []


def test_the_sdk() -> None:
    state, said = only(check_sdk())
    assert state == "ok"
    assert said.startswith("sagemaker 2.")
