"""The kinds of resource that the simulated SageMaker has, as one declared table."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from tests.backends.sagemaker_requests import service_model


@dataclass(frozen=True)
class Kind:
    """One noun of the API: Create, Describe, List, Stop and Delete are followed by it.

    path: in its ARN. listed: the member of List's answer. in_use: the code of a second one of that name. missing: the
    code of one that isn't there.
    """

    noun: str
    path: str
    listed: str
    in_use: str = "ValidationException"
    missing: str = "ValidationException"

    @property
    def key(self) -> str:
        return f"{self.noun}Name"

    @property
    def arn_key(self) -> str:
        return f"{self.noun}Arn"

    @property
    def status_key(self) -> str:
        return f"{self.noun}Status"

    def is_job(self) -> bool:
        return self.noun.endswith("Job")

    def fault(self, name: str) -> str:
        """What Describe, Stop and Delete say of a name that isn't there."""
        return "Requested resource not found." if self.is_job() else f'Could not find {self.path} "{name}".'


KINDS: Final = {
    kind.noun: kind
    for kind in (
        Kind("TrainingJob", "training-job", "TrainingJobSummaries", "ResourceInUse"),
        Kind(
            "HyperParameterTuningJob", "hyper-parameter-tuning-job", "HyperParameterTuningJobSummaries",
            "ResourceInUse", "ResourceNotFound",
        ),
        Kind("ProcessingJob", "processing-job", "ProcessingJobSummaries", "ResourceInUse", "ResourceNotFound"),
        Kind("TransformJob", "transform-job", "TransformJobSummaries", "ResourceInUse", "ResourceNotFound"),
        Kind("Model", "model", "Models"),
        Kind("EndpointConfig", "endpoint-config", "EndpointConfigs"),
        Kind("Endpoint", "endpoint", "Endpoints"),
        Kind("ModelPackageGroup", "model-package-group", "ModelPackageGroupSummaryList"),
        Kind("ModelPackage", "model-package", "ModelPackageSummaryList", "ConflictException"),
        Kind("ModelCard", "model-card", "ModelCardSummaries", "ConflictException", "ResourceNotFound"),
    )
}  # fmt: skip


@cache
def answer_members(operation: str) -> frozenset[str]:
    """What an operation may answer, by the service model."""
    shape = service_model().operation_model(operation).output_shape
    return frozenset(shape.members) if shape is not None else frozenset()


@cache
def summary_members(kind: Kind, operation: str) -> frozenset[str]:
    """What one row of a List operation's answer may hold."""
    return frozenset(service_model().operation_model(operation).output_shape.members[kind.listed].member.members)
