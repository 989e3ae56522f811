"""The account: credentials, region, role, bucket, VPC and key, and how many instances it may start."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.billing.quotas import QuotaKind, quota_name, quotas
from backends.sagemaker.errors import AwsError, translate_aws_errors
from backends.settings.sections import Settings
from cli.doctor.check import CheckResult, fault, note, ok
from cli.doctor.image import Address

_SERVICE: Final = "sagemaker.amazonaws.com"
_RIGHTS: Final = "docs/iam/execution-role.json"
_TRUST: Final = "docs/iam/execution-role-trust.json"


def check_sdk() -> Iterator[CheckResult]:
    """Raises BackendError without the SDK's version 2."""
    from importlib.metadata import version

    from backends.sagemaker.sdk import sdk

    sdk("estimator")
    yield ok("SageMaker's SDK", f"sagemaker {version('sagemaker')}, boto3 {version('boto3')}")


def check_identity(account: Account) -> Iterator[CheckResult]:
    """Raises BackendError without credentials that work, or without a region."""
    region = account.region
    yield ok("credentials", f"{account.identity['Arn']}, in {region}")


def check_service(account: Account) -> Iterator[CheckResult]:
    """Whether SageMaker answers in the region, and lets the person ask."""
    with translate_aws_errors(f"asking SageMaker in {account.region}"):
        account.client("sagemaker").list_training_jobs(MaxResults=1)
    yield ok("SageMaker", f"answers in {account.region}")


def check_role(account: Account) -> Iterator[CheckResult]:
    """The role is there, and SageMaker may act as it."""
    arn = account.role
    owner = arn.split(":")[4]
    if owner != account.identity["Account"]:
        reason = f"{arn} is of account {owner}, and these credentials are of {account.identity['Account']}"
        yield fault("role", f"{reason}; set a role of it")
        return
    try:
        with translate_aws_errors(f"looking for the role {arn}"):
            role = account.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
    except AwsError as refused:
        if not refused.missing:
            raise
        yield fault("role", f"there is no role {arn}; docs/iam/create.sh makes one, role in [sagemaker] names it")
        return
    if not trusts(role["AssumeRolePolicyDocument"]):
        yield fault("role", f"{arn} doesn't trust {_SERVICE}; give it the trust policy {_TRUST}")
        return
    yield ok("role", f"{arn}, which SageMaker may act as")


def trusts(policy: Mapping[str, Any] | str) -> bool:
    """Whether a trust policy lets SageMaker act as its role."""
    document = json.loads(unquote(policy)) if isinstance(policy, str) else policy
    return any(
        statement.get("Effect") == "Allow"
        and _SERVICE in _listed(_principal(statement))
        and not {"sts:AssumeRole", "sts:*", "*"}.isdisjoint(_listed(statement.get("Action")))
        for statement in _listed(document.get("Statement"))
    )


def _principal(statement: Mapping[str, Any]) -> Any:
    principal = statement.get("Principal")
    return principal.get("Service") if isinstance(principal, dict) else None


