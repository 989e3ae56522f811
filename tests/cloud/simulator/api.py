"""SageMaker's own API: what each operation does to the store, and which job or endpoint it sets going."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from botocore.validate import ParamValidator

from tests.backends.sagemaker_requests import breaches, service_model
from tests.cloud.simulator.endpoints import Endpoint
from tests.cloud.simulator.jobs import DONE, Job
from tests.cloud.simulator.kinds import KINDS, Kind, summary_members
from tests.cloud.simulator.models import Containers
from tests.cloud.simulator.processing import ProcessingJob
from tests.cloud.simulator.store import Fault, Resource, pairs
from tests.cloud.simulator.training import TrainingJob
from tests.cloud.simulator.transform import TransformJob
from tests.cloud.simulator.tuning import TuningJob, has_metric

if TYPE_CHECKING:
    from tests.cloud.simulator.server import Simulator

_JOBS: Final[dict[str, type[Job]]] = {
    "TrainingJob": TrainingJob,
    "HyperParameterTuningJob": TuningJob,
    "ProcessingJob": ProcessingJob,
    "TransformJob": TransformJob,
}
_PAGE: Final = 10
Answer = dict[str, Any]


def check(operation: str, request: dict[str, Any]) -> None:
    """Raises Fault for what the service model doesn't allow, limits and patterns included."""
    shape = service_model().operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    faults = [report.generate_report()] if report.has_errors() else breaches(request, shape)
    if faults:
        raise Fault("ValidationException", f"{len(faults)} validation errors detected: {'; '.join(faults)}")


class Api:
    """Operations by name; each takes the request and returns the answer, or raises Fault."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator, self._store = simulator, simulator.store
        self._operations: dict[str, Callable[[Answer], Answer]] = {
            "AddTags": self._add_tags,
            "ListTags": lambda request: {"Tags": _listed(self._store.by_arn(request["ResourceArn"]).tags)},
            "DeleteTags": self._delete_tags,
            "UpdateEndpoint": self._update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self._scale,
            "UpdateModelPackage": self._update_package,
            "UpdateModelCard": self._update_card,
            "ListTrainingJobsForHyperParameterTuningJob": self._list_trials,
        }

    def call(self, operation: str, request: Answer) -> Answer:
        """Raises Fault."""
        check(operation, request)
        with self._store.lock:
            if operation in self._operations:
                return self._operations[operation](request)
            for noun, kind in sorted(KINDS.items(), key=lambda each: -len(each[0])):
                for verb, act in (("Create", self._create), ("Describe", self._describe), ("Delete", self._delete),
                                  ("Stop", self._stop), ("List", self._list)):  # fmt: skip
                    if operation == f"{verb}{noun}{'s' if verb == 'List' else ''}":
                        return act(kind, request)
        raise Fault("UnknownOperationException", f"The simulator has no {operation}.")

    def _create(self, kind: Kind, request: Answer) -> Answer:
        self._prepare(kind, request)
        if kind.noun == "ModelPackage":
            resource = self._create_package(request)
        else:
            resource = self._store.add(kind, request[kind.key], request)
        try:
            self._begin(resource)
        except Fault:
            self._store.remove(resource)
            raise
        return {kind.arn_key: resource.arn}

    def _prepare(self, kind: Kind, request: Answer) -> None:
        """Raises Fault where a resource that the request names isn't there."""
        if kind.noun == "EndpointConfig":
            for variant in request["ProductionVariants"]:
                self._store.get("Model", variant["ModelName"])
        elif kind.noun == "Endpoint":
            self._store.get("EndpointConfig", request["EndpointConfigName"])
        elif kind.noun == "TransformJob":
            self._store.get("Model", request["ModelName"])
        elif kind.noun == "HyperParameterTuningJob":
            name = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
            definitions = request["TrainingJobDefinition"]["AlgorithmSpecification"].get("MetricDefinitions", [])
            if not has_metric(definitions, name):
                raise Fault("ValidationException", f"The objective metric [{name}] has no metric definition.")

    def _begin(self, resource: Resource) -> None:
        noun = resource.kind.noun
        if noun in _JOBS:
            job = self._simulator.jobs[resource.arn] = _JOBS[noun](self._simulator, resource)
            job.start()
        elif noun == "Endpoint":
            endpoint = self._simulator.endpoints[resource.arn] = Endpoint(self._simulator, resource)
            endpoint.start()
        elif noun == "Model":
            Containers(self._simulator).check(resource)
        elif noun == "ModelCard":
            resource.update(ModelCardVersion=1)
        elif noun == "ModelPackageGroup":
            resource.move("Completed")

    def _create_package(self, request: Answer) -> Resource:
        if not (group := request.get("ModelPackageGroupName")):
            return self._store.add(KINDS["ModelPackage"], request["ModelPackageName"], request)
        self._store.get("ModelPackageGroup", group)
        group = group.rpartition("/")[2]
        version = 1 + max((each.fields["ModelPackageVersion"] for each in self._versions(group)), default=0)
        return self._store.add(
            KINDS["ModelPackage"], f"{group}/{version}", request, ModelPackageGroupName=group,
            ModelPackageVersion=version, ModelPackageStatus="Completed",
            ModelApprovalStatus=request.get("ModelApprovalStatus", "PendingManualApproval"),
            ModelPackageStatusDetails={"ValidationStatuses": [], "ImageScanStatuses": []},
        )  # fmt: skip

    def _versions(self, group: str) -> list[Resource]:
        return [each for each in self._store.of("ModelPackage") if each.fields.get("ModelPackageGroupName") == group]

    def _describe(self, kind: Kind, request: Answer) -> Answer:
        return self._store.get(kind.noun, request[kind.key]).describe()

    def _delete(self, kind: Kind, request: Answer) -> Answer:
        resource = self._store.get(kind.noun, request[kind.key])
        if kind.noun == "Endpoint":
            self._simulator.endpoints[resource.arn].delete()
            return {}
        if kind.is_job() and resource.status not in DONE:
            raise Fault("ValidationException", f"The job {resource.name} is {resource.status} and can't be deleted.")
        if kind.noun == "ModelPackageGroup" and self._versions(resource.name):
            raise Fault("ConflictException", f"Model Package Group {resource.name} still has model packages.")
        self._store.remove(resource)
        return {}

    def _stop(self, kind: Kind, request: Answer) -> Answer:
        self._simulator.jobs[self._store.get(kind.noun, request[kind.key]).arn].stop()
        return {}

    def _list(self, kind: Kind, request: Answer) -> Answer:
        members = summary_members(kind, f"List{kind.noun}s")
        rows = [
            {key: value for key, value in each.known().items() if key in members}
            for each in self._store.of(kind.noun)
            if all(_fits(each, name, value) for name, value in request.items())
        ]
        return _page(kind.listed, rows, request)

    def _list_trials(self, request: Answer) -> Answer:
        found = self._store.get("HyperParameterTuningJob", request["HyperParameterTuningJobName"])
        tuning = self._simulator.jobs[found.arn]
        assert isinstance(tuning, TuningJob)
        rows = [tuning.summary(job.resource) for job in tuning.jobs]
        rows = [row for row in rows if request.get("StatusEquals") in (None, row["TrainingJobStatus"])]
        return _page("TrainingJobSummaries", rows, request)

    def _update_endpoint(self, request: Answer) -> Answer:
        resource = self._store.get("Endpoint", request["EndpointName"])
        self._simulator.endpoints[resource.arn].update(request)
        return {"EndpointArn": resource.arn}

    def _scale(self, request: Answer) -> Answer:
        resource = self._store.get("Endpoint", request["EndpointName"])
        for wish in request["DesiredWeightsAndCapacities"]:
            for row in resource.fields.get("ProductionVariants", []):
                if row["VariantName"] == wish["VariantName"] and "DesiredInstanceCount" in wish:
                    row.update(
                        {f"{each}InstanceCount": wish["DesiredInstanceCount"] for each in ("Current", "Desired")}
                    )
        return {"EndpointArn": resource.arn}

    def _update_package(self, request: Answer) -> Answer:
        package = self._store.get("ModelPackage", request["ModelPackageArn"])
        package.update(**{key: value for key, value in request.items() if key != "ModelPackageArn"})
        return {"ModelPackageArn": package.arn}

    def _update_card(self, request: Answer) -> Answer:
        card = self._store.get("ModelCard", request["ModelCardName"])
        card.update(**request, ModelCardVersion=card.fields["ModelCardVersion"] + 1)
        return {"ModelCardArn": card.arn}

    def _add_tags(self, request: Answer) -> Answer:
        tags = self._store.by_arn(request["ResourceArn"]).tags
        tags.update(pairs(request["Tags"]))
        return {"Tags": _listed(tags)}

    def _delete_tags(self, request: Answer) -> Answer:
        tags = self._store.by_arn(request["ResourceArn"]).tags
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


