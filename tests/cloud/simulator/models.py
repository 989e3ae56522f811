"""What a model's containers hold: the artifact, unpacked, and the environment."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cloud.simulator.store import Fault, Resource

if TYPE_CHECKING:
    from tests.cloud.simulator.server import Simulator


class Containers:
    """Reads models for whoever serves them."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator

    def check(self, model: Resource) -> None:
        """As CreateModel does. Raises Fault for an artifact or a package that isn't there."""
        container = self.container(model)
        source = container.get("ModelDataSource", {}).get("S3DataSource")
        if source:
            if not self._simulator.objects.listed("S3Prefix", source["S3Uri"]):
                raise Fault("ValidationException", f"Could not find model data at {source['S3Uri']}.")
        elif url := container.get("ModelDataUrl"):
            self._simulator.objects.read(url)

    def container(self, model: Resource) -> dict[str, Any]:
        """The first container's definition, a package's where the model names one."""
        given: dict[str, Any] = model.request.get("PrimaryContainer") or model.request["Containers"][0]
        if package := given.get("ModelPackageName"):
            found = self._simulator.store.get("ModelPackage", package)
            if found.fields.get("ModelApprovalStatus") not in (None, "Approved"):
                raise Fault("ValidationException", f'Could not create a model: "{package}" is not approved.')
            packed: dict[str, Any] = found.request["InferenceSpecification"]["Containers"][0]
            return {**packed, "Environment": {**packed.get("Environment", {}), **given.get("Environment", {})}}
        return given

    def unpack(self, model: Resource, tree: Path) -> dict[str, str]:
        """Lay the artifact into the tree's model folder; returns the container's environment."""
        container = self.container(model)
        shutil.rmtree(tree / "model", ignore_errors=True)
        source = container.get("ModelDataSource", {}).get("S3DataSource")
        if source and source.get("CompressionType") == "None":
            self._simulator.objects.fetch("S3Prefix", source["S3Uri"], tree / "model")
        elif url := (source or {}).get("S3Uri") or container.get("ModelDataUrl"):
            self._simulator.objects.unpack(url, tree / "model")
        environment: dict[str, str] = container.get("Environment", {})
        return environment