def _listed(value: Any) -> list[Any]:
    """IAM writes one as itself, several as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def check_rights(account: Account) -> Iterator[CheckResult]:
    """Whether the role may do what jobs need of it, by IAM's own simulation, which knows the role's policies alone."""
    refused: list[str] = []
    unsure: list[str] = []
    for resource, actions in _needs(account).items():
        with translate_aws_errors("asking IAM what the role may do"):
            answer = account.client("iam").simulate_principal_policy(
                PolicySourceArn=account.role, ActionNames=actions, ResourceArns=[resource]
            )
        for result in answer["EvaluationResults"]:
            if result["EvalDecision"] != "allowed":
                # A condition of which the simulation knows nothing: the job could fulfil it.
                actions_refused = unsure if result.get("MissingContextValues") else refused
                actions_refused.append(f"{result['EvalActionName']} on {resource}")
    if refused:
        yield fault("role's rights", f"its policies don't allow {', '.join(refused)}; give it {_RIGHTS}")
    elif unsure:
        yield note("role's rights", f"its policies have conditions for {', '.join(unsure)}")
    else:
        yield ok("role's rights", "it may read and write the bucket, pull the image and write logs")


def _needs(account: Account) -> dict[str, list[str]]:
    """What a training job asks AWS for as the role: actions by resource."""
    common, region, owner = account.settings.sagemaker, account.region, account.identity["Account"]
    stem = f"arn:{account.role.split(':')[1]}"
    bucket = f"{stem}:s3:::{account.bucket_name}"
    needs = {
        bucket: ["s3:ListBucket"],
        f"{bucket}/{common.prefix.strip('/')}/runs/kennel-run/output": ["s3:GetObject", "s3:PutObject"],
        f"{stem}:logs:{region}:{owner}:log-group:/aws/sagemaker/TrainingJobs:log-stream:run": ["logs:PutLogEvents"],
    }
    if common.image:
        image = Address.parse(common.image)
        repository = f"{stem}:ecr:{image.region}:{image.account}:repository/{image.repository}"
        needs[repository] = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return needs


def check_bucket(account: Account) -> Iterator[CheckResult]:
    """The bucket is there, in the region, and may be used."""
    from botocore.exceptions import ClientError

    name = account.bucket_name
    with translate_aws_errors(f"looking for the bucket {name}"):
        try:
            answer = account.client("s3").head_bucket(Bucket=name)
        except ClientError as error:
            yield _no_bucket(account, name, error)
            return
    region = answer.get("BucketRegion") or account.region
    if region != account.region:
        yield _elsewhere(account, name, region)
    else:
        yield ok("bucket", f"s3://{name}/{account.settings.sagemaker.prefix}, in {region}")


def _no_bucket(account: Account, name: str, error: Any) -> CheckResult:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region", account.region)
    if status == 404:
        if not account.settings.sagemaker.bucket:
            return ok("bucket", f"s3://{name} isn't there yet; it is made when it is first needed")
        return fault("bucket", f"there is no bucket {name}; aws s3 mb s3://{name} --region {account.region}")
    if region != account.region:
        return _elsewhere(account, name, region)
    if status == 403:
        return fault("bucket", f"s3://{name} is another's, or you may not list it; set bucket in [sagemaker]")
    raise error


def _elsewhere(account: Account, name: str, region: str) -> CheckResult:
    reason = f"s3://{name} is in {region}, and jobs in {account.region} take nothing from there; set another, or region"
    return fault("bucket", reason)


def check_network(account: Account) -> Iterator[CheckResult]:
    """The VPC's subnets and security groups, where they are set, and the key."""
    common = account.settings.sagemaker
    if common.subnets:
        ec2 = account.client("ec2")
        with translate_aws_errors("looking for the subnets"):
            subnets = ec2.describe_subnets(SubnetIds=list(common.subnets))["Subnets"]
        with translate_aws_errors("looking for the security groups"):
            groups = ec2.describe_security_groups(GroupIds=list(common.security_groups))["SecurityGroups"]
        vpcs = sorted({entry["VpcId"] for entry in (*subnets, *groups)})
        if len(vpcs) > 1:
            raise BackendError(f"subnets and security groups are of several VPCs ({', '.join(vpcs)}); set those of one")
        yield ok("VPC", f"{vpcs[0]}: {len(subnets)} subnets, {len(groups)} security groups")
    if common.kms_key:
        with translate_aws_errors(f"looking for the key {common.kms_key}"):
            key = account.client("kms").describe_key(KeyId=common.kms_key)["KeyMetadata"]
        if key["KeyState"] != "Enabled":
            raise BackendError(f"the key {common.kms_key} is {key['KeyState']}; enable it, or set another kms_key")
        yield ok("key", key["Arn"])


def wanted(settings: Settings) -> dict[str, int]:
    """The quotas that the settings need, by name, and how many instances of each."""
    train, deploy, transform = settings.train, settings.deploy, settings.transform
    needs: list[tuple[QuotaKind, str, int]] = [
        ("spot" if train.spot else "training", train.instance_type, train.instance_count),
        ("transform", transform.instance_type, transform.instance_count),
        ("processing", settings.evaluate.instance_type, 1),
    ]
    if train.keep_alive_minutes:
        needs.append(("warm", train.instance_type, train.instance_count))
    if deploy.kind != "serverless":
        needs.append(("hosting", deploy.instance_type, max(deploy.instance_count, deploy.max_instances)))
    return {quota_name(kind, instance_type): count for kind, instance_type, count in needs}


def check_quotas(account: Account) -> Iterator[CheckResult]:
    """A finding for each quota. Raises BackendError when they can't be read."""
    needed = wanted(account.settings)
    available = quotas(account, set(needed))
    for name, count in needed.items():
        quota = available.get(name)
        if quota is None:
            reason = f"{account.region} has no quota {name!r}, so the instance type isn't offered there; set another"
            yield fault("quota", reason)
        elif quota.instances < count:
            reason = f"{name}: {quota.instances}, and {count} needed; {quota.remedy(count, account.region)}"
            yield fault("quota", reason)
        else:
            yield ok("quota", f"{name}: {quota.instances}, {count} needed")
