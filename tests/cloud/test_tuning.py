"""Searches by SageMaker's tuner: the request, what is known of the trials, what is left here."""

import json
from pathlib import Path
from typing import Any

import pytest

from backends.cancel import CancelToken
from backends.errors import BackendError, Stopped
from backends.runs import Run, load_run
from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import Item
from backends.sagemaker.jobs import tuning
from backends.sagemaker.names import MAX_TUNING_NAME_LENGTH, resource_name
from backends.settings.sections import AccountSettings, Train, Tune
from tests.backends.sagemaker_requests import allowed
from tests.cloud.conftest import BUCKET, IMAGE, ROLE, settings
from tests.cloud.searches import Trials, accuracy, photos, request, tuning_run
from tests.cloud.simulator.server import Simulator
from tuning.settings import SearchSettings

REGION = "eu-west-1"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return photos(tmp_path / "photos")


@pytest.fixture
def trials(cloud: Simulator) -> Trials:
    cloud.work = Trials()
    return cloud.work


def document(run: Run) -> dict[str, Any]:
    value = json.loads((run.ml / "output" / "data" / "tuning.json").read_text())
    assert isinstance(value, dict)
    return value


def test_the_whole_request(cloud: Simulator, trials: Trials, account: Account, data: Path, tmp_path: Path) -> None:
    run = tuning_run(tmp_path / "runs", request(data))
    job, place = resource_name(run, MAX_TUNING_NAME_LENGTH), account.run_location(run)
    tuning.search(account, run, request(data), CancelToken())
    (sent,) = cloud.requests("CreateHyperParameterTuningJob")
    allowed(sent)
    definition = sent["TrainingJobDefinition"]
    static = definition.pop("StaticHyperParameters")
    metrics = definition["AlgorithmSpecification"].pop("MetricDefinitions")
    channels = definition.pop("InputDataConfig")
    assert {"Name": "validation_accuracy", "Regex": r"validation_accuracy=([-+0-9.e]+);"} in metrics
    assert [each["ChannelName"] for each in channels] == ["training"]
    assert channels[0]["DataSource"]["S3DataSource"]["S3Uri"].startswith(f"s3://{BUCKET}/kennel/data/photos-")
    # What trials go without, and nothing of the search.
    assert static["epochs"] == "2"
    assert [static[name] for name in ("tensorboard", "debug", "profile", "export")] == [
        '"off"',
        '"off"',
        '"off"',
        '"none"',
    ]
    assert not {"lr", "batch_size"} & set(static)
    assert not [name for name in static if name.startswith("tune_")]
    assert sent == {
        "HyperParameterTuningJobName": job,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation_accuracy"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "ContinuousParameterRanges": [
                    {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
                ],
                "CategoricalParameterRanges": [{"Name": "batch_size", "Values": ["16", "32"]}],
                "IntegerParameterRanges": [],
            },
            "TrainingJobEarlyStoppingType": "Auto",
            "RandomSeed": 7,
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": f"{place.url}/output"},
            "HyperParameterTuningResourceConfig": {
                "InstanceCount": 1, "InstanceType": "ml.g4dn.xlarge", "VolumeSizeInGB": 50,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 14400},
        },
        "Tags": [
            {"Key": "kennel:run", "Value": resource_name(run)},
            {"Key": "kennel:kind", "Value": "tuning"},
        ],
    }  # fmt: skip


