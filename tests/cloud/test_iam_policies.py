"""docs/iam: what each policy allows and what it doesn't, by an evaluator that is itself tested here."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.cloud.iam.lent import lent_needs
from tests.cloud.iam.needs import needs
from tests.cloud.iam.policy import FOLDER, Need, actions, allows, read
from tests.cloud.policies import Call, beyond

SAGEMAKER = "arn:aws:sagemaker:eu-west-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/kennel-execution"
BUCKET = "arn:aws:s3:::the-bucket"
FILES = sorted(path.name for path in FOLDER.glob("*.json"))
PASSED = {"iam:PassedToService": "sagemaker.amazonaws.com"}


def statement(**parts: Any) -> list[dict[str, Any]]:
    return [{"Effect": "Allow", "Action": "a:Do", "Resource": "*", **parts}]


@pytest.mark.parametrize(
    ("statements", "need", "allowed"),
    [
        (statement(), Need("a:Do"), True),
        (statement(), Need("a:do", "arn:x"), True),
        (statement(), Need("a:DoMore"), False),
        (statement(Action=["a:Be", "a:D*"]), Need("a:DoMore"), True),
        (statement(Action="a:D?"), Need("a:Do"), True),
        (statement(Resource="arn:x/kennel*"), Need("a:Do", "arn:x/kennel-1"), True),
        (statement(Resource="arn:x/kennel*"), Need("a:Do", "arn:x/other"), False),
        (statement(Resource="arn:x"), Need("a:Do", "*"), False),
        ([{"Effect": "Allow", "Action": "a:Do", "NotResource": "arn:x"}], Need("a:Do", "arn:x"), False),
        ([{"Effect": "Allow", "Action": "a:Do", "NotResource": "arn:x"}], Need("a:Do", "arn:y"), True),
        ([{"Effect": "Allow", "NotAction": "a:Do", "Resource": "*"}], Need("a:Do"), False),
        ([{"Effect": "Allow", "NotAction": "a:Do", "Resource": "*"}], Need("b:Do"), True),
        ([*statement(), *statement(Effect="Deny", Resource="arn:x")], Need("a:Do", "arn:x"), False),
        ([*statement(), *statement(Effect="Deny", Resource="arn:x")], Need("a:Do", "arn:y"), True),
        ([], Need("a:Do"), False),
        (statement(Condition={"StringEquals": {"k": "v"}}), Need("a:Do", context={"k": "v"}), True),
        (statement(Condition={"StringEquals": {"k": ["u", "v"]}}), Need("a:Do", context={"k": "v"}), True),
        (statement(Condition={"StringEquals": {"k": "v*"}}), Need("a:Do", context={"k": "vw"}), False),
        (statement(Condition={"StringLike": {"k": "v*"}}), Need("a:Do", context={"k": "vw"}), True),
        (statement(Condition={"StringEquals": {"k": "v"}}), Need("a:Do"), False),
        (statement(Condition={"StringEqualsIfExists": {"k": "v"}}), Need("a:Do"), True),
    ],
)
def test_the_evaluator_decides_as_iam_does(statements: list[dict[str, Any]], need: Need, allowed: bool) -> None:
    assert allows(statements, need) is allowed


def test_the_evaluator_refuses_what_it_does_not_know() -> None:
    with pytest.raises(AssertionError, match="doesn't know"):
        allows(statement(Principal="*"), Need("a:Do"))
    with pytest.raises(KeyError):
        allows(statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), Need("a:Do"))


@pytest.mark.parametrize(
    ("file", "need", "allowed"),
    [
        ("person.json", Need("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/kennel-first-1a2b3c"), True),
        ("person.json", Need("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/first"), False),
        ("person.json", Need("sagemaker:DeleteEndpoint", f"{SAGEMAKER}:endpoint/shop"), False),
        ("person.json", Need("sagemaker:DescribeEndpoint", f"{SAGEMAKER}:endpoint/shop"), True),
        ("person.json", Need("sagemaker:CreateNotebookInstance", f"{SAGEMAKER}:notebook-instance/kennel"), False),
        ("person.json", Need("sagemaker:CreateModel", "arn:aws:sagemaker:eu-west-1:9:model/kennel-a"), False),
        ("person.json", Need("iam:PassRole", ROLE, PASSED), True),
        ("person.json", Need("iam:PassRole", ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}), False),
        ("person.json", Need("iam:PassRole", ROLE), False),
        ("person.json", Need("iam:PassRole", "arn:aws:iam::123456789012:role/admin", PASSED), False),
        ("person.json", Need("iam:AttachRolePolicy", ROLE), False),
        ("person.json", Need("s3:PutObject", f"{BUCKET}/kennel/data/a.jpg"), True),
        ("person.json", Need("s3:DeleteObject", f"{BUCKET}/others/a.jpg"), False),
        ("person.json", Need("s3:GetObject", "arn:aws:s3:::another/kennel/a.jpg"), False),
        ("person.json", Need("s3:DeleteBucket", BUCKET), False),
        ("person.json", Need("kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/k"), False),
        ("person-kms.json", Need("kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/k"), True),
        ("person.json", Need("application-autoscaling:RegisterScalableTarget",
                             context={"application-autoscaling:service-namespace": "sagemaker"}), True),
        ("person.json", Need("application-autoscaling:RegisterScalableTarget",
                             context={"application-autoscaling:service-namespace": "ecs"}), False),
        ("execution-role.json", Need("s3:GetObject", f"{BUCKET}/kennel/data/a.jpg"), True),
        ("execution-role.json", Need("s3:PutObject", f"{BUCKET}/kennel/data/a.jpg"), False),
        ("execution-role.json", Need("s3:PutObject", f"{BUCKET}/kennel/runs/kennel-a/output/model.tar.gz"), True),
        ("execution-role.json", Need("s3:DeleteObject", f"{BUCKET}/kennel/runs/kennel-a/output/model.tar.gz"), False),
        ("execution-role.json", Need("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/kennel-a"), False),
        ("execution-role.json", Need("iam:PassRole", ROLE, PASSED), False),
        ("execution-role.json", Need("cloudwatch:PutMetricData",
                                     context={"cloudwatch:namespace": "/aws/sagemaker/TrainingJobs"}), True),
        ("execution-role.json", Need("cloudwatch:PutMetricData", context={"cloudwatch:namespace": "Shop"}), False),
        ("push.json", Need("ecr:PutImage", "arn:aws:ecr:eu-west-1:123456789012:repository/kennel"), True),
        ("push.json", Need("ecr:PutImage", "arn:aws:ecr:eu-west-1:123456789012:repository/shop"), False),
        ("push.json", Need("ecr:DeleteRepository", "arn:aws:ecr:eu-west-1:123456789012:repository/kennel"), False),
    ],
)  # fmt: skip
def test_what_a_policy_allows(file: str, need: Need, allowed: bool) -> None:
    assert allows(read(file), need) is allowed


def test_only_sagemaker_takes_the_role_and_only_for_this_account() -> None:
    (trust,) = read("execution-role-trust.json")
    assert (trust["Effect"], trust["Action"]) == ("Allow", "sts:AssumeRole")
    assert trust["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


@pytest.mark.parametrize("file", FILES)
def test_a_policy_fits_and_gives_nothing_wholesale(file: str) -> None:
    assert len(FILES) == 7
    statements = read(file)
    named = list(actions(statements))
    assert [action for action in named if "*" in action] == []
    assert len(named) == len(set(named))
    assert len({each["Sid"] for each in statements}) == len(statements)
    # IAM's limit of a managed policy, blanks not counted; a role's own may have 10,240 together.
    assert len("".join((FOLDER / file).read_text().split())) <= 6144


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "wanted"),
    [
        ("sagemaker", "CreateTrainingJob", {"TrainingJobName": "kennel-A", "RoleArn": ROLE, "Tags": [{}]},
         [Need("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/kennel-a"),
          Need("sagemaker:AddTags", f"{SAGEMAKER}:training-job/kennel-a"), Need("iam:PassRole", ROLE, PASSED)]),
        ("sagemaker", "CreateHyperParameterTuningJob",
         {"HyperParameterTuningJobName": "kennel-t", "TrainingJobDefinition": {"RoleArn": ROLE}},
         [Need("sagemaker:CreateHyperParameterTuningJob", f"{SAGEMAKER}:hyper-parameter-tuning-job/kennel-t"),
          Need("iam:PassRole", ROLE, PASSED)]),
        ("sagemaker", "UpdateEndpoint", {"EndpointName": "kennel-a", "EndpointConfigName": "kennel-a-2"},
         [Need("sagemaker:UpdateEndpoint", f"{SAGEMAKER}:endpoint/kennel-a"),
          Need("sagemaker:UpdateEndpoint", f"{SAGEMAKER}:endpoint-config/kennel-a-2")]),
        ("sagemaker", "ListEndpoints", {"NameContains": "kennel"}, [Need("sagemaker:ListEndpoints", "*")]),
        ("sagemaker", "ListTags", {"ResourceArn": "arn:x"}, [Need("sagemaker:ListTags", "arn:x")]),
        ("sagemaker", "CreateModelPackage", {"ModelPackageGroupName": "kennel"},
         [Need("sagemaker:CreateModelPackage", f"{SAGEMAKER}:model-package/kennel/1")]),
        ("sagemaker-runtime", "InvokeEndpointAsync", {"EndpointName": "kennel-a", "InputLocation": "s3://b/k"},
         [Need("sagemaker:InvokeEndpointAsync", f"{SAGEMAKER}:endpoint/kennel-a")]),
        ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}, [Need("s3:GetObject", "arn:aws:s3:::b/k")]),
        ("s3", "DeleteObjects", {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}, {"Key": "l"}]}},
         [Need("s3:DeleteObject", "arn:aws:s3:::b/k"), Need("s3:DeleteObject", "arn:aws:s3:::b/l")]),
        ("s3", "DeleteObjects", {"Bucket": "b", "Delete": {"Objects": [{"Key": "k", "VersionId": "null"}]}},
         [Need("s3:DeleteObjectVersion", "arn:aws:s3:::b/k")]),
        ("s3", "ListObjectVersions", {"Bucket": "b"}, [Need("s3:ListBucketVersions", "arn:aws:s3:::b")]),
        ("s3", "ListBuckets", {}, [Need("s3:ListAllMyBuckets")]),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "SSEKMSKeyId": "key-1"},
         [Need("s3:PutObject", "arn:aws:s3:::b/k"),
          Need("kms:GenerateDataKey", "arn:aws:kms:eu-west-1:123456789012:key/key-1"),
          Need("kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/key-1")]),
        ("logs", "GetLogEvents", {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": "s"},
         [Need("logs:GetLogEvents",
               "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/TrainingJobs:log-stream:s")]),
        ("cloudwatch", "DeleteAlarms", {"AlarmNames": ["kennel-a"]},
         [Need("cloudwatch:DeleteAlarms", "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:kennel-a")]),
        ("resourcegroupstaggingapi", "GetResources", {}, [Need("tag:GetResources")]),
    ],
)  # fmt: skip
def test_what_a_call_wants(service: str, operation: str, parameters: dict[str, Any], wanted: list[Need]) -> None:
    assert operation in boto3.client(service, region_name="eu-west-1").meta.service_model.operation_names
    assert needs(service, operation, parameters) == wanted


def test_a_call_beyond_the_policy_is_told() -> None:
    assert beyond(Call("sagemaker", "DeleteEndpoint", {"EndpointName": "kennel-a"})) == []
    assert beyond(Call("sagemaker", "DeleteEndpoint", {"EndpointName": "shop"})) == [
        f"sagemaker:DeleteEndpoint on {SAGEMAKER}:endpoint/shop"
    ]
    assert beyond(Call("s3", "PutObject", {"Bucket": "mine", "Key": "kennel/a"})) == []
    assert beyond(Call("s3", "PutObject", {"Bucket": "mine", "Key": "a"})) == ["s3:PutObject on arn:aws:s3:::mine/a"]


def test_where_a_job_reads_and_writes_the_role_may() -> None:
    request = {
        "TrainingJobName": "kennel-a",
        "InputDataConfig": [{"DataSource": {"S3DataSource": {"S3Uri": "s3://b/kennel/data/dogs/"}}}],
        "OutputDataConfig": {"S3OutputPath": "s3://b/kennel/runs/kennel-a/output"},
        "CheckpointConfig": {"S3Uri": "s3://b/kennel/runs/kennel-a/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
    }
    assert [str(need) for need in lent_needs(request)] == [
        "s3:GetObject on arn:aws:s3:::b/kennel/data/dogs/object",
        "s3:PutObject on arn:aws:s3:::b/kennel/runs/kennel-a/output/object",
        "s3:PutObject on arn:aws:s3:::b/kennel/runs/kennel-a/checkpoints/object",
        "s3:GetObject on arn:aws:s3:::b/kennel/runs/kennel-a/checkpoints/object",
    ]
    assert beyond(Call("sagemaker", "CreateTrainingJob", request)) == []
    request["OutputDataConfig"] = {"S3OutputPath": "s3://b/kennel/data/dogs"}
    assert beyond(Call("sagemaker", "CreateTrainingJob", request)) == [
        "s3:PutObject on arn:aws:s3:::b/kennel/data/dogs/object (the execution role)"
    ]


def test_the_documents_are_tidy_json() -> None:
    for file in FILES:
        assert set(json.loads((FOLDER / file).read_text())) == {"Version", "Statement"}
    assert Path(FOLDER / "README.md").is_file()
