"""Which permissions a call of boto3 wants, after AWS's service authorization reference.

What AWS does on the caller's behalf within the call is told, too: the role that is passed, the tags that are set, the
key that encrypts.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tests.cloud.iam.policy import Need

HERE: Final = "eu-west-1:123456789012"
_KINDS: Final = {
    "TrainingJob": "training-job",
    "HyperParameterTuningJob": "hyper-parameter-tuning-job",
    "ProcessingJob": "processing-job",
    "TransformJob": "transform-job",
    "Model": "model",
    "Endpoint": "endpoint",
    "EndpointConfig": "endpoint-config",
    "ModelPackageGroup": "model-package-group",
    "ModelPackage": "model-package",
    "ModelCard": "model-card",
}
Parameters = Mapping[str, Any]


def needs(service: str, operation: str, parameters: Parameters) -> list[Need]:
    """Of a call: service as in boto3.client(service), operation as in CreateTrainingJob."""
    own = _OF_SERVICES[service](operation, parameters)
    return [*own, *_of_roles(service, parameters), *_of_keys(parameters)]


def _of_sagemaker(operation: str, parameters: Parameters) -> Iterator[Need]:
    resources = list(_sagemaker_resources(operation, parameters))
    for resource in resources:
        yield Need(f"sagemaker:{operation}", resource)
    if parameters.get("Tags") and operation != "AddTags":
        yield Need("sagemaker:AddTags", resources[0])


def _sagemaker_resources(operation: str, parameters: Parameters) -> Iterator[str]:
    if operation.startswith(("List", "Search")) and "ResourceArn" not in parameters:
        yield "*"
        return
    for name in ("ResourceArn", "ModelPackageArn"):
        if name in parameters:
            yield parameters[name]
            return
    verbs = ("Create", "Describe", "Update", "Delete", "Stop", "Invoke")
    noun = next(operation.removeprefix(verb) for verb in verbs if operation.startswith(verb))
    if noun.startswith("Endpoint") and noun not in _KINDS:
        noun = "Endpoint"  # EndpointAsync, EndpointWeightsAndCapacities
    given = parameters.get(f"{noun}Name") or f"{parameters.get('ModelPackageGroupName')}/1"
    yield given if given.startswith("arn:") else sagemaker_arn(noun, given)
    if noun == "Endpoint" and "EndpointConfigName" in parameters:
        yield sagemaker_arn("EndpointConfig", parameters["EndpointConfigName"])


def sagemaker_arn(noun: str, name: str) -> str:
    """Of a resource whose name is known."""
    return f"arn:aws:sagemaker:{HERE}:{_KINDS[noun]}/{name.lower()}"


# Where the permission isn't called after the operation.
_S3: Final = {
    "HeadObject": "GetObject", "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject", "CopyObject": "PutObject", "DeleteObjects": "DeleteObject",
    "HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket", "ListObjects": "ListBucket",
    "ListBuckets": "ListAllMyBuckets", "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
}  # fmt: skip


def _of_s3(operation: str, parameters: Parameters) -> Iterator[Need]:
    action = f"s3:{_S3.get(operation, operation)}"
    bucket = f"arn:aws:s3:::{parameters['Bucket']}" if "Bucket" in parameters else "*"
    keys = [(action, parameters["Key"])] if "Key" in parameters else []
    deleted = parameters.get("Delete", {}).get("Objects", [])
    keys += [("s3:DeleteObjectVersion" if "VersionId" in each else action, each["Key"]) for each in deleted]
    yield from [Need(action, f"{bucket}/{key}") for action, key in keys] or [Need(action, bucket)]
    if operation == "CopyObject":
        source = parameters["CopySource"]
        place = f"{source['Bucket']}/{source['Key']}" if isinstance(source, dict) else source.lstrip("/")
        yield Need("s3:GetObject", f"arn:aws:s3:::{place}")


def _of_logs(operation: str, parameters: Parameters) -> Iterator[Need]:
    group = f"arn:aws:logs:{HERE}:log-group:{parameters.get('logGroupName', '*')}"
    stream = parameters.get("logStreamName")
    yield Need(f"logs:{operation}", f"{group}:log-stream:{stream}" if stream else f"{group}:*")


def _of_cloudwatch(operation: str, parameters: Parameters) -> Iterator[Need]:
    names = [parameters["AlarmName"]] if "AlarmName" in parameters else parameters.get("AlarmNames", [])
    if operation.startswith(("Describe", "Get", "List")) or not names:
        names = []
    resources = [f"arn:aws:cloudwatch:{HERE}:alarm:{name}" for name in names] or ["*"]
    if "ResourceARN" in parameters:
        resources = [parameters["ResourceARN"]]
    for resource in resources:
        yield Need(f"cloudwatch:{operation}", resource)
        if parameters.get("Tags") and operation != "TagResource":
            yield Need("cloudwatch:TagResource", resource)


def _of_autoscaling(operation: str, parameters: Parameters) -> Iterator[Need]:
    """Application Auto Scaling acts with the caller's permissions, and needs a role of its own once an account."""
    of = parameters.get("ResourceId", "").split("/")
    context = {} if operation.startswith("Describe") else {
        "application-autoscaling:service-namespace": parameters.get("ServiceNamespace", "")
    }  # fmt: skip
    yield Need(f"application-autoscaling:{operation}", context=context)
    if parameters.get("Tags"):
        yield Need("application-autoscaling:TagResource", f"arn:aws:application-autoscaling:{HERE}:scalable-target/0")
    if operation == "RegisterScalableTarget":
        endpoint = sagemaker_arn("Endpoint", of[1])
        yield Need("sagemaker:DescribeEndpoint", endpoint)
        yield Need("sagemaker:DescribeEndpointConfig", sagemaker_arn("EndpointConfig", of[1]))
        yield Need("sagemaker:UpdateEndpointWeightsAndCapacities", endpoint)
        service = "sagemaker.application-autoscaling.amazonaws.com"
        role = f"aws-service-role/{service}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        yield Need("iam:CreateServiceLinkedRole", f"arn:aws:iam::123456789012:role/{role}",
                   {"iam:AWSServiceName": service})  # fmt: skip
    if operation == "PutScalingPolicy" and "TargetTrackingScalingPolicyConfiguration" in parameters:
        yield Need("cloudwatch:PutMetricAlarm", _tracking(of))
    if operation in ("DeleteScalingPolicy", "DeregisterScalableTarget"):
        yield Need("cloudwatch:DeleteAlarms", _tracking(of))


