"""Tuning jobs: training jobs with hyperparameters drawn at random from the ranges, the best by what their logs say."""

import math
import random
import re
import time
from typing import Any, Final

from tests.cloud.simulator.jobs import DONE, Job, JobFailed
from tests.cloud.simulator.kinds import KINDS
from tests.cloud.simulator.store import Resource
from tests.cloud.simulator.training import TrainingJob

_POLL_S: Final = 0.05
_COPIED: Final = (
    "AlgorithmSpecification", "RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig", "ResourceConfig",
    "StoppingCondition", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining",
    "CheckpointConfig", "RetryStrategy", "Environment",
)  # fmt: skip


class TuningJob(Job):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.config = self.request["HyperParameterTuningJobConfig"]
        self.objective = self.config["HyperParameterTuningJobObjective"]
        self._random = random.Random(self.config.get("RandomSeed", 0))
        self.jobs: list[TrainingJob] = []
        self._count()

    def work(self) -> None:
        limits = self.config["ResourceLimits"]
        most, at_once = limits["MaxNumberOfTrainingJobs"], limits["MaxParallelTrainingJobs"]
        while True:
            running = [job for job in self.jobs if job.resource.status not in DONE]
            if self.stop_wish.is_set():
                for job in running:
                    if job.resource.status == "InProgress":
                        job.stop()
            elif len(self.jobs) < most and len(running) < at_once:
                self._begin(len(self.jobs) + 1)
                continue
            self._count()
            if not running:
                break
            time.sleep(_POLL_S)
        if not self.stop_wish.is_set() and "BestTrainingJob" not in self.resource.fields:
            raise JobFailed("No training job succeeded. Please take a look at the training jobs to get more details.")

    def _begin(self, number: int) -> None:
        definition, varied = self.request["TrainingJobDefinition"], self._draw()
        name = f"{self.resource.name}-{number:03d}-{self._random.getrandbits(32):08x}"
        given = {**definition.get("StaticHyperParameters", {}), **varied}
        named = {"_tuning_objective_metric": self.objective["MetricName"]}
        request = {key: definition[key] for key in _COPIED if key in definition}
        if resources := definition.get("HyperParameterTuningResourceConfig"):
            # The SDK's form, which the jobs see as their own.
            request["ResourceConfig"] = resources
        resource = self.simulator.store.add(
            KINDS["TrainingJob"], name, {**request, "HyperParameters": {**given, **named}},
            TuningJobArn=self.resource.arn, TunedHyperParameters=varied,
        )  # fmt: skip
        resource.tags = dict(self.resource.tags)
        job = TrainingJob(self.simulator, resource)
        self.jobs.append(job)
        self.simulator.jobs[resource.arn] = job
        job.start()

    def _draw(self) -> dict[str, str]:
        ranges = self.request["TrainingJobDefinition"].get("HyperParameterRanges") or self.config["ParameterRanges"]
        found: dict[str, str] = {}
        for each in ranges.get("CategoricalParameterRanges", []):
            found[each["Name"]] = self._random.choice(each["Values"])
        for kind, form in (("Integer", round), ("Continuous", float)):
            for each in ranges.get(f"{kind}ParameterRanges", []):
                low, high = float(each["MinValue"]), float(each["MaxValue"])
                logarithmic = each.get("ScalingType") == "Logarithmic"
                value = math.exp(self._random.uniform(math.log(low), math.log(high))) if logarithmic else (
                    self._random.uniform(low, high)
                )  # fmt: skip
                found[each["Name"]] = str(form(value))
        return found

    def objective_of(self, training: Resource) -> float | None:
        """The objective's last value that the job told."""
        metrics = training.fields.get("FinalMetricDataList", [])
        return next((each["Value"] for each in metrics if each["MetricName"] == self.objective["MetricName"]), None)

    def summary(self, training: Resource) -> dict[str, Any]:
        """A row of ListTrainingJobsForHyperParameterTuningJob."""
        value = self.objective_of(training)
        known = training.known()
        row: dict[str, Any] = {key: known[key] for key in (
            "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
            "TrainingJobStatus", "TunedHyperParameters", "FailureReason",
        ) if key in known}  # fmt: skip
        row["TuningJobName"] = self.resource.name
        if training.status in DONE:
            row["ObjectiveStatus"] = "Failed" if value is None else "Succeeded"
        else:
            row["ObjectiveStatus"] = "Pending"
        if value is not None:
            row["FinalHyperParameterTuningJobObjectiveMetric"] = {
                "Type": self.objective["Type"], "MetricName": self.objective["MetricName"], "Value": value,
            }  # fmt: skip
        return row

    def _count(self) -> None:
        rows = [self.summary(job.resource) for job in self.jobs]
        states = [row["TrainingJobStatus"] for row in rows]
        objectives = [row["ObjectiveStatus"] for row in rows]
        self.resource.update(
            TrainingJobStatusCounters={
                "Completed": states.count("Completed"), "InProgress": sum(each not in DONE for each in states),
                "RetryableError": 0, "NonRetryableError": states.count("Failed"), "Stopped": states.count("Stopped"),
            },
            ObjectiveStatusCounters={name: objectives.count(name) for name in ("Succeeded", "Pending", "Failed")},
        )  # fmt: skip
        done = [
            row for row in rows
            if row["TrainingJobStatus"] == "Completed" and "FinalHyperParameterTuningJobObjectiveMetric" in row
        ]  # fmt: skip
        if done:
            choose = max if self.objective["Type"] == "Maximize" else min
            self.resource.update(
                BestTrainingJob=choose(
                    done, key=lambda row: row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
                )
            )

    def ended(self, status: str) -> dict[str, Any]:
        self._count()
        return {"HyperParameterTuningEndTime": time.time()}


def has_metric(definitions: list[dict[str, str]], name: str) -> bool:
    """Whether a metric of that name is defined, by an expression with one group."""
    return any(each["Name"] == name and re.compile(each["Regex"]).groups >= 1 for each in definitions)
