"""Batch transform jobs: a server of the model's, one request an object, the answers in S3 as NAME.out."""

import json
import time
from typing import Any

from tests.cloud.simulator.jobs import Job, JobFailed
from tests.cloud.simulator.models import Containers
from tests.cloud.simulator.work import Server


class TransformJob(Job):
    logs = "TransformJobs"

    def work(self) -> None:
        self.resource.update(TransformStartTime=time.time())
        source = self.request["TransformInput"]["DataSource"]["S3DataSource"]
        found = self.simulator.objects.listed(source["S3DataType"], source["S3Uri"])
        if not found:
            raise JobFailed(f"ClientError: No S3 objects found under S3 URL {source['S3Uri']!r}")
        model = self.simulator.store.get("Model", self.request["ModelName"])
        tree = self.tree()
        environment = {
            **Containers(self.simulator).unpack(model, tree),
            **self._batch(),
            **self.request.get("Environment", {}),
        }
        log = self.stream("i-0123456789")
        server = self.simulator.work.serve(self.task(["serve"], tree, environment, log))
        if server is None:
            if self.stop_wish.is_set():
                return
            raise JobFailed("ClientError: See job logs for more information")
        try:
            self._send(server, found)
        finally:
            server.close()

    def _batch(self) -> dict[str, str]:
        return {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self.request.get("MaxPayloadInMB", 6)),
            "SAGEMAKER_BATCH_STRATEGY": self.request.get("BatchStrategy", "MULTI_RECORD"),
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self.request.get("MaxConcurrentTransforms", 0)),
        }

    def _send(self, server: Server, found: list[tuple[str, str]]) -> None:
        output = self.request["TransformOutput"]
        headers = {"Content-Type": self.request["TransformInput"].get("ContentType", "")}
        if accept := output.get("Accept"):
            headers["Accept"] = accept
        server.ask("/execution-parameters", None, {})
        limit = self.request.get("MaxPayloadInMB", 6) * 2**20
        for source, inside in found:
            if self.stop_wish.is_set():
                return
            body = self.simulator.objects.read(source)
            if len(body) > limit:
                raise JobFailed(f"ClientError: {source} is larger than MaxPayloadInMB")
            answer = server.ask("/invocations", body, headers)
            if answer.status != 200:
                told = json.dumps(answer.body.decode(errors="replace"))[:300]
                raise JobFailed(f"AlgorithmError: {inside}: the container answered {answer.status}: {told}")
            self.simulator.objects.write(f"{output['S3OutputPath'].rstrip('/')}/{inside}.out", answer.body)

    def ended(self, status: str) -> dict[str, Any]:
        return {"TransformEndTime": time.time()}
