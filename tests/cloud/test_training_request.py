"""What a training job is asked for, field by field."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.cancel import CancelToken
from backends.errors import BackendError, Stopped
from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import Item
from backends.sagemaker.jobs.training import train
from backends.settings.sections import AccountSettings as Common
from backends.settings.sections import Data, Train
from tests.backends.sagemaker_requests import breaches, service_model
from tests.cloud.conftest import BUCKET, IMAGE, ROLE, settings
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.trainings import SMALL, new_run, photos, trained

NOTHING = Train(debugger="off", profiler="off")
COMMON = settings().sagemaker
METRICS = (
    "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate", "epoch_seconds",
    "test_loss", "test_accuracy", "test_top5_accuracy", "test_macro_f1", "average test loss", "latency_ms",
)  # fmt: skip


def requested(cloud: Simulator, folder: Path, hyperparameters: Any = SMALL, **sections: object) -> dict[str, Any]:
    """The request of a training with such settings, which the service model allows; and the run's name in it as RUN."""
    run = trained(Account(settings(**sections), lambda _items: None), folder, hyperparameters)
    (request,) = cloud.requests("CreateTrainingJob")
    assert breaches(request, service_model().shape_for("CreateTrainingJobRequest")) == []
    name = run.record["sagemaker"]["name"]
    assert request.pop("TrainingJobName") == name
    found: dict[str, Any] = _renamed(request, name)
    return found


def _renamed(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(each, name) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, name) for each in value]
    return value.replace(name, "RUN") if isinstance(value, str) else value


@pytest.fixture(autouse=True)
def artifact(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "left" / "model").mkdir(parents=True)
    (tmp_path / "left" / "model" / "kennel.json").write_text("{}")
    prepared.left = tmp_path / "left"


def test_with_no_more_settings_than_it_needs(cloud: Simulator, tmp_path: Path) -> None:
    request = requested(cloud, tmp_path)
    url = request["InputDataConfig"][0]["DataSource"]["S3DataSource"].pop("S3Uri")
    assert url.startswith(f"s3://{BUCKET}/kennel/data/photos-")
    assert url.endswith("/")
    values = request.pop("HyperParameters")
    assert values == SMALL.to_json()
    assert (values["lr"], values["pretrained"], values["epochs"], values["tune_trials"]) == (
        "0.001", '"none"', "2", "0",
    )  # fmt: skip
    run = f"s3://{BUCKET}/kennel/runs/RUN"
    assert request == {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE, "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": f"{name}=([-+0-9.e]+);"} for name in METRICS],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [{
            "ChannelName": "training",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated"}},
        }],
        "OutputDataConfig": {"S3OutputPath": f"{run}/output"},
        "ResourceConfig": {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
        "StoppingCondition": {"MaxRuntimeInSeconds": 14_400},
        "CheckpointConfig": {"S3Uri": f"{run}/checkpoints"},
        "Tags": [{"Key": "kennel:run", "Value": "RUN"}, {"Key": "kennel:kind", "Value": "training"}],
        "DebugHookConfig": {"S3OutputPath": f"{run}/tensors", "CollectionConfigurations": []},
        "TensorBoardOutputConfig": {"S3OutputPath": f"{run}/tensorboard"},
        "ProfilerConfig": {
            "S3OutputPath": f"{run}/profiler", "ProfilingIntervalInMilliseconds": 500, "DisableProfiler": False,
        },
        "ProfilerRuleConfigurations": [{
            "RuleConfigurationName": "ProfilerReport", "RuleParameters": {"rule_to_invoke": "ProfilerReport"},
            # AWS's own account for the rules in Ireland.
            "RuleEvaluatorImage": "929884845733.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-debugger-rules:latest",
        }],
    }  # fmt: skip


