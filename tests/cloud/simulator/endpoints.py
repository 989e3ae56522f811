"""Endpoints: a server for the model of the first variant, exchanged for another when the endpoint is updated."""

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from tests.cloud.simulator.logs import LogStream
from tests.cloud.simulator.models import Containers
from tests.cloud.simulator.store import REGION, Fault, Resource
from tests.cloud.simulator.work import Server, Task

if TYPE_CHECKING:
    from tests.cloud.simulator.server import Simulator

_CHANGING: Final = ("Creating", "Updating", "RollingBack", "Deleting")


class Endpoint:
    """One endpoint. What takes time runs in a thread, as the jobs do."""

    def __init__(self, simulator: "Simulator", resource: Resource) -> None:
        self.simulator, self.resource = simulator, resource
        self.server: Server | None = None
        self.stop_wish = threading.Event()
        self.thread = threading.Thread(target=self._create, name=resource.name, daemon=True)
        self._number = 0
        resource.move("Creating")

    def start(self) -> None:
        self.thread.start()

    @property
    def config(self) -> Resource:
        """The configuration in use. Raises Fault when it was deleted meanwhile."""
        return self.simulator.store.get("EndpointConfig", self.resource.known()["EndpointConfigName"])

    def _create(self) -> None:
        try:
            config = self.config
            self.server = self._serve(config)
        except Fault as error:
            self._fail(error.message)
            return
        if self.simulator.closing:
            self.close()
        elif self.server is None:
            self._fail(_no_ping(self._variant(config)["VariantName"]))
        else:
            self._in_service(config)

    def _fail(self, reason: str) -> None:
        self.resource.move("Failed", FailureReason=reason)

    def _in_service(self, config: Resource, **fields: Any) -> None:
        self.resource.move(
            "InService", EndpointConfigName=config.name, ProductionVariants=self._variants(config), **fields
        )
        for name in ("DataCaptureConfig", "AsyncInferenceConfig"):
            self.resource.fields.pop(name, None)
            if name in config.request:
                self.resource.update(**{name: config.request[name]})

    @staticmethod
    def _variant(config: Resource) -> dict[str, Any]:
        first: dict[str, Any] = config.request["ProductionVariants"][0]
        return first

    def _variants(self, config: Resource) -> list[dict[str, Any]]:
        rows = []
        for each in config.request["ProductionVariants"]:
            row: dict[str, Any] = {"VariantName": each["VariantName"], "CurrentWeight": 1.0, "DesiredWeight": 1.0}
            if serverless := each.get("ServerlessConfig"):
                row |= {"CurrentServerlessConfig": serverless, "CurrentInstanceCount": 0}
            else:
                count = each.get("InitialInstanceCount", 1)
                row |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
            rows.append(row)
        return rows

    def _serve(self, config: Resource) -> Server | None:
        self._number += 1
        tree = self.simulator.folder / "endpoint" / self.resource.name / str(self._number)
        shutil.rmtree(tree, ignore_errors=True)
        for folder in ("model", "input/config", "output"):
            (tree / folder).mkdir(parents=True)
        variant = self._variant(config)
        model = self.simulator.store.get("Model", variant["ModelName"])
        environment = Containers(self.simulator).unpack(model, tree)
        group = f"/aws/sagemaker/Endpoints/{self.resource.name}"
        log = LogStream(self.simulator.client("logs"), group, f"{variant['VariantName']}/i-{self._number:010x}")
        here = {} if model.request.get("EnableNetworkIsolation") else self.simulator.environment("container")
        task = Task(["serve"], tree, {**here, "AWS_REGION": REGION, **environment}, log.say, self.stop_wish)
        return self.simulator.work.serve(task)

    def update(self, request: dict[str, Any]) -> None:
        """Blue/green, as UpdateEndpoint. Raises Fault while something goes on already."""
        if self.resource.status in _CHANGING:
            raise Fault("ValidationException", f'Cannot update in-progress endpoint "{self.resource.arn}".')
        new = self.simulator.store.get("EndpointConfig", request["EndpointConfigName"])
        before = self.resource.status
        self.resource.move("Updating")
        self.resource.fields.pop("FailureReason", None)
        if "DeploymentConfig" in request:
            self.resource.update(LastDeploymentConfig=request["DeploymentConfig"])
        self.thread = threading.Thread(target=self._exchange, args=(new, request, before), daemon=True)
        self.thread.start()

    def _exchange(self, new: Resource, request: dict[str, Any], before: str) -> None:
        try:
            server, reason = self._serve(new), _no_ping(self._variant(new)["VariantName"])
        except Fault as error:
            server, reason = None, error.message
        if self.simulator.closing:
            if server is not None:
                server.close()
            return
        if server is not None and (alarms := self._ringing(request)):
            server.close()
            server, reason = None, f"One or more configured alarms went off: {', '.join(alarms)}"
        if server is None:
            self.resource.move("RollingBack")
            self.resource.move(before if self.server is not None else "Failed", FailureReason=reason)
            return
        old, self.server = self.server, server
        self._in_service(new)
        if old is not None:
            old.close()

    def _ringing(self, request: dict[str, Any]) -> list[str]:
        """Names of the update's alarms that are in ALARM."""
        names = [
            each["AlarmName"]
            for each in request.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {}).get("Alarms", [])
        ]
        found = self.simulator.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"] if names else []
        return [each["AlarmName"] for each in found if each["StateValue"] == "ALARM"]

    def delete(self) -> None:
        """Raises Fault while something goes on: SageMaker lets nobody delete an endpoint that is being created."""
        if self.resource.status in _CHANGING:
            raise Fault("ValidationException", f'Cannot update in-progress endpoint "{self.resource.arn}".')
        self.resource.move("Deleting")
        self.thread = threading.Thread(target=self._delete, daemon=True)
        self.thread.start()

    def _delete(self) -> None:
        self.close()
        time.sleep(0.05)
        self.simulator.store.remove(self.resource)

    def close(self) -> None:
        """End its server."""
        self.stop_wish.set()
        server, self.server = self.server, None
        if server is not None:
            server.close()


def _no_ping(variant: str) -> str:
    return (
        f"The primary container for production variant {variant} did not pass the ping health check. Please check "
        "CloudWatch logs for this endpoint."
    )
