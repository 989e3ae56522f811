"""A search as SageMaker's tuner takes it: the SDK's real classes, the request it makes, and what is refused before."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from backends import tuner
from backends.errors import BackendError
from backends.tuner import metric_definitions, static_hyperparameters, tuner_arguments
from tests.train.support import REPOSITORY, Finished, make_classes, train
from train.config import Hyperparameters
from train.metrics import METRICS
from train.search.objective import parse_objectives
from train.search.settings import SearchSettings
from train.search.space import Categorical, Continuous, Space
from train.search.study import Search

REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/kennel"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/kennel:1"
CLIENT = boto3.client("sagemaker", region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none")
MODEL = CLIENT.meta.service_model


def settings(**chosen: object) -> SearchSettings:
    return SearchSettings.of(Hyperparameters.parse({"tune_trials": 20, **chosen}))


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What CreateHyperParameterTuningJob is asked, once botocore has built the request; nothing is sent."""
    found: list[dict[str, Any]] = []

    def keep(params: dict[str, Any], **_: object) -> None:
        found.append(params)

    event = "before-parameter-build.sagemaker.CreateHyperParameterTuningJob"
    CLIENT.meta.events.register(event, keep)
    arn = f"arn:aws:sagemaker:{REGION}:123456789012:hyper-parameter-tuning-job/kennel"
    with Stubber(CLIENT) as stub:
        stub.add_response("create_hyper_parameter_tuning_job", {"HyperParameterTuningJobArn": arn})
        yield found
        stub.assert_no_pending_responses()
    CLIENT.meta.events.unregister(event, keep)


def session() -> Any:
    tuner._sdk("tuner")  # the first import of the SDK has warnings
    from sagemaker.session import Session

    boto_session = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name=REGION)
    return Session(boto_session=boto_session, sagemaker_client=CLIENT, default_bucket="bucket")


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


def breaches(value: Any, shape: Any, where: str = "") -> list[str]:
    """Where a request is not what the service model allows: lengths, limits, patterns, enumerations.

    botocore itself checks names, types and least lengths, no more.
    """
    limits = shape.metadata
    size = value if shape.type_name in ("integer", "float") else len(value) if hasattr(value, "__len__") else 0
    found = [] if limits.get("min", size) <= size <= limits.get("max", size) else [f"{where}: {size}"]
    if shape.type_name == "structure":
        return found + [each for key in value for each in breaches(value[key], shape.members[key], f"{where}.{key}")]
    if shape.type_name == "list":
        return found + [each for item in value for each in breaches(item, shape.member, f"{where}[]")]
    if shape.type_name == "map":
        found += [each for key in value for each in breaches(key, shape.key, f"{where} key")]
        return found + [each for item in value.values() for each in breaches(item, shape.value, f"{where} value")]
    if shape.type_name == "string":
        if "enum" in limits and value not in limits["enum"]:
            found.append(f"{where}: {value}")
        # \p{Alnum} is Java's.
        if not re.fullmatch(limits.get("pattern", ".*").replace(r"\p{Alnum}", "a-zA-Z0-9"), value):
            found.append(f"{where}: {value}")
    return found


def allowed(request: dict[str, Any]) -> dict[str, Any]:
    """The request, which the service model allows."""
    assert breaches(request, MODEL.shape_for("CreateHyperParameterTuningJobRequest")) == []
    return request


def test_the_check_of_requests_finds_breaches() -> None:
    shape = MODEL.shape_for("HyperParameterTuningJobConfig")
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
    assert len(breaches(parents, MODEL.shape_for("HyperParameterTuningJobWarmStartConfig"))) == 2


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


def refused(search: SearchSettings, *warm_start: str) -> str:
    with pytest.raises(BackendError) as caught:
        tuner_arguments(search, warm_start)
    return str(caught.value)


INSTEAD = "use validation_accuracy, say, or tune_pruner=none"
LONG = '[{"RuleConfiguration": "' + "x" * 2500 + '"}]'
MANY = Space(tuple(Continuous(f"h{number}", 0, 1) for number in range(31)))


