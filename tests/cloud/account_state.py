"""An account with things in it, in moto; what moto has no call for is answered here."""

from collections.abc import Callable
from typing import Any

from backends.sagemaker.account import Account
from backends.sagemaker.names import KIND_TAG, RUN_TAG

ROLE = "arn:aws:iam::123456789012:role/kennel-execution"
BUCKET = "kennel-bucket"
FIRST = "kennel-first-1a2b3c"
SECOND = "kennel-second-4d5e6f"
CLUSTER = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50}


def tags(run: str) -> list[dict[str, str]]:
    return [{"Key": RUN_TAG, "Value": run}, {"Key": KIND_TAG, "Value": "deployment"}]


class State:
    """What is made in the account, and what is asked of it.

    calls: (operation, request) of all that could change something.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.calls: list[tuple[str, dict[str, Any]]] = []
        # Jobs that run, {kind's stem: {name: status}}: in moto they are over as soon as they begin.
        self.running: dict[str, dict[str, str]] = {}
        self.sagemaker = account.client("sagemaker")
        for service in ("sagemaker", "application-autoscaling", "cloudwatch", "logs", "s3"):
            account.client(service).meta.events.register("before-parameter-build", self._note)
        events = self.sagemaker.meta.events
        for stem in ("TrainingJob", "HyperParameterTuningJob", "TransformJob", "ProcessingJob"):
            events.register(f"before-call.sagemaker.Stop{stem}", self._stop(stem))
            events.register(f"after-call.sagemaker.Describe{stem}", self._describe(stem))
            # In moto's eyes all of them are completed.
            events.register(f"provide-client-params.sagemaker.List{stem}s", without_status)
            events.register(f"after-call.sagemaker.List{stem}s", self._list(stem))
        events.register("before-call.sagemaker.UpdateTrainingJob", lambda **_: answer({"TrainingJobArn": "arn"}))

    def _note(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        if model.name.startswith(("Create", "Delete", "Stop", "Update", "Deregister", "Abort")):
            self.calls.append((model.name, dict(params)))

    def _stop(self, stem: str) -> Callable[..., Any]:
        def stop(params: dict[str, Any], **_: Any) -> Any:
            self.running[stem] = dict.fromkeys(self.running.get(stem, {}), "Stopped")
            return answer({})

        return stop

    def _describe(self, stem: str) -> Callable[..., None]:
        def describe(parsed: dict[str, Any], **_: Any) -> None:
            name = parsed.get(f"{stem}Name", "")
            parsed[f"{stem}Status"] = self.running.get(stem, {}).get(name, "Completed")
            if stem == "ProcessingJob":
                parsed["ProcessingResources"] = {"ClusterConfig": CLUSTER}

        return describe

    def _list(self, stem: str) -> Callable[..., None]:
        def listing(parsed: dict[str, Any], **_: Any) -> None:
            for each in parsed.get(f"{stem}Summaries", []):
                each[f"{stem}Status"] = self.running.get(stem, {}).get(each[f"{stem}Name"], "Completed")

        return listing

    def changes(self) -> list[str]:
        """The operations that could have changed something, in order."""
        return [operation for operation, _ in self.calls]

    def endpoint(self, run: str = FIRST, steps: int = 7) -> None:
        """The first steps of a deployment: model, configuration, endpoint, target, policy, scheduled action, alarm."""
        where = {
            "ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{run}/variant/all",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }  # fmt: skip
        scaling = self.account.client("application-autoscaling")
        made: list[Callable[[], object]] = [
            lambda: self.sagemaker.create_model(
                ModelName=run, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image"}, Tags=tags(run)
            ),
            lambda: self.sagemaker.create_endpoint_config(
                EndpointConfigName=run, ProductionVariants=[variant(run)], Tags=tags(run)
            ),
            lambda: self.sagemaker.create_endpoint(EndpointName=run, EndpointConfigName=run, Tags=tags(run)),
            lambda: scaling.register_scalable_target(MinCapacity=1, MaxCapacity=4, **where),
            lambda: scaling.put_scaling_policy(
                PolicyName=f"{run}-invocations", PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": 100.0,
                    "PredefinedMetricSpecification": {
                        "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
                    },
                }, **where,
            ),
            lambda: scaling.put_scheduled_action(
                ScheduledActionName=f"{run}-1", Schedule="cron(0 7 * * ? *)",
                ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 4}, **where,
            ),
            lambda: self.alarm(run),
        ]  # fmt: skip
        for make in made[:steps]:
            make()

    def alarm(self, run: str = FIRST, tagged: bool = True) -> None:
        self.account.client("cloudwatch").put_metric_alarm(
            AlarmName=f"{run}-errors", Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors", Statistic="Sum",
            Period=60, EvaluationPeriods=1, Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
            Tags=tags(run) if tagged else [],
        )  # fmt: skip

    def training(self, name: str, run: str = FIRST, status: str = "InProgress", tagged: bool = True) -> None:
        self.running.setdefault("TrainingJob", {})[name] = status
        self.sagemaker.create_training_job(
            TrainingJobName=name, RoleArn=ROLE,
            AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/kennel/runs/{run}/output"},
            ResourceConfig={"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 50},
            StoppingCondition={"MaxRuntimeInSeconds": 3600}, Tags=tags(run) if tagged else [],
        )  # fmt: skip

    def transform(self, name: str, run: str = FIRST) -> None:
        self.running.setdefault("TransformJob", {})[name] = "InProgress"
        self.sagemaker.create_transform_job(
            TransformJobName=name, ModelName=run, Tags=tags(run),
            TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in"}}},
            TransformOutput={"S3OutputPath": f"s3://{BUCKET}/out"},
            TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        )  # fmt: skip

    def processing(self, name: str, run: str = FIRST) -> None:
        self.running.setdefault("ProcessingJob", {})[name] = "InProgress"
        self.sagemaker.create_processing_job(
            ProcessingJobName=name, RoleArn=ROLE, AppSpecification={"ImageUri": "image"},
            ProcessingResources={"ClusterConfig": CLUSTER}, Tags=tags(run),
        )  # fmt: skip

    def tuning(self, name: str, run: str = FIRST) -> None:
        self.running.setdefault("HyperParameterTuningJob", {})[name] = "InProgress"
        self.sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name, Tags=tags(run),
            HyperParameterTuningJobConfig={
                "Strategy": "Bayesian", "ResourceLimits": {"MaxParallelTrainingJobs": 1, "MaxNumberOfTrainingJobs": 3}
            },
        )  # fmt: skip

    def package(self, digest: str) -> None:
        """A version in the registry, of an artifact that lies in models/DIGEST."""
        self.sagemaker.create_model_package_group(
            ModelPackageGroupName="kennel", Tags=[{"Key": KIND_TAG, "Value": "registry"}]
        )
        container = {"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/kennel/models/{digest}/model.tar.gz"}
        self.sagemaker.create_model_package(
            ModelPackageGroupName="kennel",
            InferenceSpecification={
                "Containers": [container], "SupportedContentTypes": [], "SupportedResponseMIMETypes": [],
            },
        )  # fmt: skip

    def put(self, key: str, count: int) -> None:
        """An object of so many bytes."""
        self.account.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x" * count)

    def keys(self) -> list[str]:
        found = self.account.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [each["Key"] for each in found]

    def left(self) -> dict[str, list[str]]:
        """{what: names} of all that costs or stands in the way of the next deployment; without empty ones."""
        scaling = self.account.client("application-autoscaling")
        found = {
            "endpoints": [each["EndpointName"] for each in self.sagemaker.list_endpoints()["Endpoints"]],
            "configurations": [
                each["EndpointConfigName"] for each in self.sagemaker.list_endpoint_configs()["EndpointConfigs"]
            ],
            "models": [each["ModelName"] for each in self.sagemaker.list_models()["Models"]],
            "alarms": [
                each["AlarmName"] for each in self.account.client("cloudwatch").describe_alarms()["MetricAlarms"]
            ],
            "jobs": [name for jobs in self.running.values() for name, status in jobs.items() if status == "InProgress"],
        }
        for key, ask in {
            "ScalableTargets": scaling.describe_scalable_targets, "ScalingPolicies": scaling.describe_scaling_policies,
            "ScheduledActions": scaling.describe_scheduled_actions,
        }.items():  # fmt: skip
            found[key] = [each["ResourceId"] for each in ask(ServiceNamespace="sagemaker")[key]]
        return {what: names for what, names in found.items() if names}


def without_status(params: dict[str, Any], **_: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "StatusEquals"}


def variant(model: str) -> dict[str, Any]:
    return {"VariantName": "all", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 3}


def answer(parsed: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """In place of the service's own, as botocore takes it from a handler."""

    class Http:
        status_code = 200

    return Http(), {**parsed, "ResponseMetadata": {"HTTPStatusCode": 200}}
