"""Jobs: each runs in a thread of its own, from the moment it is created to its last status."""

import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.cloud.simulator.logs import LogStream
from tests.cloud.simulator.store import REGION, Fault, Resource
from tests.cloud.simulator.work import ML, Task

if TYPE_CHECKING:
    from tests.cloud.simulator.server import Simulator

DONE: Final = ("Completed", "Failed", "Stopped")


class JobFailed(Exception):
    """FailureReason of a job."""


class Job:
    """One job. Subclasses say what it does; `logs` is its group in CloudWatch Logs."""

    logs = ""

    def __init__(self, simulator: "Simulator", resource: Resource) -> None:
        self.simulator, self.resource = simulator, resource
        self.request = resource.request
        self.folder = simulator.folder / resource.kind.path / resource.name
        self.stop_wish = threading.Event()
        self.thread = threading.Thread(target=self._run, name=resource.name, daemon=True)
        resource.move("InProgress")

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        """As Stop... does: it ends by itself soon. Raises Fault when it has ended."""
        if self.resource.status in DONE:
            raise Fault("ValidationException", f"The job is in status {self.resource.status} and can't be stopped.")
        self.resource.move("Stopping")
        self.stop_wish.set()

    def work(self) -> None:
        """The job itself. Raises JobFailed, or Fault of a service that it uses."""
        raise NotImplementedError

    def ended(self, status: str) -> dict[str, Any]:
        """What else Describe tells at its end."""
        return {}

    def _run(self) -> None:
        reason = None
        try:
            self.work()
            status = "Stopped" if self.stop_wish.is_set() else "Completed"
        except (JobFailed, Fault) as error:
            status, reason = "Failed", str(error)[:1024]
        except Exception as error:  # noqa: BLE001 - the simulator's own; it is raised when the account is closed
            self.simulator.own_faults.append(error)
            status, reason = "Failed", f"InternalServerError: {error!r}"
        if self.simulator.closing:
            return
        with self.simulator.store.lock:
            more = {"FailureReason": reason} if reason else {}
            self.resource.move(status, **more, **self.ended(status))

    def stream(self, name: str) -> LogStream:
        """A stream of the job's log group, its name begun with the job's."""
        return LogStream(self.simulator.client("logs"), f"/aws/sagemaker/{self.logs}", f"{self.resource.name}/{name}")

    def tree(self, host: str = "algo-1") -> Path:
        """A new /opt/ml for one host."""
        tree = self.folder / host
        shutil.rmtree(tree, ignore_errors=True)
        for folder in ("input/config", "input/data", "model", "output/data"):
            (tree / folder).mkdir(parents=True)
        return tree

    def inside(self, tree: Path, path: str) -> Path:
        """Where a path of the container is here. Raises Fault for one outside of /opt/ml."""
        if not path.startswith(f"{ML}/"):
            raise Fault("ValidationException", f"LocalPath must lie below {ML}, got {path}")
        return tree / path.removeprefix(f"{ML}/")

    def task(self, command: list[str], tree: Path, environment: dict[str, str], log: LogStream) -> Task:
        """One container of the job, with the settings of AWS that SageMaker gives it."""
        here = self.simulator.environment("container") if not self._isolated() else {}
        environ = {**here, "AWS_REGION": REGION, **environment}
        return Task(command, tree, environ, log.say, self.stop_wish)

    def _isolated(self) -> bool:
        network = self.request.get("NetworkConfig", {})
        return bool(self.request.get("EnableNetworkIsolation") or network.get("EnableNetworkIsolation"))

    def wait(self, limit_s: float) -> None:
        """Until the job has ended. Raises TimeoutError."""
        end = time.monotonic() + limit_s
        while self.resource.status not in DONE:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.resource.name} is still {self.resource.status}")
            time.sleep(0.02)
