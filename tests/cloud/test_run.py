"""`deploy.py run --on sagemaker`, the whole of it: every request that changes something, what is told, what is left."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator

from tests.backends.photos import make_photos as make_coloured_photos
from tests.backends.sagemaker_requests import breaches
from tests.backends.terminal import TINY
from tests.cloud.conftest import BUCKET, IMAGE, ROLE
from tests.cloud.driver import Driver
from tests.cloud.search_cases import (
    ANSWER,
    PHOTOS,
    beyond_policies,
    environment,
    leftovers,
    make_photos,
    pretend,
    run_arguments,
)
from tests.cloud.simulator.moto import Moto
from tests.cloud.simulator.recording import Call
from tests.cloud.simulator.server import PERSON, Simulator, furnish
from tests.cloud.simulator.store import ACCOUNT, REGION

CHANGES = [
    "CreateHyperParameterTuningJob", "CreateModel", "CreateEndpointConfig", "CreateEndpoint", "RegisterScalableTarget",
    "PutScalingPolicy", "PutScheduledAction", "InvokeEndpoint", "DeleteScheduledAction", "DeleteScalingPolicy",
    "DeregisterScalableTarget", "DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel",
]  # fmt: skip
METRICS = (
    "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate", "epoch_seconds",
    "test_loss", "test_accuracy", "test_top5_accuracy", "test_macro_f1", "average test loss", "latency_ms",
)  # fmt: skip


class Whole:
    """One run, to its end: the account, what was said, the records by kind, what is left in the account."""

    def __init__(self, cloud: Simulator, folder: Path, said: str) -> None:
        self.cloud, self.folder, self.said = cloud, folder, said
        self.left = leftovers(cloud)
        records = [json.loads(file.read_text()) for file in (folder / "runs").glob("*/run.json")]
        self.records: dict[str, dict[str, Any]] = {record["kind"]: record for record in records}
        assert len(records) == len(self.records) == 3

    def name(self, kind: str) -> str:
        """In the account."""
        return str(self.records[kind]["sagemaker"]["name"])

    def tags(self, kind: str) -> list[dict[str, str]]:
        return [{"Key": "kennel:run", "Value": self.name(kind)}, {"Key": "kennel:kind", "Value": kind}]

    def sent(self, operation: str) -> dict[str, Any]:
        """The only request of an operation."""
        (request,) = self.cloud.requests(operation)
        return request


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, moto: Moto) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    with Simulator(folder / "cloud", moto) as cloud, Driver(folder) as driver:
        furnish(cloud)
        pretend(cloud, folder / "left")
        photos = make_photos(folder / "photos")
        ended = driver.run(*run_arguments(photos, folder), environment=environment(cloud, folder))
        assert ended.code == 0, ended.said
        # The account ends here: while tests look at what it recorded, others have one of their own.
        return Whole(cloud, folder, ended.said)


def test_what_is_changed_and_in_which_order(whole: Whole) -> None:
    assert whole.cloud.changes(objects=False) == CHANGES
    changed = whole.cloud.changes()
    # The photos before the search, the artifact before the model.
    assert changed.index("CreateHyperParameterTuningJob") == len(PHOTOS) + 1
    assert changed[changed.index("CreateModel") - 1] == "PutObject"


def test_every_request_is_one_that_its_service_takes(whole: Whole) -> None:
    session, checked = Session(), 0
    for call in whole.cloud.calls:
        assert call.key == PERSON
        if call.service in ("s3", "sagemaker-runtime", "sts"):
            continue  # told apart by path and headers: these reached moto and the endpoint
        shape = session.get_service_model(call.service).operation_model(call.operation).input_shape
        report = ParamValidator().validate(call.request, shape)
        assert not report.has_errors(), (call, report.generate_report())
        assert breaches(call.request, shape) == [], call
        checked += 1
    assert checked >= 40


def test_the_persons_policies_allow_all_of_it(whole: Whole) -> None:
    assert beyond_policies(whole.cloud) == []


def test_photos_go_to_the_data_sets_own_prefix(whole: Whole) -> None:
    keys = [request["Key"] for request in whole.cloud.requests("PutObject")]
    assert all(request["Bucket"] == BUCKET for request in whole.cloud.requests("PutObject"))
    (prefix,) = {key.split("/")[2] for key in keys if key.endswith(".jpg")}
    assert re.fullmatch(r"photos-[0-9a-f]{8}", prefix)
    assert sorted(keys)[:-1] == [
        f"kennel/data/{prefix}.sums.json", *(f"kennel/data/{prefix}/{name}" for name in sorted(PHOTOS))
    ]  # fmt: skip
    assert re.fullmatch(r"kennel/models/[0-9a-f]{16}/model\.tar\.gz", sorted(keys)[-1])


def test_the_search(whole: Whole) -> None:
    sent, name = whole.sent("CreateHyperParameterTuningJob"), whole.name("tuning")
    job = whole.records["tuning"]["sagemaker"]["tuning_job"]
    assert re.fullmatch(r"kennel-tuning-\d{8}-\d\d-[0-9a-f]{6}", job)
    assert sent["TrainingJobDefinition"]["StaticHyperParameters"].pop("epochs") == "10"
    static = sent["TrainingJobDefinition"].pop("StaticHyperParameters")
    # One of the trials is served: they are trained with everything on.
    assert [static[each] for each in ("debug", "profile", "tensorboard")] == ['"on"', '"on"', '"on"']
    assert static["export"] == '"int8"'
    assert "lr" not in static
    prefix = whole.cloud.requests("PutObject")[0]["Key"].split("/")[2]
    assert sent == {
        "HyperParameterTuningJobName": job,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian", "RandomSeed": 0, "TrainingJobEarlyStoppingType": "Auto",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation_accuracy"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {
                "ContinuousParameterRanges": [{
                    "Name": "lr", "MinValue": "0.0003333333333333333", "MaxValue": "0.003",
                    "ScalingType": "Logarithmic",
                }],
                "CategoricalParameterRanges": [], "IntegerParameterRanges": [],
            },
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE, "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": each, "Regex": f"{each}=([-+0-9.e]+);"} for each in METRICS],
            },
            "RoleArn": ROLE,
            "InputDataConfig": [{
                "ChannelName": "training",
                "DataSource": {"S3DataSource": {
                    "S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/kennel/data/{prefix}/",
                    "S3DataDistributionType": "FullyReplicated",
                }},
            }],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/kennel/runs/{name}/output"},
            "HyperParameterTuningResourceConfig": {
                "InstanceCount": 1, "InstanceType": "ml.g4dn.xlarge", "VolumeSizeInGB": 50,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 4 * 3600},
        },
        "Tags": whole.tags("tuning"),
    }  # fmt: skip


def test_the_endpoint(whole: Whole) -> None:
    name, noted = whole.name("deployment"), whole.records["deployment"]["sagemaker"]
    artifact = whole.cloud.requests("PutObject")[-1]["Key"]
    assert whole.sent("CreateModel") == {
        "ModelName": noted["model"], "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {
            "Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{artifact}",
            "Environment": {"SAGEMAKER_CONTAINER_LOG_LEVEL": "info"},
        },
        "Tags": whole.tags("deployment"),
    }  # fmt: skip
    assert whole.sent("CreateEndpointConfig") == {
        "EndpointConfigName": noted["config"],
        "ProductionVariants": [{
            "VariantName": "AllTraffic", "ModelName": noted["model"], "InitialVariantWeight": 1,
            "InitialInstanceCount": 1, "InstanceType": "ml.m5.large",
            "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        }],
        "Tags": whole.tags("deployment"),
    }  # fmt: skip
    assert whole.sent("CreateEndpoint") == {
        "EndpointName": name, "EndpointConfigName": noted["config"], "Tags": whole.tags("deployment"),
    }  # fmt: skip
    assert noted["model"].startswith(f"{name}-")
    assert noted["config"].startswith(f"{name}-")
    assert whole.sent("InvokeEndpoint") == {
        "EndpointName": name, "ContentType": "image/jpeg", "Accept": "application/json",
    }  # fmt: skip


def test_its_autoscaling(whole: Whole) -> None:
    name = whole.name("deployment")
    target = {
        "ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }  # fmt: skip
    assert whole.sent("RegisterScalableTarget") == {
        **target, "MinCapacity": 1, "MaxCapacity": 2, "Tags": {"kennel:run": name, "kennel:kind": "deployment"},
    }  # fmt: skip
    policy = whole.sent("PutScalingPolicy")
    assert policy.pop("TargetTrackingScalingPolicyConfiguration") == {
        "TargetValue": 1200.0, "ScaleOutCooldown": 60, "ScaleInCooldown": 300,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }  # fmt: skip
    assert policy == {**target, "PolicyName": f"{name}-load", "PolicyType": "TargetTrackingScaling"}
    assert whole.sent("PutScheduledAction") == {
        **target, "ScheduledActionName": f"{name}-1", "Schedule": "cron(0 7 ? * MON-FRI *)", "Timezone": "UTC",
        "ScalableTargetAction": {"MinCapacity": 1, "MaxCapacity": 2},
    }  # fmt: skip
    assert whole.sent("DeleteScheduledAction") == {**target, "ScheduledActionName": f"{name}-1"}
    assert whole.sent("DeleteScalingPolicy") == {**target, "PolicyName": f"{name}-load"}
    assert whole.sent("DeregisterScalableTarget") == target


def test_nothing_runs_afterwards(whole: Whole) -> None:
    noted = whole.records["deployment"]["sagemaker"]
    assert whole.sent("DeleteEndpoint") == {"EndpointName": whole.name("deployment")}
    assert whole.sent("DeleteEndpointConfig") == {"EndpointConfigName": noted["config"]}
    assert whole.sent("DeleteModel") == {"ModelName": noted["model"]}
    left = whole.left
    assert left
    assert {each.split()[0] for each in left} <= {"object", "log"}
    statuses = {kind: record["status"] for kind, record in whole.records.items()}
    assert statuses == {"tuning": "completed", "training": "completed", "deployment": "stopped"}


def test_before_anything_is_made_the_manifest_says_where(whole: Whole) -> None:
    where = {"region": REGION, "account": ACCOUNT, "bucket": BUCKET, "prefix": "kennel"}
    for record in whole.records.values():
        assert {key: record["sagemaker"][key] for key in where} == where
    assert whole.records["tuning"]["best"] == whole.records["training"]["name"]


def test_what_is_told(whole: Whole) -> None:
    # One question for everything, with what it may cost: two trials of 4 hours at 0.736 dollars and 15 %.
    assert whole.said.count("to be started in") == 1
    assert re.search(r"tuning job: 2 training jobs, 1 at a time +1 x ml\.g4dn\.xlarge .* 8 h +\$6\.77", whole.said)
    assert re.search(
        r"endpoint for the best trial, 1 to 2 .* 2 x ml\.m5\.large .*until deleted +\$6\.35 a day", whole.said
    )
    label = ANSWER["predictions"][0]["label"]
    assert re.search(rf"(?m)^prediction +3\.jpg: {label} \(75\.0%\)$", whole.said)
    assert re.search(r"(?m)^in the account +1 x log group, 4 x objects: under \$0\.0001 a day$", whole.said)
    assert "python deploy.py delete --all --with-data --on sagemaker" in whole.said
    assert "curl" not in whole.said


def test_without_a_terminal_and_without_yes_nothing_is_changed(cloud: Simulator, tmp_path: Path) -> None:
    photos, environ = make_photos(tmp_path / "photos"), environment(cloud, tmp_path)
    with Driver(tmp_path) as driver:
        arguments = [each for each in run_arguments(photos, tmp_path) if each != "--yes"]
        ended = driver.run(*arguments, environment=environ)
        assert ended.code == 2
        assert re.search(r"(?m)^error: there is no terminal to ask at .*; give --yes$", ended.said), ended.said
        assert cloud.changes() == []
        # And an endpoint that is to be kept is, until it is deleted by its run's name.
        pretend(cloud, tmp_path / "left")
        kept = driver.run(*run_arguments(photos, tmp_path, "--keep"), environment=environ)
        assert kept.code == 0, kept.said
        (up,) = (each.name for each in cloud.store.of("Endpoint"))
        (told,) = re.findall(r"\(python deploy\.py delete (\S+)\)", kept.said)
        gone = driver.run("delete", told, "--runs", tmp_path / "runs", environment=environ)
        assert gone.code == 0, gone.said
        assert up.startswith(f"kennel-{told}-")
        assert cloud.store.of("Endpoint") == []


@pytest.mark.long
def test_a_run_whose_containers_are_kennels_own_commands(cloud: Simulator, tmp_path: Path) -> None:
    photos = make_coloured_photos(tmp_path / "photos")
    with Driver(tmp_path) as driver:
        arguments = run_arguments(
            photos, tmp_path, *TINY, "--set", "debug=off", "--set", "profile=off", "--trials", "1"
        )
        # Real jobs take long enough for the asking to cost more than they do.
        ended = driver.run(*arguments, environment={**environment(cloud, tmp_path), "KENNEL_POLL_S": "0.5"})
    assert ended.code == 0, ended.said
    (best,) = (tmp_path / "runs").glob("*-trial-001")
    tested = json.loads((best / "ml" / "output" / "data" / "evaluation.json").read_text())
    (name, label) = re.findall(r"(?m)^prediction +(\S+): (.+) \([0-9.]+%\)$", ended.said)[0]
    # What the endpoint says of a photo is what the training's own evaluation said of it.
    assert label in {each["label"] for file, each in tested["predictions"].items() if file.endswith(f"/{name}")}
    assert "epoch=2; train_loss=" in (best / "log.txt").read_text()
    assert {each.split()[0] for each in leftovers(cloud)} <= {"object", "log"}
    jobs = [(each.kind.noun, each.status) for each in cloud.store]
    assert sorted(jobs) == [("HyperParameterTuningJob", "Completed"), ("TrainingJob", "Completed")]


def test_calls_tell_a_question_from_a_change() -> None:
    told = [
        Call("sagemaker", name, {}).changes
        for name in ("DescribeModel", "ListModels", "CreateModel", "StopTrainingJob")
    ]
    assert told == [False, False, True, True]