@pytest.mark.parametrize(
    ("search", "told"),
    [
        (
            settings(tune_objective="validation_accuracy,epoch_seconds"),
            "SageMaker's tuner has one objective, got validation_accuracy, epoch_seconds; name one",
        ),
        (
            settings(tune_objective="latency_ms"),
            "latency_ms: train prints no such metric, and the tuner reads the log; choose another objective",
        ),
        (
            settings(tune_objective="test_loss", tune_pruner="hyperband"),
            f"tune_pruner: hyperband needs an objective that every epoch has a value of, got test_loss; {INSTEAD}",
        ),
        (
            replace(settings(), space=MANY),
            "SageMaker's tuner varies at most 30 hyperparameters, got 31; set some of them for all trials",
        ),
        (
            settings(tune_space="epochs=" + ",".join(map(str, range(1, 32)))),
            "epochs: SageMaker's tuner takes lists of at most 30 values, got 31; give fewer, or a range",
        ),
        (settings(tune_trials=0), "tune_trials: SageMaker's tuner needs at least 1, got 0"),
        (settings(tune_minutes=1), "tune_minutes: SageMaker's tuner runs for at least 2, got 1; 0 sets no limit"),
        (
            replace(settings(), sampler="grid"),
            "tune_sampler: must be tpe or random for SageMaker's tuner, got grid",
        ),
        (
            settings(rules=LONG),
            # 2500, 27 around them, a backslash before each of 4 quotes, and a quote at each end.
            "rules: SageMaker takes at most 2500 characters, got 2533; put it into a file of a channel and name that",
        ),
    ],
)
def test_what_the_tuner_would_refuse(search: SearchSettings, told: str) -> None:
    assert refused(search) == told


def test_parents_that_cannot_be() -> None:
    assert refused(settings(), "a_b") == (
        "warm start: 'a_b' can't be a tuning job's name (letters, digits and hyphens, at most 32)"
    )
    assert refused(settings(), *"abcdef") == "warm start: at most 5 former tuning jobs, got 6"
    assert tuner_arguments(settings(), [*"abcde", "a"])["warm_start_config"].parents == set("abcde")


def test_all_is_refused_at_once() -> None:
    search = settings(tune_trials=0, tune_minutes=1, tune_objective="latency_ms", tune_pruner="hyperband")
    message = refused(search, "-")
    assert message.startswith("5 tuner faults: latency_ms: ")
    assert "\n" not in message
    assert [each.split(":")[0] for each in message.split(" | ")[1:]] == [
        *("tune_pruner", "tune_trials", "tune_minutes", "warm start"),
    ]


def test_the_limits_are_the_service_models() -> None:
    def limit(shape: str, which: str) -> object:
        return MODEL.shape_for(shape).metadata[which]

    ranges = ("ContinuousParameterRanges", "IntegerParameterRanges", "CategoricalParameterRanges")
    assert {limit(shape, "max") for shape in ranges} == {tuner.MOST_RANGES}
    assert limit("ParameterValues", "max") == tuner.MOST_VALUES
    assert limit("ParentHyperParameterTuningJobs", "max") == tuner.MOST_PARENTS
    assert limit("HyperParameterTuningJobName", "pattern") == tuner.JOB_NAME
    assert limit("HyperParameterTuningMaxRuntimeInSeconds", "min") == tuner.LEAST_SECONDS
    assert limit("HyperParameterValue", "max") == tuner.LONGEST_VALUE
    assert len(METRICS) <= limit("MetricDefinitionList", "max")  # type: ignore[operator]
    # The longest search that the table allows.
    assert limit("HyperParameterTuningMaxRuntimeInSeconds", "max") >= 100_000 * 60  # type: ignore[operator]


