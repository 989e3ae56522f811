"""A search as SageMaker's tuner takes it: the SDK's real classes, and the request that they make."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from backends.sagemaker.jobs.tuner_arguments import metric_definitions, static_hyperparameters, tuner_arguments
from contract.hyperparameters import Hyperparameters
from tests.backends.sagemaker_requests import REGION, allowed, breaches, client, service_model, session, settings
from tests.train.support import REPOSITORY
from tuning.settings import SearchSettings
from tuning.space import Categorical

ROLE = "arn:aws:iam::123456789012:role/kennel"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/kennel:1"


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What CreateHyperParameterTuningJob is asked, once botocore has built the request; nothing is sent."""
    found: list[dict[str, Any]] = []

    def keep(params: dict[str, Any], **_: object) -> None:
        found.append(params)

    event = "before-parameter-build.sagemaker.CreateHyperParameterTuningJob"
    client().meta.events.register(event, keep)
    arn = f"arn:aws:sagemaker:{REGION}:123456789012:hyper-parameter-tuning-job/kennel"
    with Stubber(client()) as stub:
        stub.add_response("create_hyper_parameter_tuning_job", {"HyperParameterTuningJobArn": arn})
        yield found
        stub.assert_no_pending_responses()
    client().meta.events.unregister(event, keep)


def fit(search: SearchSettings, *warm_start: str, same_data: bool = True) -> None:
    """As docs/tuning.md has it."""
    own = session()
    from sagemaker.estimator import Estimator
    from sagemaker.tuner import HyperparameterTuner

    estimator = Estimator(
        IMAGE, ROLE, 1, "ml.m5.xlarge", output_path="s3://bucket/out", sagemaker_session=own,
        hyperparameters={**static_hyperparameters(search)},
    )  # fmt: skip
    HyperparameterTuner(estimator, **tuner_arguments(search, warm_start, same_data)).fit(
        {"train": "s3://bucket/train"}, wait=False
    )


