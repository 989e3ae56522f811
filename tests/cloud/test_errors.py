"""Every refusal of AWS is one sentence with its next step; what botocore and the SDK raise by themselves, too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
import yaml
from boto3.exceptions import RetriesExceededError
from botocore.stub import Stubber

from backends.errors import BackendError
from backends.sagemaker.error_table import RULES
from backends.sagemaker.errors import AwsError, AwsFault, one_line, rule_of, translate_aws_errors
from backends.sagemaker.sdk import sdk

KEYS = {"region_name": "eu-west-1", "aws_access_key_id": "none", "aws_secret_access_key": "none"}
SENTENCES = yaml.safe_load(Path(__file__).with_name("refusals.yaml").read_text())
REFUSALS: list[dict[str, str]] = SENTENCES["answered"]
UNANSWERED: dict[str, str] = SENTENCES["unanswered"]
# Any operation will do: the parameters of one that asks for none.
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "sagemaker": ("list_training_jobs", {}),
    "s3": ("list_buckets", {}),
    "sts": ("get_caller_identity", {}),
    "ecr": ("describe_repositories", {}),
    "sagemaker-runtime": ("invoke_endpoint", {"EndpointName": "kennel", "Body": b"jpeg"}),
}


def refusal(service: str, code: str, message: str, status: int = 400, **more: Any) -> AwsError:
    """What is raised when the service answers so."""
    client = boto3.client(service, **KEYS)
    method, parameters = CALLS[service]
    with Stubber(client) as stubber:
        stubber.add_client_error(method, code, message, status, expected_params=parameters, modeled_fields=more)
        with pytest.raises(AwsError) as caught, translate_aws_errors("starting the job"):
            getattr(client, method)(**parameters)
    return caught.value


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case["code"])
def test_a_refusal_in_one_sentence(case: dict[str, str]) -> None:
    refused = refusal(case["service"], case["code"], case["message"])
    assert str(refused) == f"starting the job: {case['sentence']}"


def test_every_rule_is_tried() -> None:
    faults = [AwsFault(case["code"], one_line(case["message"]), "ListTrainingJobs") for case in REFUSALS]
    tried = {rule_of(fault) for fault in faults if not fault.denied}
    # A container's own answer has a test of its own.
    assert [rule.sentence for rule in RULES if rule not in tried and rule.codes != "ModelError"] == []


def test_a_container_speaks_for_itself() -> None:
    wrapped = 'Received client error (415) from primary with message "not an image". See https://console.aws'
    fields = {"OriginalStatusCode": 415, "OriginalMessage": "not an image"}
    refused = refusal("sagemaker-runtime", "ModelError", wrapped, 424, **fields)
    assert str(refused) == "starting the job: the container answers 415: not an image"


@pytest.mark.parametrize(
    ("operation", "permission"), [("head_object", "s3:GetObject"), ("head_bucket", "s3:ListBucket")]
)
def test_a_head_request_is_refused_without_words(operation: str, permission: str) -> None:
    client = boto3.client("s3", **KEYS)
    parameters = {"Bucket": "b"} | ({"Key": "k"} if operation == "head_object" else {})
    with Stubber(client) as stubber:
        stubber.add_client_error(operation, "403", "Forbidden", 403)
        with pytest.raises(AwsError) as caught, translate_aws_errors("looking for the data"):
            getattr(client, operation)(**parameters)
    assert caught.value.denied
    assert str(caught.value) == (
        f"looking for the data: whoever these credentials are may not do {permission}; docs/iam/person.json lists all "
        "that Kennel asks for"
    )


@pytest.mark.parametrize(
    ("code", "message", "missing", "already_exists"),
    [
        ("ResourceNotFound", "", True, False),
        (
            "ValidationException",
            'Could not find endpoint "arn:aws:sagemaker:eu-west-1:1:endpoint/kennel-a".',
            True,
            False,
        ),
        ("ValidationException", "Requested resource not found.", True, False),
        ("ResourceInUse", "Training job names must be unique", False, True),
        ("ValidationException", 'Cannot create already existing endpoint "arn".', False, True),
        ("ConflictException", "Model card kennel-a already exists", False, True),
        ("ValidationException", "Cannot update in-progress endpoint", False, False),
        ("ThrottlingException", "Rate exceeded; not found", False, False),
    ],
)
def test_what_is_missing_and_what_is_taken(code: str, message: str, missing: bool, already_exists: bool) -> None:
    refused = refusal("sagemaker", code, message)
    assert (refused.missing, refused.already_exists, refused.denied) == (missing, already_exists, False)
    assert refused.fault.operation == "ListTrainingJobs"


def test_an_upload_tells_what_s3_says(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"jpeg")
    client = boto3.client("s3", **KEYS)
    with Stubber(client) as stubber:
        stubber.add_client_error("put_object", "NoSuchBucket", "The specified bucket does not exist", 404)
        with pytest.raises(AwsError) as caught, translate_aws_errors("uploading photo.jpg"):
            client.upload_file(str(tmp_path / "photo.jpg"), "gone", "photo.jpg")
    assert caught.value.missing
    assert str(caught.value).startswith(
        "uploading photo.jpg: the bucket isn't there (The specified bucket does not exist)"
    )


def lone(error: Exception) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


LONE: dict[str, Callable[[], object]] = {
    "credentials": lone(botocore.exceptions.NoCredentialsError()),
    "secret": lone(botocore.exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY")),
    "profile": lambda: boto3.Session(profile_name="nobody"),
    "region": lambda: boto3.client("sagemaker", region_name="nowhere_"),
    "sign-in": lone(botocore.exceptions.UnauthorizedSSOTokenError()),
    "network": lone(botocore.exceptions.EndpointConnectionError(endpoint_url="https://s3.amazonaws.com/")),
    "timeout": lone(botocore.exceptions.ReadTimeoutError(endpoint_url="https://s3.amazonaws.com/")),
    "parameters": lambda: boto3.client("sagemaker", **KEYS).describe_endpoint(EndpointName=3),
    "checksum": lone(botocore.exceptions.ChecksumError(checksum_type="crc32", expected_checksum=1, actual_checksum=2)),
    "transfer": lone(RetriesExceededError(OSError("reset"))),
}


@pytest.mark.parametrize("case", sorted(LONE))
def test_what_comes_before_an_answer(case: str) -> None:
    with pytest.raises(BackendError) as caught, translate_aws_errors("starting the job"):
        LONE[case]()
    assert not isinstance(caught.value, AwsError)
    assert str(caught.value) == f"starting the job: {UNANSWERED[case]}"


def test_the_sdks_own_words_but_nobody_elses() -> None:
    parse = sdk("s3_utils").parse_s3_url
    with pytest.raises(BackendError) as caught, translate_aws_errors("reading the place"):
        parse("https://bucket/key")
    assert str(caught.value).startswith("reading the place: SageMaker's SDK says: Expecting 's3' scheme, got: https")
    with pytest.raises(ValueError, match="invalid literal") as own, translate_aws_errors("counting"):
        int("three")
    assert type(own.value) is ValueError


def test_a_sentence_is_told_once() -> None:
    with (
        pytest.raises(BackendError) as caught,
        translate_aws_errors("starting the job"),
        translate_aws_errors("looking for the bucket"),
    ):
        raise botocore.exceptions.NoCredentialsError
    assert str(caught.value).startswith("looking for the bucket: there are no AWS credentials")