def _tracking(of: list[str]) -> str:
    return f"arn:aws:cloudwatch:{HERE}:alarm:TargetTracking-{'/'.join(of)}-AlarmHigh-0"


def _of_ecr(operation: str, parameters: Parameters) -> Iterator[Need]:
    names = [parameters["repositoryName"]] if "repositoryName" in parameters else parameters.get("repositoryNames", [])
    for resource in [f"arn:aws:ecr:{HERE}:repository/{name}" for name in names] or ["*"]:
        yield Need(f"ecr:{operation}", resource)


def _of_iam(operation: str, parameters: Parameters) -> Iterator[Need]:
    role = parameters.get("PolicySourceArn") or f"arn:aws:iam::123456789012:role/{parameters.get('RoleName', '*')}"
    yield Need(f"iam:{operation}", role)


def _of_kms(operation: str, parameters: Parameters) -> Iterator[Need]:
    yield Need(f"kms:{operation}", _key_arn(parameters["KeyId"]))


def _of_roles(service: str, parameters: Parameters) -> Iterator[Need]:
    for role in _find(parameters, ("RoleArn", "ExecutionRoleArn")):
        if service == "sagemaker":
            yield Need("iam:PassRole", str(role), {"iam:PassedToService": "sagemaker.amazonaws.com"})


def _of_keys(parameters: Parameters) -> Iterator[Need]:
    """SageMaker wants a grant of the key, S3 a data key."""
    keys = {str(key) for key in _find(parameters, ("KmsKeyId", "VolumeKmsKeyId", "S3KmsKeyId", "OutputKmsKey")) if key}
    for key in sorted(keys):
        yield from (Need(f"kms:{action}", _key_arn(key)) for action in ("DescribeKey", "CreateGrant"))
    for key in _find(parameters, ("SSEKMSKeyId",)):
        yield from (Need(f"kms:{action}", _key_arn(str(key))) for action in ("GenerateDataKey", "Decrypt"))


def _key_arn(key: str) -> str:
    return key if key.startswith("arn:") else f"arn:aws:kms:{HERE}:key/{key}"


def _find(value: Any, names: tuple[str, ...]) -> Iterator[Any]:
    """The values of such names, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in names:
                yield inner
            yield from _find(inner, names)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _find(inner, names)


def _plain(prefix: str) -> Callable[[str, Parameters], Iterator[Need]]:
    """Of a service whose permissions name no resource."""
    return lambda operation, _parameters: iter([Need(f"{prefix}:{operation}")])


_OF_SERVICES: Final[dict[str, Callable[[str, Parameters], Iterator[Need]]]] = {
    "sagemaker": _of_sagemaker, "sagemaker-runtime": _of_sagemaker, "s3": _of_s3, "logs": _of_logs, "iam": _of_iam,
    "cloudwatch": _of_cloudwatch, "application-autoscaling": _of_autoscaling, "ecr": _of_ecr,
    "sts": _plain("sts"), "pricing": _plain("pricing"), "service-quotas": _plain("servicequotas"),
    "resourcegroupstaggingapi": _plain("tag"), "ec2": _plain("ec2"), "kms": _of_kms,
}  # fmt: skip
