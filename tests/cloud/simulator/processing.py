"""Processing jobs: any command of the image, its inputs from S3 and its outputs back."""

import time
from typing import Any

from tests.cloud.simulator.jobs import Job, JobFailed


class ProcessingJob(Job):
    logs = "ProcessingJobs"

    def work(self) -> None:
        self.resource.update(ProcessingStartTime=time.time())
        tree, objects = self.tree(), self.simulator.objects
        for each in self.request.get("ProcessingInputs", []):
            source = each["S3Input"]
            folder = self.inside(tree, source["LocalPath"])
            folder.mkdir(parents=True, exist_ok=True)
            if not objects.fetch(source["S3DataType"], source["S3Uri"], folder):
                raise JobFailed(
                    f"ClientError: Data download failed: No S3 objects found under S3 URL {source['S3Uri']!r}"
                )
        outputs = self.request.get("ProcessingOutputConfig", {}).get("Outputs", [])
        for each in outputs:
            self.inside(tree, each["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
        command = self.request["AppSpecification"]
        words = [*command.get("ContainerEntrypoint", ["train"]), *command.get("ContainerArguments", [])]
        log = self.stream(f"algo-1-{int(time.time())}")
        code = self.simulator.work.run(self.task(words, tree, self.request.get("Environment", {}), log))
        for each in outputs:
            objects.store(self.inside(tree, each["S3Output"]["LocalPath"]), each["S3Output"]["S3Uri"])
        if code and not self.stop_wish.is_set():
            message = tree / "output" / "message"
            if message.is_file():
                self.resource.update(ExitMessage=message.read_text()[:1024])
            raise JobFailed(f"AlgorithmError: See job logs for more information, exit code: {code}")

    def ended(self, status: str) -> dict[str, Any]:
        return {"ProcessingEndTime": time.time()}