@pytest.mark.beyond_policy("another prefix than kennel")
def test_with_every_setting(cloud: Simulator, tmp_path: Path) -> None:
    common = replace(
        COMMON, prefix="kennel/dogs", kms_key="1234abcd-12ab-34cd-56ef-1234567890ab",
        subnets=("subnet-1a", "subnet-2b"),
        security_groups=("sg-3c",), network_isolation=True, encrypt_traffic=True, tags=(("team", "dogs"),),
    )  # fmt: skip
    chosen = replace(
        NOTHING, instance_type="ml.m5.4xlarge", instance_count=3, volume_gb=80, max_hours=1.5, spot=True,
        max_wait_hours=2.5, environment=(("OMP_NUM_THREADS", "8"), ("LANG", "C")),
    )  # fmt: skip
    request = requested(
        cloud, tmp_path, replace(SMALL, batch_size=6), sagemaker=common, train=chosen, data=Data(input_mode="FastFile")
    )
    run = f"s3://{BUCKET}/kennel/dogs/runs/RUN"
    key = "1234abcd-12ab-34cd-56ef-1234567890ab"
    assert request["AlgorithmSpecification"]["TrainingInputMode"] == "FastFile"
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.m5.4xlarge", "InstanceCount": 3, "VolumeSizeInGB": 80, "VolumeKmsKeyId": key,
    }  # fmt: skip
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 5400, "MaxWaitTimeInSeconds": 9000}
    assert request["EnableManagedSpotTraining"] is True
    assert request["OutputDataConfig"] == {"S3OutputPath": f"{run}/output", "KmsKeyId": key}
    assert request["VpcConfig"] == {"Subnets": ["subnet-1a", "subnet-2b"], "SecurityGroupIds": ["sg-3c"]}
    assert request["EnableNetworkIsolation"] is True
    assert request["EnableInterContainerTrafficEncryption"] is True
    assert request["Environment"] == {"OMP_NUM_THREADS": "8", "LANG": "C"}
    assert request["HyperParameters"]["batch_size"] == "6"
    assert request["Tags"] == [
        {"Key": "team", "Value": "dogs"},
        {"Key": "kennel:run", "Value": "RUN"},
        {"Key": "kennel:kind", "Value": "training"},
    ]
    # Switched off: nothing of the Debugger but where the curves go.
    assert request["ProfilerConfig"] == {"DisableProfiler": True}
    assert "DebugHookConfig" not in request
    assert "ProfilerRuleConfigurations" not in request
    assert request["TensorBoardOutputConfig"] == {"S3OutputPath": f"{run}/tensorboard"}
    sent = cloud.requests("PutObject")
    assert {each["SSEKMSKeyId"] for each in sent} == {key}
    assert {each["ServerSideEncryption"] for each in sent} == {"aws:kms"}


def test_a_warm_pool_and_no_checkpoints(cloud: Simulator, tmp_path: Path) -> None:
    request = requested(cloud, tmp_path, train=replace(NOTHING, keep_alive_minutes=15, checkpoints=False))
    assert request["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 900
    assert "CheckpointConfig" not in request
    assert "EnableManagedSpotTraining" not in request


def test_an_instance_with_disks_of_its_own_takes_no_key_for_a_volume(cloud: Simulator, tmp_path: Path) -> None:
    request = requested(cloud, tmp_path, sagemaker=replace(COMMON, kms_key="key-1"), train=NOTHING)
    assert request["ResourceConfig"]["InstanceType"] == "ml.g4dn.xlarge"
    assert "VolumeKmsKeyId" not in request["ResourceConfig"]
    assert request["OutputDataConfig"]["KmsKeyId"] == "key-1"


def test_spot_waits_twice_as_long_as_it_runs(cloud: Simulator, tmp_path: Path) -> None:
    request = requested(cloud, tmp_path, train=replace(NOTHING, spot=True))
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 14_400, "MaxWaitTimeInSeconds": 28_800}


