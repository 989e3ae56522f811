"""SageMaker's own Debugger: what a job asks of it, what happens where there is none, and what its rules said."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.settings.sections import Train
from cli.reports import print_rules, run_documents
from tests.cloud.conftest import BUCKET, settings
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.trainings import leave, trained

NO_DEBUGGER = "Amazon SageMaker Debugger is not available to new customers"
REDUCED = {"reductions": "min,max,mean,std,variance,abs_mean,l2_norm"}


@pytest.fixture(autouse=True)
def artifact(prepared: Prepared, tmp_path: Path) -> None:
    leave(prepared, tmp_path / "left")


def asked(cloud: Simulator, folder: Path, **chosen: Any) -> list[dict[str, Any]]:
    """The requests of one training with such settings of [train]."""
    trained(Account(settings(train=Train(**chosen)), lambda _items: None), folder)
    return cloud.requests("CreateTrainingJob")


def of_debugger(request: dict[str, Any]) -> set[str]:
    return {key for key in request if key.startswith(("Debug", "Profiler", "TensorBoard"))}


def test_rules_by_name_and_the_collections_they_read(cloud: Simulator, tmp_path: Path) -> None:
    names = ("vanishing_gradient", "Overfit", "LossNotDecreasing", "PoorWeightInitialization", "LowGPUUtilization")
    (request,) = asked(cloud, tmp_path, debugger_rules=names, profiler_interval_ms=1000)
    image = "929884845733.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-debugger-rules:latest"
    assert request["DebugRuleConfigurations"] == [
        {"RuleConfigurationName": name, "RuleEvaluatorImage": image, "RuleParameters": {"rule_to_invoke": name}}
        for name in ("VanishingGradient", "Overfit", "LossNotDecreasing", "PoorWeightInitialization")
    ]
    assert [
        (each["RuleConfigurationName"], each["RuleParameters"]["rule_to_invoke"])
        for each in request["ProfilerRuleConfigurations"]
    ] == [("ProfilerReport", "ProfilerReport"), ("LowGPUUtilization", "LowGPUUtilization")]
    assert request["ProfilerConfig"]["ProfilingIntervalInMilliseconds"] == 1000
    hook = request["DebugHookConfig"]
    assert hook["S3OutputPath"].startswith(f"s3://{BUCKET}/kennel/runs/kennel-first-")
    assert hook["HookParameters"] == {"train.save_interval": "100", "eval.save_interval": "10"}
    # Whole gradients and inputs of ReLUs, for rules that want them; the rest as Kennel's own rules read it. Each once.
    assert sorted(hook["CollectionConfigurations"], key=lambda each: str(each["CollectionName"])) == [
        {"CollectionName": "biases", "CollectionParameters": REDUCED},
        {"CollectionName": "gradients"},
        {"CollectionName": "input_means"},
        {"CollectionName": "labels"},
        {"CollectionName": "losses", "CollectionParameters": {"train.save_interval": "10"}},
        {"CollectionName": "predictions"},
        {"CollectionName": "relu_active_share"},
        {"CollectionName": "relu_input", "CollectionParameters": {"include_regex": ".*relu_input"}},
        {"CollectionName": "update_ratios"},
        {"CollectionName": "weights", "CollectionParameters": REDUCED},
    ]


def test_training_understands_what_it_is_given(cloud: Simulator, tmp_path: Path) -> None:
    from contract.debugger import HookLocation, Schedule
    from monitor.debugger.creation import create

    (request,) = asked(cloud, tmp_path, debugger_rules=("VanishingGradient", "DeadRelu"))
    config = tmp_path / "debughookconfig.json"
    config.write_text(json.dumps({**request["DebugHookConfig"], "LocalPath": "/opt/ml/output/tensors"}))
    hook = create(HookLocation(tmp_path / "tensors", config), Schedule(100, 2, 3))
    found = hook.collection_manager.get_collections()
    assert found["weights"].reduction_config.abs_reductions == ["mean"]
    assert found["gradients"].reduction_config is None
    assert found["relu_output"].include_regex == [".*relu_output"]
    assert found["update_ratios"].include_regex == ["^update_ratio/"]


@pytest.mark.parametrize(
    ("chosen", "there"),
    [
        ({"debugger": "off"}, {"ProfilerConfig", "ProfilerRuleConfigurations", "TensorBoardOutputConfig"}),
        ({"profiler": "off"}, {"DebugHookConfig", "ProfilerConfig", "TensorBoardOutputConfig"}),
        ({"debugger": "off", "profiler": "off", "debugger_rules": ("Overfit", "CPUBottleneck")},
         {"ProfilerConfig", "TensorBoardOutputConfig"}),
    ],
)  # fmt: skip
def test_switched_off(cloud: Simulator, tmp_path: Path, chosen: dict[str, Any], there: set[str]) -> None:
    (request,) = asked(cloud, tmp_path, **chosen)
    assert of_debugger(request) == there
    off = chosen.get("profiler") == "off"
    assert request["ProfilerConfig"]["DisableProfiler"] is off


def test_an_account_without_it_goes_on_without_it(
    cloud: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.fail(
        "CreateTrainingJob", "ValidationException", NO_DEBUGGER, times=9,
        when=lambda request: "DebugHookConfig" in request or "ProfilerRuleConfigurations" in request,
    )  # fmt: skip
    first, second = asked(cloud, tmp_path, debugger_rules=("Overfit",))
    assert of_debugger(first) == {
        "DebugHookConfig", "DebugRuleConfigurations", "ProfilerConfig", "ProfilerRuleConfigurations",
        "TensorBoardOutputConfig",
    }  # fmt: skip
    assert of_debugger(second) == {"ProfilerConfig", "TensorBoardOutputConfig"}
    assert second["ProfilerConfig"] == {"DisableProfiler": True}
    told = capsys.readouterr().out
    assert told.count("this account has no SageMaker's Debugger") == 1
    assert f"({NO_DEBUGGER}); Kennel's own rules and profiler do its work" in told


def test_neither_curves_nor_tensors_where_both_are_refused(cloud: Simulator, tmp_path: Path) -> None:
    cloud.fail(
        "CreateTrainingJob", "ValidationException", NO_DEBUGGER, times=9,
        when=lambda request: "TensorBoardOutputConfig" in request,
    )  # fmt: skip
    *_, last = asked(cloud, tmp_path)
    assert len(cloud.requests("CreateTrainingJob")) == 3
    assert of_debugger(last) == {"ProfilerConfig"}


def test_only_the_profiler_is_refused(cloud: Simulator, tmp_path: Path) -> None:
    cloud.fail("CreateTrainingJob", "ValidationException", "ProfilerRuleConfigurations is not supported")
    _, second = asked(cloud, tmp_path)
    assert of_debugger(second) == {"DebugHookConfig", "ProfilerConfig", "TensorBoardOutputConfig"}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"debugger": "on"}, NO_DEBUGGER),
        ({"profiler": "on"}, "ProfilerConfig is not supported"),
        ({}, "1 validation error detected: the image's name is too long"),
    ],
)
def test_other_refusals_are_errors(cloud: Simulator, tmp_path: Path, chosen: dict[str, Any], message: str) -> None:
    cloud.fail("CreateTrainingJob", "ValidationException", message, times=9)
    with pytest.raises(BackendError, match=r"^starting training job kennel-first-\w{6}: .*"):
        asked(cloud, tmp_path, **chosen)
    assert len(cloud.requests("CreateTrainingJob")) == 1


def test_what_its_rules_said_is_in_the_table(
    cloud: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.rule_statuses = {"Overfit": "IssuesFound", "AllZero": "InProgress"}
    chosen = Train(debugger_rules=("Overfit", "AllZero"))
    run = trained(Account(settings(train=chosen), lambda _items: None), tmp_path)
    told = capsys.readouterr().out
    assert "1 of SageMaker's rules are still judging; python deploy.py attach first asks them again" in told
    print_rules(run_documents(run))
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[1][:3] == ["SageMaker's", "Overfit", "IssuesFound"]
    assert ["SageMaker's", "AllZero", "InProgress"] in table
    assert ["SageMaker's", "ProfilerReport", "NoIssuesFound"] in table


def test_a_region_that_never_had_it(cloud: Simulator, tmp_path: Path) -> None:
    from backends.sagemaker.jobs.debugger import Observers

    there = replace(settings().sagemaker, region="us-iso-east-1")
    wanted = Observers.wanted(Account(settings(sagemaker=there), lambda _items: None))
    assert wanted == Observers(debugger=False, profiler=False, tensorboard=False)