def test_the_check_of_requests_finds_breaches() -> None:
    shape = service_model().shape_for("HyperParameterTuningJobConfig")
    resources = {"MaxNumberOfTrainingJobs": 0, "MaxParallelTrainingJobs": 1, "MaxRuntimeInSeconds": 119}
    ranges = {"CategoricalParameterRanges": [{"Name": "lr", "Values": ["1"] * 31}]}
    wrong = {"Strategy": "Bayes", "ResourceLimits": resources, "ParameterRanges": ranges}
    assert breaches(wrong, shape) == [
        ".Strategy: Bayes",
        ".ResourceLimits.MaxNumberOfTrainingJobs: 0",
        ".ResourceLimits.MaxRuntimeInSeconds: 119",
        ".ParameterRanges.CategoricalParameterRanges[].Values: 31",
    ]
    parents = {"ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "a_b"}], "WarmStartType": "Same"}
    assert len(breaches(parents, service_model().shape_for("HyperParameterTuningJobWarmStartConfig"))) == 2


def test_a_whole_request(requests: list[dict[str, Any]]) -> None:
    ranges = (
        *("lr=0.001:0.1:log", "ema_decay=0.9:0.999:reverse_log", "mixup=0:1", "epochs=2:5", "image_size=64:256:log"),
        *("batch_size=16,32", "optimizer=adamw,sgd", "flip=0.5:0.5"),
    )
    chosen = {"tune_objective": "validation_loss", "tune_parallel": 4, "tune_minutes": 90, "seed": 7, "head": "mlp"}
    search = settings(tune_space=";".join(ranges), **chosen)
    fit(search, "first", "second-2")
    (request,) = requests
    config = allowed(request)["HyperParameterTuningJobConfig"]
    assert config.pop("ParameterRanges") == {
        "ContinuousParameterRanges": [
            {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Logarithmic"},
            {"Name": "ema_decay", "MinValue": "0.9", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"},
            {"Name": "mixup", "MinValue": "0.0", "MaxValue": "1.0", "ScalingType": "Linear"},
        ],
        "IntegerParameterRanges": [
            {"Name": "epochs", "MinValue": "2", "MaxValue": "5", "ScalingType": "Linear"},
            {"Name": "image_size", "MinValue": "64", "MaxValue": "256", "ScalingType": "Logarithmic"},
        ],
        "CategoricalParameterRanges": [
            {"Name": "batch_size", "Values": ["16", "32"]},
            {"Name": "optimizer", "Values": ["adamw", "sgd"]},
            {"Name": "flip", "Values": ["0.5"]},
        ],
    }
    assert config == {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "validation_loss"},
        "ResourceLimits": {
            "MaxNumberOfTrainingJobs": 20,
            "MaxParallelTrainingJobs": 4,
            "MaxRuntimeInSeconds": 90 * 60,
        },
        "TrainingJobEarlyStoppingType": "Auto",
        "RandomSeed": 7,
    }
    parents = request["WarmStartConfig"].pop("ParentHyperParameterTuningJobs")
    assert {each["HyperParameterTuningJobName"] for each in parents} == {"first", "second-2"}
    assert request["WarmStartConfig"] == {"WarmStartType": "IdenticalDataAndAlgorithm"}
    definition = request["TrainingJobDefinition"]
    assert definition["AlgorithmSpecification"] == {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "MetricDefinitions": metric_definitions(),
    }
    assert definition["StaticHyperParameters"] == static_hyperparameters(search)


@pytest.mark.parametrize(
    ("chosen", "strategy", "early"),
    [
        ({}, "Bayesian", "Auto"),
        ({"tune_sampler": "random"}, "Random", "Auto"),
        ({"tune_pruner": "none"}, "Bayesian", "Off"),
        # Nothing can be stopped early by what is known at the end.
        ({"tune_objective": "average test loss"}, "Bayesian", "Off"),
    ],
)
def test_strategies(requests: list[dict[str, Any]], chosen: dict[str, str], strategy: str, early: str) -> None:
    fit(settings(**chosen))
    (request,) = requests
    config = allowed(request)["HyperParameterTuningJobConfig"]
    assert (config["Strategy"], config["TrainingJobEarlyStoppingType"]) == (strategy, early)
    assert "StrategyConfig" not in config
    assert "MaxRuntimeInSeconds" not in config["ResourceLimits"]
    assert "WarmStartConfig" not in request


@pytest.mark.parametrize(
    ("chosen", "resources"),
    [
        # As many values as the longest job has epochs, and one of the artifact.
        ({"tune_space": "epochs=2:5; lr=0.1,1"}, 6),
        ({"tune_space": "epochs=3,27,9"}, 28),
        ({"tune_space": "lr=0.01:0.1", "epochs": 8}, 9),
    ],
)
def test_hyperband(requests: list[dict[str, Any]], chosen: dict[str, object], resources: int) -> None:
    fit(settings(tune_pruner="hyperband", tune_sampler="random", **chosen), "first", same_data=False)
    (request,) = requests
    config = allowed(request)["HyperParameterTuningJobConfig"]
    assert config["Strategy"] == "Hyperband"
    assert config["StrategyConfig"] == {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": resources}}
    assert config["TrainingJobEarlyStoppingType"] == "Off"
    assert request["WarmStartConfig"]["WarmStartType"] == "TransferLearning"


def test_jobs_at_a_time_are_no_more_than_jobs(requests: list[dict[str, Any]]) -> None:
    fit(settings(tune_trials=2, tune_parallel=8))
    limits = allowed(requests[0])["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2}


def test_a_job_gets_every_hyperparameter_from_one_of_the_two_sides() -> None:
    for preset in ("default", "wide"):
        search = settings(tune_space=preset, lr="0.5", head="mlp", rules="none", seed=3)
        static = static_hyperparameters(search)
        table = {name for name in Hyperparameters().to_json() if not name.startswith("tune_")}
        assert set(static) | set(search.space.names) == table
        assert not set(static) & set(search.space.names)
        # The most that SageMaker takes is 100, one of which is the objective's name.
        assert len(table) < 100
        # What a job of the tuner trains with: its own values, and what was set for all.
        sent = {each.name: str(each.values[0] if isinstance(each, Categorical) else each.high)
                for each in search.space.parameters}  # fmt: skip
        received = Hyperparameters.parse({**static, **sent, "_tuning_objective_metric": '"validation_accuracy"'})
        assert received == Hyperparameters.parse({**search.base.to_json(), **sent})
        assert (received.tune_trials, received.seed, received.rules) == (0, 3, "none")


def test_the_documented_example(requests: list[dict[str, Any]]) -> None:
    page = (REPOSITORY / "docs" / "tuning.md").read_text().split("\n## SageMaker's tuner\n", 1)[1]
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example, {"image": IMAGE, "role": ROLE, "session": session()})
    request = allowed(requests[0])
    assert request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxParallelTrainingJobs"] == 4
    assert request["TrainingJobDefinition"]["StaticHyperParameters"]["freeze"] == '"backbone"'
    assert {each["ChannelName"] for each in request["TrainingJobDefinition"]["InputDataConfig"]} == {"train", "valid"}
