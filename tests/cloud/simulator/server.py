"""The account on a port of this machine: SageMaker as it works, everything else moto's."""

import copy
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.cloud.simulator import answers
from tests.cloud.simulator.api import Api
from tests.cloud.simulator.endpoints import Endpoint
from tests.cloud.simulator.jobs import Job
from tests.cloud.simulator.moto import Moto, Server
from tests.cloud.simulator.objects import Objects
from tests.cloud.simulator.recording import Call, read_call
from tests.cloud.simulator.runtime import invoke, invoke_async
from tests.cloud.simulator.store import ACCOUNT, REGION, Fault, Store
from tests.cloud.simulator.work import Commands, Work

if TYPE_CHECKING:
    from moto.core.resource_tagging import TaggedResource

PERSON: Final = "person"
Hook = Callable[[Call], None]


@dataclass
class _Refusal:
    """A fault to answer with, `times` times more."""

    fault: Fault
    when: Callable[[dict[str, Any]], bool]
    times: int


class Simulator:
    """An AWS account, to be used as a context manager; a process has one at a time, for there is one moto.

    folder: for the /opt/ml trees. work: plays the containers. calls: all requests but the simulator's own, oldest
    first; those of jobs' containers are signed with the key "container". before, after: called with each, before it is
    carried out and before it is answered. rule_statuses: what built-in rules find, else NoIssuesFound.
    """

    def __init__(self, folder: Path, moto: Moto, work: Work | None = None) -> None:
        self.folder, self.work = folder, work or Commands()
        self.calls: list[Call] = []
        self.before: Hook = lambda _call: None
        self.after: Hook = lambda _call: None
        self.rule_statuses: dict[str, str] = {}
        self.store, self.closing = Store(), False
        self.own_faults: list[Exception] = []
        self.jobs: dict[str, Job] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self._refusals: dict[str, list[_Refusal]] = {}
        self._answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self._moto = moto
        self._api = Api(self)

    def __enter__(self) -> Self:
        from moto.sagemaker.models import sagemaker_backends

        self._moto.reset()
        # So that the tagging API finds what is kept here.
        sagemaker_backends[ACCOUNT][REGION].iter_tagged_resources = self._tagged  # type: ignore[method-assign]
        # A port of its own: what is left of an earlier account finds a closed door.
        self._server = Server(self._respond)
        self.objects = Objects(self.client("s3"))
        return self

    def __exit__(self, *_exception: object) -> None:
        self.closing = True
        for job in self.jobs.values():
            job.stop_wish.set()
        for endpoint in self.endpoints.values():
            endpoint.close()
        for thread in [*(job.thread for job in self.jobs.values()), *(each.thread for each in self.endpoints.values())]:
            thread.join(30)
        self._server.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        for fault in self.own_faults:
            raise fault

    @property
    def url(self) -> str:
        return self._server.url

    def environment(self, key: str = PERSON) -> dict[str, str]:
        """The variables by which boto3 finds this account and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "2",
            "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }  # fmt: skip

    def client(self, service: str) -> Any:
        """A boto3 client, whose requests aren't recorded."""
        return self._moto.client(service)

    def fail(
        self, operation: str, code: str, message: str = "No.", *, when: Callable[[dict[str, Any]], bool] | None = None,
        times: int = 1, status: int = 400,
    ) -> None:  # fmt: skip
        """Refuse an operation of any service, `times` times, where `when` says so of the request."""
        refusal = _Refusal(Fault(code, message, status), when or (lambda _request: True), times)
        self._refusals.setdefault(operation, []).append(refusal)

    def answer(self, operation: str, given: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Let a function answer an operation, of a service that speaks JSON."""
        self._answers[operation] = given

    def requests(self, operation: str, key: str = PERSON) -> list[dict[str, Any]]:
        """Those of an operation, oldest first; the caller's to change."""
        return [copy.deepcopy(call.request) for call in self.calls if (call.operation, call.key) == (operation, key)]

    def changes(self, *, objects: bool = True) -> list[str]:
        """The person's operations that weren't mere questions, oldest first; without S3's unless `objects`."""
        return [
            call.operation for call in self.calls
            if call.key == PERSON and call.changes and (objects or call.service != "s3")
        ]  # fmt: skip

    def interrupt(self, training_job: str) -> None:
        """Take the spot instance of a training job back."""
        self.jobs[self.store.get("TrainingJob", training_job).arn].interrupt()  # type: ignore[attr-defined]

    def wait(self, noun: str, name: str, limit_s: float = 120) -> dict[str, Any]:
        """What Describe tells of a job, once it has ended."""
        resource = self.store.get(noun, name)
        self.jobs[resource.arn].wait(limit_s)
        return resource.describe()

    def _tagged(self) -> Iterator["TaggedResource"]:
        from moto.core.resource_tagging import TaggedResource

        for each in self.store:
            yield TaggedResource(each.arn, dict(each.tags), f"sagemaker:{each.kind.path}")

    def _respond(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        call = read_call(environ, body)
        call.agent = str(environ.get("HTTP_USER_AGENT", ""))
        self.calls.append(call)
        self.before(call)
        try:
            answer = self._carry_out(call, body, environ)
        except Fault as fault:
            call.error = fault.code
            answer = answers.refusal(call, fault, environ)
        call.status = answer.status
        self.after(call)
        return answers.send(answer, start)

    def _carry_out(self, call: Call, body: bytes, environ: dict[str, Any]) -> answers.Http:
        for refusal in self._refusals.get(call.operation, []):
            if refusal.times > 0 and refusal.when(call.request):
                refusal.times -= 1
                raise refusal.fault
        if call.operation in self._answers:
            return answers.as_json(self._answers[call.operation](call.request))
        if call.service == "sagemaker":
            return answers.as_json(self._api.call(call.operation, call.request))
        if call.service == "sagemaker-runtime":
            if call.operation == "InvokeEndpointAsync":
                return answers.of_container(invoke_async(self, call))
            return answers.of_container(invoke(self, call, body))
        found = answers.of_application(self._moto.application(environ), environ)
        call.error = found.error
        return found


def furnish(simulator: Simulator, trust: Mapping[str, Any] | None = None) -> None:
    """What everybody has to bring: an execution role, a bucket, and the image in ECR."""
    service = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps(trust or {"Version": "2012-10-17", "Statement": [service]})
    simulator.client("iam").create_role(RoleName="kennel-execution", AssumeRolePolicyDocument=document)
    simulator.client("s3").create_bucket(
        Bucket="kennel-bucket", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    simulator.client("ecr").create_repository(repositoryName="kennel")
    layer = {
        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "size": 1,
        "digest": f"sha256:{'0' * 64}",
    }
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 1, "digest": f"sha256:{'1' * 64}"}
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}
    simulator.client("ecr").put_image(
        repositoryName="kennel", imageManifest=json.dumps(manifest), imageManifestMediaType=kind, imageTag="1.0"
    )