def test_the_documented_example(requests: list[dict[str, Any]]) -> None:
    page = (REPOSITORY / "docs" / "tuning.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example, {"image": IMAGE, "role": ROLE, "session": session()})
    request = allowed(requests[0])
    assert request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxParallelTrainingJobs"] == 4
    assert request["TrainingJobDefinition"]["StaticHyperParameters"]["freeze"] == '"backbone"'
    assert {each["ChannelName"] for each in request["TrainingJobDefinition"]["InputDataConfig"]} == {"train", "valid"}


def found(log: str) -> dict[str, list[float]]:
    """What SageMaker reads from a log by the tuner's metric definitions."""
    return {each["Name"]: [float(value) for value in re.findall(each["Regex"], log)] for each in metric_definitions()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A job that the tuner started, with test data."""
    root = tmp_path_factory.mktemp("tuned")
    for number, name in enumerate(("train", "valid", "test")):
        make_classes(root / "input" / "data" / name, 4, seed=100 * number)
    search = settings(tune_space="lr=0.01:0.1; batch_size=4,8", pretrained="none", image_size=32, device="cpu",
                      tensorboard="off", export="none", debug="off", profile="off", epochs=2)  # fmt: skip
    sent = {"lr": "0.0316", "batch_size": "8", "_tuning_objective_metric": "validation_accuracy"}
    job = train(root, **{**static_hyperparameters(search), **sent})  # type: ignore[arg-type]
    assert job.code == 0, job.err
    return job


def test_every_definition_finds_its_values_in_a_real_log(trained: Finished) -> None:
    values = found(trained.out)
    assert tuple(values) == METRICS
    for name in METRICS:
        expected = [row[name] for row in trained.metrics if name in row]
        if name in METRICS[:6]:
            assert len(expected) == 2
            expected.append(trained.manifest["metrics"][name])
        else:
            assert len(expected) == 1
        assert values[name] == pytest.approx(expected, abs=5e-7)


def test_no_line_of_a_search_is_a_metric(tmp_path: Path, trained: Finished) -> None:
    """The real lines of trials that ended in every way, whose reasons and names do what they can to look like one."""
    lines: list[str] = []
    search = settings(tune_space="lr=0.001:0.1:log; optimizer=adamw,sgd; label_smoothing=0:0.5", tune_pruner="none")
    objectives = parse_objectives("validation_loss,test_loss,latency_ms")
    study = Search(tmp_path / "study.journal", replace(search, objectives=objectives), lines.append)
    epoch, test = trained.metrics[0], trained.metrics[-1]
    for number in range(1, 4):
        trial = study.ask()
        assert trial is not None
        assert trial.number == number
        study.report(number, 1, epoch)
        if number == 1:
            study.complete(number, {**epoch, **test, "latency_ms": 1.25}, 0.5)
        elif number == 2:
            study.prune(number, 0.5)
        else:
            study.fail(number, "train_loss=1.5; validation_accuracy=0.5;", 0.5)
    study.close()
    assert len(lines) == 3
    assert found("\n".join(lines)) == {name: [] for name in METRICS}


def in_python(folder: Path, version: str | None) -> str:
    """What a process says that finds this version of the SDK, or none."""
    if version:
        (folder / "sagemaker").mkdir()
        (folder / "sagemaker" / "__init__.py").write_text("")
        (folder / f"sagemaker-{version}.dist-info").mkdir()
        (folder / f"sagemaker-{version}.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: sagemaker\nVersion: {version}\n"
        )
    hide = "" if version else (
        "import sys, importlib.metadata as m\n"
        "sys.modules['sagemaker'] = None\n"
        "def none(name): raise m.PackageNotFoundError(name)\n"
        "m.version = none\n"
    )  # fmt: skip
    code = (
        hide + "from backends.tuner import parameter_ranges\nfrom backends.errors import BackendError\n"
        "from train.search.space import Space\n"
        "try: parameter_ranges(Space.parse('default'))\nexcept BackendError as error: print(error)"
    )
    path = f"{folder}{os.pathsep}{REPOSITORY}"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert answer.stderr == ""
    return answer.stdout.strip()


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (None, "SageMaker's SDK isn't installed; pip install 'sagemaker>=2.257,<3'"),
        (
            "3.1.0",
            "SageMaker's SDK 3.1.0 has no HyperparameterTuner, which version 2 has; pip install 'sagemaker>=2.257,<3'",
        ),
    ],
)
def test_no_sdk_is_one_sentence(tmp_path: Path, version: str | None, told: str) -> None:
    assert in_python(tmp_path, version) == told


def test_a_broken_sdk_is_one_sentence(tmp_path: Path) -> None:
    told = in_python(tmp_path, "2.1.0")
    assert re.fullmatch(r"SageMaker's SDK 2\.1\.0 can't be imported \(.+\); pip install 'sagemaker>=2\.257,<3'", told)