def test_files_of_this_machine_travel(cloud: Simulator, tmp_path: Path) -> None:
    weights, rules = tmp_path / "mine.safetensors", tmp_path / "rules.json"
    weights.write_bytes(b"weights")
    rules.write_text(
        '[\n  {"RuleConfigurationName": "strict",\n   "RuleParameters": {"rule_to_invoke": "Overfit"}}\n]\n'
    )
    chosen = replace(SMALL, pretrained=str(weights), rules=str(rules))
    request = requested(cloud, tmp_path, chosen, train=NOTHING)
    values = request["HyperParameters"]
    assert values["pretrained"] == '"/opt/ml/input/data/pretrained/mine.safetensors"'
    assert values["rules"] == (
        r'"[{\"RuleConfigurationName\":\"strict\",\"RuleParameters\":{\"rule_to_invoke\":\"Overfit\"}}]"'
    )
    data, pretrained = request["InputDataConfig"]
    assert (data["ChannelName"], pretrained["ChannelName"]) == ("training", "pretrained")
    url = pretrained["DataSource"]["S3DataSource"]["S3Uri"]
    # Called after its content: SHA-256 of b"weights".
    assert url == f"s3://{BUCKET}/kennel/data/weights-9a129038/"
    assert cloud.objects.read(f"{url}mine.safetensors") == b"weights"


def test_all_faults_are_told_at_once_and_nothing_is_asked(cloud: Simulator, tmp_path: Path) -> None:
    chosen = Train(
        instance_count=2, spot=True, max_wait_hours=1, keep_alive_minutes=5, debugger_rules=("Overfitt",),
        profiler_interval_ms=300,
    )  # fmt: skip
    account = Account(settings(train=chosen, sagemaker=replace(COMMON, subnets=("subnet-1",))), lambda _items: None)
    rules = '[{"RuleConfigurationName":"' + 2500 * "x" + '"}]'
    run = new_run(tmp_path / "runs")
    with pytest.raises(BackendError) as told:
        train(
            account,
            run,
            photos(tmp_path / "photos"),
            replace(SMALL, rules=rules, batch_size=3),
            lambda _: None,
            CancelToken(),
        )
    assert str(told.value) == (
        "7 training job faults: train.instance_count: 2 hosts share every batch, each needs 2 images of it, and "
        "batch_size is 3; raise that to 4 at least | train.max_wait_hours: waiting and running together can't be less "
        "than max_hours (4), got 1; raise it, or set 0 for twice max_hours | train.keep_alive_minutes: spot instances "
        "can't be kept warm; set it to 0, or spot to false | sagemaker.subnets and sagemaker.security_groups: one "
        "needs the other; set both or none | rules: SageMaker takes at most 2500 characters, got 2536; make it "
        "shorter | "
        "train.debugger_rules: SageMaker has no rule Overfitt for this; did you mean Overfit? | "
        "train.profiler_interval_ms: must be one of 100, 200, 500, 1000, 5000, 60000, got 300"
    )
    assert cloud.calls == []


def test_weights_that_are_not_there(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"^pretrained: there is no file \S+/none.pt; give imagenet"):
        trained(account, tmp_path, replace(SMALL, pretrained=str(tmp_path / "none.pt")))
    assert cloud.calls == []


def test_consent_comes_before_anything_is_sent(cloud: Simulator, tmp_path: Path) -> None:
    asked: list[Item] = []

    def no(items: Any) -> None:
        asked.extend(items)
        raise Stopped("not agreed to")

    chosen = Train(instance_type="ml.m5.xlarge", max_hours=2, keep_alive_minutes=30)
    run = new_run(tmp_path / "runs")
    with pytest.raises(Stopped, match="not agreed to"):
        train(
            Account(settings(train=chosen), no), run, photos(tmp_path / "photos"), SMALL, lambda _: None, CancelToken()
        )
    assert cloud.changes(objects=True) == []
    job, pool, data = asked
    assert job.what.startswith("training job kennel-first-")
    assert (job.kind, job.instance_type, job.count, job.hours, job.gigabytes) == (
        "training", "ml.m5.xlarge", 1, 2.0, 50,
    )  # fmt: skip
    assert (pool.kind, pool.instance_type, pool.hours) == ("training", "ml.m5.xlarge", 0.5)
    # Four photos of seven bytes.
    assert (data.kind, data.hours, data.gigabytes) == ("storage", None, 28 / 1024**3)


def test_a_spot_jobs_consent(cloud: Simulator, tmp_path: Path) -> None:
    asked: list[Item] = []
    common: Common = COMMON
    trained(Account(settings(sagemaker=common, train=replace(NOTHING, spot=True)), asked.extend), tmp_path)
    assert [(each.kind, each.hours, each.gigabytes) for each in asked[:1]] == [("spot", 4.0, 0.0)]
