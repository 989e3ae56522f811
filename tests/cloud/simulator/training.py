"""Training jobs: `train` on an /opt/ml tree that is made of the request, as SageMaker makes it."""

import json
import re
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.cloud.simulator.jobs import Job, JobFailed
from tests.cloud.simulator.logs import LogStream
from tests.cloud.simulator.objects import Mirror
from tests.cloud.simulator.work import Task

_POLL_S: Final = 0.1
# A checkpoint's 50 MB cost as much to copy as a small epoch to train.
_MIRROR_S: Final = 2.0
_DEFAULTS: Final = {
    "CheckpointConfig": "/opt/ml/checkpoints",
    "TensorBoardOutputConfig": "/opt/ml/output/tensorboard",
    "DebugHookConfig": "/opt/ml/output/tensors",
}


class TrainingJob(Job):
    logs = "TrainingJobs"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._interrupt = threading.Event()
        self._task: Task | None = None
        self._out_of_time = False
        self.resource.update(SecondaryStatusTransitions=[], **self._rules({}, "InProgress"))
        self._secondary("Starting", "Starting the training job")

    def _secondary(self, status: str, message: str) -> None:
        now = time.time()
        steps: list[dict[str, Any]] = self.resource.fields["SecondaryStatusTransitions"]
        if steps:
            steps[-1].setdefault("EndTime", now)
        steps.append({"Status": status, "StartTime": now, "StatusMessage": message})
        self.resource.update(SecondaryStatus=status)

    def _rules(self, statuses: Mapping[str, str], otherwise: str) -> dict[str, Any]:
        return {
            f"{kind}RuleEvaluationStatuses": [
                {
                    "RuleConfigurationName": rule["RuleConfigurationName"],
                    "RuleEvaluationStatus": statuses.get(rule["RuleConfigurationName"], otherwise),
                    "LastModifiedTime": time.time(),
                }
                for rule in self.request[f"{kind}RuleConfigurations"]
            ]
            for kind in ("Debug", "Profiler")
            if self.request.get(f"{kind}RuleConfigurations")
        }

    def stop(self) -> None:
        super().stop()
        self._secondary("Stopping", "Stopping the training job")

    def interrupt(self) -> None:
        """Takes the spot instance back: it ends, and starts again with its checkpoints."""
        self._interrupt.set()
        if self._task is not None:
            self._task.stop.set()

    def work(self) -> None:
        count = self.request["ResourceConfig"].get("InstanceCount", 1)
        hosts = [f"algo-{number}" for number in range(1, count + 1)]
        self.resource.update(TrainingStartTime=time.time())
        while True:
            self._interrupt.clear()
            self._secondary("Downloading", "Downloading input data")
            trees = [self._prepare(host, hosts) for host in hosts]
            self._secondary("Training", "Training image download completed. Training in progress.")
            codes = self._train(hosts, trees)
            if not self._interrupt.is_set() or self.stop_wish.is_set():
                break
            self._secondary("Interrupted", "Spot capacity was taken back")
            self._secondary("Starting", "Starting the training job again")
        self._secondary("Uploading", "Uploading generated training model")
        self._upload(trees)
        self._finish(trees, codes)

    def _prepare(self, host: str, hosts: list[str]) -> Path:
        tree = self.tree(host)
        objects, configs = self.simulator.objects, tree / "input" / "config"
        channels = {}
        for channel in self.request.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]
            sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
            share = (hosts.index(host), len(hosts)) if sharded else (0, 1)
            folder = tree / "input" / "data" / channel["ChannelName"]
            if not objects.fetch(source["S3DataType"], source["S3Uri"], folder, share):
                raise JobFailed(
                    f"ClientError: Data download failed: No S3 objects found under S3 URL {source['S3Uri']!r}"
                )
            channels[channel["ChannelName"]] = {
                "TrainingInputMode": channel.get("InputMode", self._input_mode()),
                "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            }
        resources = {"current_host": host, "hosts": hosts, "network_interface_name": "eth0",
                     "current_instance_type": self.request["ResourceConfig"].get("InstanceType", "")}  # fmt: skip
        _write(configs / "hyperparameters.json", self.request.get("HyperParameters", {}))
        _write(configs / "inputdataconfig.json", channels)
        _write(configs / "resourceconfig.json", resources)
        self._optional(tree, configs)
        return tree

    def _input_mode(self) -> str:
        return str(self.request["AlgorithmSpecification"]["TrainingInputMode"])

    def _optional(self, tree: Path, configs: Path) -> None:
        for name, file in (
            ("CheckpointConfig", "checkpointconfig.json"), ("TensorBoardOutputConfig", "tensorboardoutputconfig.json"),
            ("DebugHookConfig", "debughookconfig.json"), ("ProfilerConfig", "profilerconfig.json"),
        ):  # fmt: skip
            if config := self.request.get(name):
                _write(configs / file, {"LocalPath": _DEFAULTS.get(name), **config} if name in _DEFAULTS else config)
        if checkpoints := self.request.get("CheckpointConfig"):
            folder = self.inside(tree, checkpoints.get("LocalPath", _DEFAULTS["CheckpointConfig"]))
            folder.mkdir(parents=True, exist_ok=True)
            self.simulator.objects.fetch("S3Prefix", checkpoints["S3Uri"], folder)

    def _mirrors(self, tree: Path) -> list[Mirror]:
        objects, found = self.simulator.objects, []
        if config := self.request.get("CheckpointConfig"):
            place = self.inside(tree, config.get("LocalPath", _DEFAULTS["CheckpointConfig"]))
            found.append(Mirror(objects, place, config["S3Uri"]))
        for name, inside in (("TensorBoardOutputConfig", "tensorboard-output"), ("DebugHookConfig", "debug-output")):
            if config := self.request.get(name):
                place = self.inside(tree, config.get("LocalPath", _DEFAULTS[name]))
                found.append(
                    Mirror(objects, place, f"{config['S3OutputPath'].rstrip('/')}/{self.resource.name}/{inside}")
                )
        config = self.request.get("ProfilerConfig", {})
        if config.get("S3OutputPath") and not config.get("DisableProfiler"):
            url = f"{config['S3OutputPath'].rstrip('/')}/{self.resource.name}/profiler-output"
            found.append(Mirror(objects, tree / "output" / "profiler", url))
        return found

    def _train(self, hosts: list[str], trees: list[Path]) -> list[int]:
        codes = [0] * len(hosts)
        streams = [self.stream(f"{host}-{int(time.time())}") for host in hosts]
        command = self.request["AlgorithmSpecification"]
        words = [*command.get("ContainerEntrypoint", ["train"]), *command.get("ContainerArguments", [])]
        environment = {
            **self.request.get("Environment", {}),
            "TRAINING_JOB_NAME": self.resource.name, "TRAINING_JOB_ARN": self.resource.arn,
        }  # fmt: skip
        tasks = [self.task(words, tree, environment, log) for tree, log in zip(trees, streams, strict=True)]
        # A stop of one's own: an interruption ends the container, not the job.
        own = threading.Event()
        for task in tasks:
            task.stop = own
        self._task = tasks[0]

        def run(number: int) -> None:
            codes[number] = self.simulator.work.run(tasks[number])

        threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(hosts))]
        for thread in threads:
            thread.start()
        self._attend(threads, own, self._mirrors(trees[0]))
        self.metrics(streams[0])
        return codes

    def _attend(self, threads: list[threading.Thread], own: threading.Event, mirrors: list[Mirror]) -> None:
        end = time.monotonic() + self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86400)
        mirrored = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            if time.monotonic() > end and not self.stop_wish.is_set():
                self._out_of_time = True
                self.stop_wish.set()
            if self.stop_wish.is_set():
                own.set()
            if time.monotonic() - mirrored >= _MIRROR_S:
                for mirror in mirrors:
                    mirror.update()
                mirrored = time.monotonic()
            threads[0].join(_POLL_S if threads[0].is_alive() else 0.02)
        for mirror in mirrors:
            mirror.update()

    def metrics(self, log: LogStream) -> None:
        """The last value of each metric that the log tells, by the request's expressions."""
        found = {}
        for metric in self.request["AlgorithmSpecification"].get("MetricDefinitions", []):
            for line in log.lines:
                for match in re.finditer(metric["Regex"], line):
                    found[metric["Name"]] = float(match.group(1))
        now = time.time()
        self.resource.update(
            FinalMetricDataList=[
                {"MetricName": name, "Value": value, "Timestamp": now} for name, value in found.items()
            ]
        )

    def _upload(self, trees: list[Path]) -> None:
        output = f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.resource.name}/output"
        for name, folder in (("model", "model"), ("output", "output/data")):
            merged = self.folder / f"all-{name}"
            shutil.rmtree(merged, ignore_errors=True)
            for tree in trees:
                shutil.copytree(tree / folder, merged, dirs_exist_ok=True)
            if any(merged.iterdir()):
                self.simulator.objects.store_archive(merged, f"{output}/{name}.tar.gz")
        self.resource.update(ModelArtifacts={"S3ModelArtifacts": f"{output}/model.tar.gz"})

    def _finish(self, trees: list[Path], codes: list[int]) -> None:
        if self.stop_wish.is_set():
            return
        for tree, code in zip(trees, codes, strict=True):
            if code:
                failure = tree / "output" / "failure"
                told = failure.read_text()[:1024] if failure.is_file() else ""
                raise JobFailed(f"AlgorithmError: {told.strip()}, exit code: {code}")

    def ended(self, status: str) -> dict[str, Any]:
        now = time.time()
        took = round(now - self.resource.fields.get("TrainingStartTime", now)) + 1
        secondary = "MaxRuntimeExceeded" if self._out_of_time else status
        self._secondary(secondary, {"Completed": "Training job completed"}.get(secondary, f"Training job {secondary}"))
        rules = self._rules(self.simulator.rule_statuses, "NoIssuesFound")
        kept = self.request["ResourceConfig"].get("KeepAlivePeriodInSeconds")
        pool = (
            {"WarmPoolStatus": {"Status": "Available", "ResourceRetainedBillableTimeInSeconds": kept}} if kept else {}
        )
        return {"TrainingEndTime": now, "TrainingTimeInSeconds": took, "BillableTimeInSeconds": took, **rules, **pool}


def _write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value))
