"""What SageMaker's tuner would refuse is told before, all at once; and so is an SDK that has no tuner."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.sagemaker.jobs import tuner_arguments as tuner
from backends.sagemaker.jobs.tuner_arguments import tuner_arguments
from contract.metrics import METRICS
from tests.backends.sagemaker_requests import service_model, settings
from tests.train.support import REPOSITORY
from tuning.objective import Objective
from tuning.settings import SearchSettings
from tuning.space import Continuous, Space

INSTEAD = "use validation_accuracy, say, or tune_pruner=none"
LONG = '[{"RuleConfiguration": "' + "x" * 2500 + '"}]'
MANY = Space(tuple(Continuous(f"h{number}", 0, 1) for number in range(31)))


def refused(search: SearchSettings, *warm_start: str) -> str:
    with pytest.raises(BackendError) as caught:
        tuner_arguments(search, warm_start)
    return str(caught.value)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        (
            settings(tune_objective="validation_accuracy,epoch_seconds"),
            "SageMaker's tuner has one objective, got validation_accuracy, epoch_seconds; name one",
        ),
        (
            replace(settings(), objectives=(Objective("f1", True),)),
            "f1: train prints no such metric, and the tuner reads the log; choose another objective",
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
    wished = settings(tune_trials=0, tune_minutes=1, tune_pruner="hyperband")
    search = replace(wished, objectives=(Objective("f1", True),))
    message = refused(search, "-")
    assert message.startswith("5 tuner faults: f1: ")
    assert "\n" not in message
    assert [each.split(":")[0] for each in message.split(" | ")[1:]] == [
        *("tune_pruner", "tune_trials", "tune_minutes", "warm start"),
    ]


def test_the_limits_are_the_service_models() -> None:
    def limit(shape: str, which: str) -> object:
        return service_model().shape_for(shape).metadata[which]

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
        hide + "from backends.sagemaker.jobs.tuner_arguments import parameter_ranges\n"
        "from backends.errors import BackendError\n"
        "from tuning.space import Space\n"
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
            "SageMaker's SDK 3.1.0 has no Estimator, which version 2 has; pip install 'sagemaker>=2.257,<3'",
        ),
    ],
)
def test_no_sdk_is_one_sentence(tmp_path: Path, version: str | None, told: str) -> None:
    assert in_python(tmp_path, version) == told


def test_a_broken_sdk_is_one_sentence(tmp_path: Path) -> None:
    told = in_python(tmp_path, "2.1.0")
    assert re.fullmatch(r"SageMaker's SDK 2\.1\.0 can't be imported \(.+\); pip install 'sagemaker>=2\.257,<3'", told)