def test_what_a_search_leaves(
    cloud: Simulator, trials: Trials, account: Account, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = request(data)
    run = tuning_run(tmp_path / "runs", wanted)
    tuning.search(account, run, wanted, CancelToken())
    found = document(run)
    rates = [row["values"]["lr"] for row in found["trials"]]
    best = rates.index(min(rates)) + 1
    assert [row["number"] for row in found["trials"]] == [1, 2, 3, 4]
    assert [row["state"] for row in found["trials"]] == ["completed"] * 4
    assert [row["objective"] for row in found["trials"]] == [[accuracy(rate)] for rate in rates]
    assert {type(row["values"]["batch_size"]) for row in found["trials"]} == {int}
    assert found["best"] == best
    assert found["state"] == "completed"
    assert (found["sampler"], found["parallel"], found["trials_wanted"]) == ("tpe", 2, 4)
    row = found["trials"][best - 1]
    assert [each["epoch"] for each in row["epochs"]] == [1, 2]
    assert row["epochs"][1]["validation_accuracy"] == pytest.approx(accuracy(min(rates)) - 0.1)
    # Of the epoch that was kept, which isn't the last.
    assert row["metrics"]["validation_accuracy"] == pytest.approx(accuracy(min(rates)))
    assert found["hyperparameters"]["lr"] == min(rates)
    assert found["hyperparameters"]["export"] != "none"
    hyperparameters = json.loads((run.ml / "output" / "data" / "best-hyperparameters.json").read_text())
    assert float(hyperparameters["lr"]) == min(rates)
    trial = load_run(tmp_path / "runs" / f"search-trial-{best:03d}")
    assert (run.record["best"], row["run"]) == (trial.name, trial.name)
    assert (trial.status, trial.tuning, trial.record["trial"]) == ("completed", "search", best)
    assert trial.record["metrics"] == {"validation_accuracy": accuracy(min(rates))}
    assert trial.record["hyperparameters"]["export"] == "none"
    assert "loading data" in trial.log.read_text()
    assert (trial.ml / "output" / "data" / "metrics.jsonl").is_file()
    others = [each["run"] for each in found["trials"] if each["number"] != best]
    assert all(each.startswith(f"{resource_name(run, MAX_TUNING_NAME_LENGTH)}-00") for each in others)
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("trial ")]) == 4
    # Nothing that would go on, and nothing besides the jobs.
    assert {each.status for each in cloud.store} == {"Completed"}


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("full"), "failed"), (KeyboardInterrupt(), "stopped")])
def test_whatever_ends_the_fetching_of_the_best_trial_is_recorded(
    error: BaseException, status: str, cloud: Simulator, trials: Trials, account: Account, data: Path,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    wanted = request(data)
    run = tuning_run(tmp_path / "runs", wanted)

    def broken(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "fetch_results", broken)
        with pytest.raises(type(error)):
            tuning.search(account, run, wanted, CancelToken())
    best = load_run(tmp_path / "runs" / f"search-trial-{document(run)['best']:03d}")
    assert best.status == status
    tuning.search(account, run, wanted, CancelToken())
    best.reload()
    assert best.status == "completed"
    assert "reason" not in best.record


def test_a_second_start_goes_on_with_the_same_job(
    cloud: Simulator, trials: Trials, account: Account, data: Path, tmp_path: Path
) -> None:
    wanted = request(data)
    run = tuning_run(tmp_path / "runs", wanted)
    tuning.search(account, run, wanted, CancelToken())
    first = document(run)
    asked: list[Item] = []
    again = Account(account.settings, asked.extend)
    tuning.search(again, load_run(run.path), wanted, CancelToken())
    assert document(run)["trials"] == first["trials"]
    assert len(cloud.requests("CreateHyperParameterTuningJob")) == 1
    assert asked == []


def test_more_trials_for_a_job_that_is_there_are_refused(
    cloud: Simulator, trials: Trials, account: Account, data: Path, tmp_path: Path
) -> None:
    wanted = request(data)
    run = tuning_run(tmp_path / "runs", wanted)
    tuning.search(account, run, wanted, CancelToken())
    with pytest.raises(
        BackendError, match=r"has 4 trials, 2 at a time, .*\(wanted: 9, 2\); .*tune\.warm_start=kennel-"
    ):
        tuning.search(account, run, wanted.changed({"tune_trials": 9}), CancelToken())


def test_what_is_asked_consent_for(trials: Trials, account: Account, data: Path, tmp_path: Path) -> None:
    asked: list[Item] = []
    chosen = settings(train=Train(instance_type="ml.g5.xlarge", max_hours=2.0, spot=True))
    wanted = request(data, tune_trials=10)
    run = tuning_run(tmp_path / "runs", wanted)
    tuning.search(Account(chosen, asked.extend), run, wanted, CancelToken())
    job = resource_name(run, MAX_TUNING_NAME_LENGTH)
    assert asked[0] == Item(f"tuning job {job}: 10 training jobs, 2 at a time", "spot", "ml.g5.xlarge", 1, 20.0)
    assert [each.kind for each in asked[1:]] == ["storage"]
    limited = tuning.items(account, job, SearchSettings.of(request(data, tune_minutes=90).hyperparameters))
    assert (limited[0].hours, limited[0].kind) == (3.0, "training")


def test_nothing_is_made_without_consent(cloud: Simulator, data: Path, tmp_path: Path) -> None:
    def refuse(_items: object) -> None:
        raise Stopped("not consented")

    run = tuning_run(tmp_path / "runs", request(data))
    with pytest.raises(Stopped, match="not consented"):
        tuning.search(Account(settings(), refuse), run, request(data), CancelToken())
    assert cloud.changes() == []


def test_settings_reach_the_jobs(cloud: Simulator, trials: Trials, data: Path, tmp_path: Path) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    common = AccountSettings(
        region=REGION, role=ROLE, bucket=BUCKET, image=IMAGE, kms_key=key, subnets=("subnet-1a",),
        security_groups=("sg-1a",), network_isolation=True, encrypt_traffic=True, tags=(("team", "dogs"),),
    )  # fmt: skip
    chosen = settings(
        sagemaker=common, train=Train(instance_type="ml.m5.large", spot=True, max_hours=1.0, max_wait_hours=3.0,
                                      environment=(("A", "b"),)),
        tune=Tune(warm_start=("kennel-old-1",), warm_start_same=False, retries=2),
    )  # fmt: skip
    wanted = request(data, tune_pruner="hyperband", tune_minutes=30, tune_objective="validation_loss")
    run = tuning_run(tmp_path / "runs", wanted)
    tuning.search(Account(chosen, lambda _: None), run, wanted, CancelToken())
    (sent,) = cloud.requests("CreateHyperParameterTuningJob")
    allowed(sent)
    config, definition = sent["HyperParameterTuningJobConfig"], sent["TrainingJobDefinition"]
    assert config["Strategy"] == "Hyperband"
    # One more than epochs: the artifact's own values are told once more at the end.
    assert config["StrategyConfig"] == {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 3}}
    assert config["TrainingJobEarlyStoppingType"] == "Off"
    assert config["HyperParameterTuningJobObjective"] == {"Type": "Minimize", "MetricName": "validation_loss"}
    assert config["ResourceLimits"]["MaxRuntimeInSeconds"] == 1800
    assert sent["WarmStartConfig"] == {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "kennel-old-1"}],
        "WarmStartType": "TransferLearning",
    }
    assert sent["Tags"][0] == {"Key": "team", "Value": "dogs"}
    assert definition["EnableManagedSpotTraining"] is True
    assert "CheckpointConfig" not in definition
    assert definition["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 10800}
    assert definition["RetryStrategy"] == {"MaximumRetryAttempts": 2}
    assert definition["VpcConfig"] == {"Subnets": ["subnet-1a"], "SecurityGroupIds": ["sg-1a"]}
    assert definition["EnableNetworkIsolation"] is True
    assert definition["EnableInterContainerTrafficEncryption"] is True
    assert definition["OutputDataConfig"]["KmsKeyId"] == key
    assert definition["HyperParameterTuningResourceConfig"]["VolumeKmsKeyId"] == key
    assert definition["Environment"] == {"A": "b"}


def test_failed_trials_tell_why(cloud: Simulator, account: Account, data: Path, tmp_path: Path) -> None:
    cloud.work = Trials(fails=lambda rate: rate > 0.01)
    wanted = request(data, tune_trials=6)
    run = tuning_run(tmp_path / "runs", wanted)
    tuning.search(account, run, wanted, CancelToken())
    found = document(run)
    failed = [row for row in found["trials"] if row["state"] == "failed"]
    assert {row["values"]["lr"] > 0.01 for row in failed} == {True}
    assert found["counts"]["failed"] == len(failed) == 6 - found["counts"]["completed"]
    assert failed[0]["reason"] == "AlgorithmError: the loss is nan after step 3; lower lr, exit code: 2"


def test_a_search_in_which_all_trials_fail(cloud: Simulator, account: Account, data: Path, tmp_path: Path) -> None:
    cloud.work = Trials(fails=lambda _: True)
    run = tuning_run(tmp_path / "runs", request(data))
    with pytest.raises(
        BackendError,
        match=r"^all 4 trials failed; the first one: AlgorithmError: the loss is nan .*\(tuning job kennel-search-",
    ):
        tuning.search(account, run, request(data), CancelToken())
    assert document(run)["best"] is None
    assert not (tmp_path / "runs" / "search-trial-001").exists()


def test_a_wish_to_stop_stops_the_job_and_keeps_what_is_there(
    cloud: Simulator, trials: Trials, account: Account, data: Path, tmp_path: Path
) -> None:
    trials.go.clear()
    cancel = CancelToken()
    seen: list[int] = []

    def stop_with_the_second(call: Any) -> None:
        if call.operation == "ListTrainingJobsForHyperParameterTuningJob":
            seen.append(1)
            if len(seen) == 3:
                cancel.request()

    cloud.after = stop_with_the_second
    run = tuning_run(tmp_path / "runs", request(data))
    with pytest.raises(Stopped, match=r"^stopped after \d of 4 trials; .*-o tune\.warm_start=kennel-search-"):
        tuning.search(account, run, request(data), cancel)
    assert len(cloud.requests("StopHyperParameterTuningJob")) == 1
    assert document(run)["state"] == "stopped"
    assert {each.status for each in cloud.store} == {"Stopped"}
