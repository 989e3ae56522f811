"""docs/iam/create.sh against moto: the role, its policies and the person's, made once and brought up to date after."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "iam" / "create.sh"
ARN = "arn:aws:iam::123456789012"


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    """In which the aws command finds moto."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-west-1",
    }
    server.stop()


def create(environ: dict[str, str], *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**environ, **more},
        cwd="/",
        timeout=120,
    )


def iam(environ: dict[str, str]) -> Any:
    return boto3.client("iam", endpoint_url=environ["AWS_ENDPOINT_URL"], region_name="us-east-1",
                        aws_access_key_id="testing", aws_secret_access_key="testing")  # fmt: skip


def written(name: str, bucket: str) -> Any:
    """A file of docs/iam with what the account fills in."""
    text = (ROOT / "docs" / "iam" / name).read_text()
    return json.loads(text.replace("ACCOUNT", "123456789012").replace("BUCKET", bucket))


def managed(client: Any, name: str) -> Any:
    arn = f"{ARN}:policy/{name}"
    version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def test_it_makes_the_role_and_the_policies_and_can_be_run_again(environ: dict[str, str]) -> None:
    first = create(environ)
    assert (first.returncode, first.stdout) == (0, f"{ARN}:role/kennel-execution\n"), first.stderr
    client = iam(environ)
    bucket = "sagemaker-eu-west-1-123456789012"
    role = client.get_role(RoleName="kennel-execution")["Role"]
    assert role["AssumeRolePolicyDocument"] == written("execution-role-trust.json", bucket)
    policies = client.list_role_policies(RoleName="kennel-execution")["PolicyNames"]
    assert policies == ["execution-role"]
    inline = client.get_role_policy(RoleName="kennel-execution", PolicyName="execution-role")["PolicyDocument"]
    assert inline == written("execution-role.json", bucket)
    assert managed(client, "kennel-person") == written("person.json", bucket)
    assert managed(client, "kennel-push") == written("push.json", bucket)

    again = create(environ, "photos-of-dogs", VPC="1", KMS="1")
    assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr
    assert 'role = "kennel-execution", bucket = "photos-of-dogs"' in again.stderr
    policies = client.list_role_policies(RoleName="kennel-execution")["PolicyNames"]
    assert policies == ["execution-role", "execution-role-vpc", "execution-role-kms"]
    assert managed(client, "kennel-person") == written("person.json", "photos-of-dogs")
    assert managed(client, "kennel-person-kms") == written("person-kms.json", "photos-of-dogs")
    assert len(client.list_policy_versions(PolicyArn=f"{ARN}:policy/kennel-person")["Versions"]) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["a", "b"], "too many arguments (2)"), (["Not_a_bucket"], "'Not_a_bucket' is no bucket's name")],
)
def test_it_refuses_what_it_can_not_use(environ: dict[str, str], arguments: list[str], told: str) -> None:
    answer = create(environ, *arguments)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert told in answer.stderr


def test_without_credentials_it_says_so(environ: dict[str, str]) -> None:
    answer = create({**environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"})
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "no AWS credentials that work: run aws configure" in answer.stderr