_FILTERS: Final[dict[str, Callable[[Resource, Any], bool]]] = {
    "NameContains": lambda resource, value: value.lower() in resource.name.lower(),
    "StatusEquals": lambda resource, value: resource.status == value,
    "ModelPackageType": lambda resource, value: value in ("Both", _package_type(resource)),
    "WarmPoolStatusEquals": lambda resource, value: resource.fields.get("WarmPoolStatus", {}).get("Status") == value,
}
_EQUAL: Final = ("ModelPackageGroupName", "ModelApprovalStatus", "ModelCardStatus")
_ORDER: Final = ("MaxResults", "NextToken", "SortBy", "SortOrder")


def _package_type(resource: Resource) -> str:
    return "Versioned" if "ModelPackageVersion" in resource.fields else "Unversioned"


def _fits(resource: Resource, name: str, value: Any) -> bool:
    """Whether a List request's filter lets the resource through. Raises Fault for one that would do nothing here."""
    known = resource.known()
    if name in _FILTERS:
        return _FILTERS[name](resource, value)
    if name in _EQUAL:
        return bool(known.get(name) == value.rpartition("/")[2])
    if name.endswith(("TimeAfter", "TimeBefore")):
        told, _, side = name.rpartition("Time")
        time = known[f"{told}Time"]
        return bool(time > value if side == "After" else time < value)
    if name not in _ORDER:
        raise Fault("ValidationException", f"The simulator has no filter {name}.")
    return True


def _page(listed: str, rows: list[Answer], request: Answer) -> Answer:
    """Newest first unless SortOrder says otherwise; ten at a time unless MaxResults does."""
    ordered: Iterator[Answer] | list[Answer] = rows if request.get("SortOrder") == "Ascending" else reversed(rows)
    start, size = int(request.get("NextToken", 0)), request.get("MaxResults", _PAGE)
    found = list(ordered)
    more = {"NextToken": str(start + size)} if len(found) > start + size else {}
    return {listed: found[start : start + size], **more}
