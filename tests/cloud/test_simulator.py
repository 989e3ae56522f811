"""The simulated account, as boto3 sees it."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.cloud.conftest import BUCKET, IMAGE, ROLE
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared

# For as long as a loaded machine may take.
OFTEN = {"Delay": 0.2, "MaxAttempts": 600}


def training(name: str, **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE, "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "accuracy", "Regex": r"accuracy=([0-9.]+)"}],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [{
            "ChannelName": "training",
            "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/", "S3DataDistributionType": "FullyReplicated",
            }},
        }],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Tags": [{"Key": "kennel:run", "Value": name}],
        **more,
    }  # fmt: skip


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """What a training leaves."""
    (tmp_path / "left" / "model").mkdir(parents=True)
    (tmp_path / "left" / "output" / "data").mkdir(parents=True)
    (tmp_path / "left" / "model" / "kennel.json").write_text("{}")
    (tmp_path / "left" / "output" / "data" / "metrics.jsonl").write_text("{}\n")
    return tmp_path / "left"


def members(cloud: Simulator, url: str) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(cloud.objects.read(url))) as tar:
        return tar.getnames()


def test_a_training_job_leaves_archives_metrics_and_a_log(cloud: Simulator, prepared: Prepared, left: Path) -> None:
    prepared.left, prepared.lines = left, ["accuracy=0.5", "", "accuracy=0.75"]
    cloud.objects.write(f"s3://{BUCKET}/data/dog/1.jpg", b"photo")
    sagemaker, logs = boto3.client("sagemaker"), boto3.client("logs")
    arn = sagemaker.create_training_job(**training("one"))["TrainingJobArn"]
    assert arn == "arn:aws:sagemaker:eu-west-1:123456789012:training-job/one"
    told = cloud.wait("TrainingJob", "one")
    assert (
        cloud.folder / "training-job" / "one" / "algo-1" / "input" / "data" / "training" / "dog" / "1.jpg"
    ).is_file()
    assert told == cloud.store.get("TrainingJob", "one").describe()
    described = sagemaker.describe_training_job(TrainingJobName="one")
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Completed"
    steps = [step["Status"] for step in described["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert described["FinalMetricDataList"][0]["Value"] == 0.75
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/one/output/model.tar.gz"
    assert members(cloud, f"s3://{BUCKET}/out/one/output/model.tar.gz") == ["kennel.json"]
    assert members(cloud, f"s3://{BUCKET}/out/one/output/output.tar.gz") == ["metrics.jsonl"]
    (stream,) = logs.describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs")["logStreams"]
    assert stream["logStreamName"].startswith("one/algo-1-")
    events = logs.get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert [event["message"] for event in events] == ["accuracy=0.5", " ", "accuracy=0.75"]
    assert cloud.changes() == ["CreateTrainingJob"]
    assert cloud.requests("CreateTrainingJob") == [training("one")]
    with pytest.raises(ClientError, match="ResourceInUse"):
        sagemaker.create_training_job(**training("one"))


def test_a_failed_job_says_what_its_container_said(cloud: Simulator, prepared: Prepared) -> None:
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_training_job(**training("empty"))
    assert "No S3 objects found" in cloud.wait("TrainingJob", "empty")["FailureReason"]
    cloud.objects.write(f"s3://{BUCKET}/data/1.jpg", b"photo")
    prepared.code = 2
    sagemaker.create_training_job(**training("two"))
    assert cloud.wait("TrainingJob", "two")["FailureReason"] == "AlgorithmError: , exit code: 2"


def test_a_job_can_be_stopped_once(cloud: Simulator, prepared: Prepared) -> None:
    cloud.objects.write(f"s3://{BUCKET}/data/1.jpg", b"photo")
    prepared.go.clear()
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_training_job(**training("long"))
    assert sagemaker.describe_training_job(TrainingJobName="long")["TrainingJobStatus"] == "InProgress"
    sagemaker.stop_training_job(TrainingJobName="long")
    assert cloud.wait("TrainingJob", "long")["TrainingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="can't be stopped"):
        sagemaker.stop_training_job(TrainingJobName="long")


def test_requests_that_the_service_model_forbids_are_refused(cloud: Simulator) -> None:
    with pytest.raises(ClientError, match=r"validation errors detected: .TrainingJobName"):
        boto3.client("sagemaker").create_training_job(**training("a_b"))
    assert cloud.calls[-1].error == "ValidationException"


def test_tuning_picks_the_best_job(cloud: Simulator, prepared: Prepared) -> None:
    cloud.objects.write(f"s3://{BUCKET}/data/1.jpg", b"photo")
    prepared.lines = ["accuracy=0.5"]
    whole = training("unused")
    kept = (
        "AlgorithmSpecification",
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "StoppingCondition",
    )
    definition = {key: whole[key] for key in kept}
    ranges = {"ContinuousParameterRanges": [
        {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Logarithmic"},
    ]}  # fmt: skip
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="search",
        HyperParameterTuningJobConfig={
            "Strategy": "Random", "ParameterRanges": ranges,
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "accuracy"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
        },
        TrainingJobDefinition={**definition, "StaticHyperParameters": {"epochs": "1"}},
    )  # fmt: skip
    told = cloud.wait("HyperParameterTuningJob", "search")
    assert told["HyperParameterTuningJobStatus"] == "Completed"
    assert told["TrainingJobStatusCounters"]["Completed"] == 3
    jobs = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName="search")
    rows = jobs["TrainingJobSummaries"]
    assert [row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for row in rows] == [0.5] * 3
    assert all(0.001 <= float(row["TunedHyperParameters"]["lr"]) <= 0.1 for row in rows)
    best = sagemaker.describe_training_job(TrainingJobName=told["BestTrainingJob"]["TrainingJobName"])
    assert best["HyperParameters"]["epochs"] == "1"
    assert best["TuningJobArn"].endswith("/search")


def endpoint(sagemaker: Any, cloud: Simulator, left: Path) -> None:
    cloud.objects.store_archive(left / "model", f"s3://{BUCKET}/model.tar.gz")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "All", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c", Tags=[{"Key": "kennel:run", "Value": "x"}])


def test_an_endpoint_answers_and_goes(cloud: Simulator, prepared: Prepared, left: Path) -> None:
    prepared.answer = json.dumps({"predictions": []})
    prepared.go.clear()
    sagemaker, runtime = boto3.client("sagemaker"), boto3.client("sagemaker-runtime")
    endpoint(sagemaker, cloud, left)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName="e")
    with pytest.raises(ClientError, match="not found"):
        runtime.invoke_endpoint(EndpointName="e", Body=b"x")
    prepared.go.set()
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig=OFTEN)
    answer = runtime.invoke_endpoint(EndpointName="e", Body=b"x", ContentType="image/jpeg")
    assert json.loads(answer["Body"].read()) == {"predictions": []}
    assert answer["InvokedProductionVariant"] == "All"
    found = boto3.client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "kennel:run", "Values": ["x"]}])
    assert [each["ResourceARN"].rpartition(":")[2] for each in found["ResourceTagMappingList"]] == ["endpoint/e"]
    sagemaker.delete_endpoint(EndpointName="e")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="e", WaiterConfig=OFTEN)
    assert [each.kind.noun for each in cloud.store] == ["Model", "EndpointConfig"]


def test_faults_can_be_asked_for(cloud: Simulator) -> None:
    cloud.fail("CreateTrainingJob", "ResourceLimitExceeded", "The account-level service limit ...")
    cloud.fail("PutMetricAlarm", "AccessDenied")
    cloud.fail("ListObjectsV2", "AccessDenied", status=403)
    with pytest.raises(ClientError, match="ResourceLimitExceeded"):
        boto3.client("sagemaker").create_training_job(**training("x"))
    alarm = {"AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "LessThanThreshold"}
    with pytest.raises(ClientError, match="AccessDenied"):
        boto3.client("cloudwatch").put_metric_alarm(**alarm)
    with pytest.raises(ClientError, match="AccessDenied"):
        boto3.client("s3").list_objects_v2(Bucket=BUCKET)
    boto3.client("cloudwatch").put_metric_alarm(**alarm)
    assert cloud.requests("PutMetricAlarm")[-1]["AlarmName"] == "a"
    cloud.answer("GetProducts", lambda request: {"PriceList": [request["ServiceCode"]]})
    assert boto3.client("pricing", region_name="us-east-1").get_products(ServiceCode="s")["PriceList"] == ["s"]
