"""The hyperparameter `rules`: its short form, SageMaker's JSON, and what is told of faults."""

import json
from pathlib import Path

import pytest

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters
from contract.paths import MLPaths
from contract.rules.profiler import PROFILER_RULES
from contract.rules.request import parse_rules
from contract.rules.tensor import TENSOR_RULES
from tests.train.support import configure, train
from train.job_config import read_job

DEFAULT_SET = [name for name, spec in TENSOR_RULES.items() if spec.on]


def sagemaker(rule: str, label: str = "", **parameters: str) -> dict[str, object]:
    """An entry as CreateTrainingJob takes it."""
    return {
        "RuleConfigurationName": label or rule,
        "RuleEvaluatorImage": "503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest",
        "InstanceType": "ml.t3.medium",
        "VolumeSizeInGB": 10,
        "RuleParameters": {"rule_to_invoke": rule, **parameters},
    }


def fault(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_rules(text)
    return str(caught.value)


def test_the_default_set_is_every_rule_that_is_on() -> None:
    found = parse_rules("default")
    assert [each.spec.name for each in found.tensor] == DEFAULT_SET
    assert [each.spec.name for each in found.profiler] == list(PROFILER_RULES)
    assert (len(found.tensor), len(found.profiler)) == (14, 11)
    assert all(each.parameters == each.spec.defaults() and not each.named for each in found.tensor)


def test_none_is_no_rule() -> None:
    found = parse_rules("none")
    assert (found.tensor, found.profiler, found.notes) == ([], [], [])


def test_named_rules_with_parameters_of_their_types() -> None:
    found = parse_rules("VanishingGradient, Overfit:ratio_threshold=0.3:patience=2 ,StepOutlier:stddev=3")
    overfit, vanishing = sorted(found.tensor, key=lambda each: each.spec.name)
    assert overfit.parameters == {"tensor_regex": "", "start_step": 0, "patience": 2, "ratio_threshold": 0.3}
    assert isinstance(overfit.parameters["patience"], int)
    assert vanishing.parameters == {"threshold": 1e-7, "tensor_regex": ""}
    assert [each.named for each in (overfit, vanishing)] == [True, True]
    (outlier,) = found.profiler
    assert (outlier.parameters["stddev"], outlier.parameters["n_outliers"]) == (3.0, 10)


def test_the_default_set_changed() -> None:
    found = parse_rules("default,-Overfit,-BatchSize,AllZero:threshold=90,Confusion")
    names = [each.spec.name for each in found.tensor]
    assert sorted(names) == sorted([*(set(DEFAULT_SET) - {"Overfit"}), "Confusion"])
    assert "BatchSize" not in [each.spec.name for each in found.profiler]
    by_name = {each.spec.name: each for each in found.tensor}
    assert by_name["AllZero"].parameters["threshold"] == 90.0
    assert [name for name in names if by_name[name].named] == ["AllZero", "Confusion"]


def test_colons_in_values_stay() -> None:
    (found,) = parse_rules("AllZero:tensor_regex=.*relu:0:threshold=50").tensor
    assert (found.parameters["tensor_regex"], found.parameters["threshold"]) == (".*relu:0", 50.0)
    (found,) = parse_rules("Overfit:action=run:LEVEL=3 notify --now:patience=2").tensor
    assert (found.action, found.parameters["patience"]) == ("run:LEVEL=3 notify --now", 2)


def test_what_happens_when_a_rule_fires() -> None:
    def action_on_fire(text: str, rule_action: str) -> list[str]:
        return [each.action_on_fire(rule_action) for each in parse_rules(text).tensor]

    # rule_action is for errors; a rule's own action goes before it, whatever its severity.
    assert action_on_fire("ExplodingTensor,Overfit", "stop") == ["stop", "report"]
    assert action_on_fire("ExplodingTensor:action=report,Overfit:action=finish", "stop") == ["report", "finish"]
    assert action_on_fire("StalledTrainingRule:stop_training_on_fire=true", "report") == ["stop"]
    assert action_on_fire("StalledTrainingRule", "finish") == ["finish"]


def test_profiler_report_is_all_profiler_rules_with_prefixed_parameters() -> None:
    found = parse_rules("ProfilerReport:CPUBottleneck_threshold=90:stepoutlier_stddev=3,Overfit")
    assert [each.spec.name for each in found.profiler] == list(PROFILER_RULES)
    by_name = {each.spec.name: each.parameters for each in found.profiler}
    assert (by_name["CPUBottleneck"]["threshold"], by_name["StepOutlier"]["stddev"]) == (90.0, 3.0)
    assert [each.spec.name for each in found.tensor] == ["Overfit"]
    assert "RULE_PARAMETER (StepOutlier_stddev), got 'stddev'" in fault("ProfilerReport:stddev=3")


def test_all_faults_at_once_with_hints() -> None:
    told = fault(
        "Overfitt,VanishingGradient:treshold=1,TensorVariance,AllZero:threshold=lots,default,Overfit:patience=0"
    )
    assert told == (
        "6 faults in rules: there is no rule 'Overfitt'; did you mean Overfit? | "
        "VanishingGradient has no parameter treshold; did you mean threshold? | "
        "TensorVariance needs max_threshold and min_threshold, which have no default | "
        "AllZero: threshold must be a number from 0 to 100, got 'lots' | "
        "default can't stand there; write default first, or none alone | "
        "Overfit: patience must be an integer of at least 1, got '0'"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("-Overfit", "rules: -Overfit leaves out a rule that isn't there; write default,-Overfit"),
        ("default,-Overfitting", "rules: there is no rule 'Overfitting'; did you mean Overfit?"),
        ("AllZero,AllZero", "rules: AllZero is given twice; give it once"),
        ("AllZero:threshold=1:threshold=2", "rules: AllZero: threshold is given twice; give it once"),
        ("Overfit:patience=1.5", "rules: Overfit: patience must be an integer of at least 1, got '1.5'"),
        ("ExplodingTensor:only_nan=maybe", "rules: ExplodingTensor: only_nan must be true or false, got 'maybe'"),
        ("Overfit:action=mail", "rules: Overfit: action must be report, stop, finish or run:COMMAND, got 'mail'"),
        ("nowhere.json", "rules: nowhere.json can't be read (No such file or directory); give the path"),
        ("[{]", "rules: the JSON can't be read (Expecting property name"),
        ("[7]", "rules: rule configuration 1 must be an object, got int"),
        ('{"DebugRuleConfigurations": {}}', ""),
        ('{"DebugRuleConfigurations": 7}', "rules: DebugRuleConfigurations must be a list, got int"),
        ('[{"RuleParameters": {}}]', "rules: a rule configuration needs RuleParameters with rule_to_invoke"),
    ],
)
def test_one_fault_is_one_sentence(text: str, told: str) -> None:
    if told:
        assert fault(text).startswith(told)
    else:
        assert parse_rules(text).tensor == []


def test_sagemakers_configurations_unchanged(tmp_path: Path) -> None:
    configurations = {
        "DebugRuleConfigurations": [
            sagemaker("VanishingGradient", threshold="1e-8", base_trial="s3://bucket/job/tensors"),
            sagemaker("Overfit", "strict", ratio_threshold="0.05"),
            sagemaker("Overfit", "lenient", ratio_threshold="0.5", scan_interval_us="1000"),
        ],
        "ProfilerRuleConfigurations": [sagemaker("StepOutlier", mode="None", stddev="3", scan_interval_us="60000000")],
    }
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(configurations))
    for found in (parse_rules(json.dumps(configurations)), parse_rules(str(file))):
        assert [(each.spec.name, each.label) for each in found.tensor] == [
            ("VanishingGradient", "VanishingGradient"),
            ("Overfit", "strict"),
            ("Overfit", "lenient"),
        ]
        assert [each.parameters.get("threshold", each.parameters.get("ratio_threshold")) for each in found.tensor] == [
            1e-8, 0.05, 0.5,
        ]  # fmt: skip
        (outlier,) = found.profiler
        assert outlier.parameters == {"stddev": 3.0, "mode": "", "n_outliers": 10, "scan_interval_us": 60_000_000}
    assert [each.spec.name for each in parse_rules(json.dumps(sagemaker("AllZero"))).tensor] == ["AllZero"]
    assert len(parse_rules(json.dumps([sagemaker("ProfilerReport")])).profiler) == len(PROFILER_RULES)


def test_the_sdks_actions() -> None:
    # Rule.sagemaker(..., actions=ActionList(StopTraining("job"), Email("a@b.c"))) serialises it like this.
    text = r"[{\"training_job_prefix\": \"job\", \"name\": \"stoptraining\"}, {\"name\": \"email\"}]"
    found = parse_rules(json.dumps([sagemaker("Overfit", action_json=text)]))
    assert found.tensor[0].action == "stop"
    assert found.notes == ["Overfit: its action email isn't there outside of SageMaker; run:COMMAND can send a message"]
    plain = json.dumps({"name": "stoptraining", "parameters": {}})
    assert parse_rules(json.dumps([sagemaker("Overfit", action_json=plain)])).tensor[0].action == "stop"
    assert "action_json knows stoptraining, email and sms, got {'name': 'fax'}" in fault(
        json.dumps([sagemaker("Overfit", action_json='[{"name": "fax"}]')])
    )


def test_rules_that_only_sagemaker_has_are_refused() -> None:
    own = {**sagemaker("MyRule"), "RuleParameters": {"rule_to_invoke": "MyRule", "source_s3_uri": "s3://b/rule.py"}}
    assert fault(json.dumps([own])).startswith(
        "rules: MyRule: own rules (source_s3_uri) can't run here; there is no rule"
    )
    assert "there is no rule 'SimilarAcrossRuns'" in fault(json.dumps([sagemaker("SimilarAcrossRuns")]))
    many = fault(json.dumps([sagemaker("Overfit")] * 21 + [sagemaker("StepOutlier")] * 20))
    assert many == "rules: there are 21 debugger rules, a job may have 20"


def test_in_a_jobs_configuration(tmp_path: Path) -> None:
    entries = [sagemaker("Overfit", ratio_threshold="0.3")]
    # As a JSON value, as the SDK writes a text, and as the tuner encodes that again.
    for given in (entries, json.dumps(entries), json.dumps(json.dumps(entries))):
        configure(tmp_path, {"rules": given})
        (request,) = read_job(MLPaths(tmp_path)).rules.tensor
        assert (request.spec.name, request.parameters["ratio_threshold"]) == ("Overfit", 0.3)
        chosen = Hyperparameters.parse({"rules": given})
        assert Hyperparameters.parse(chosen.to_json()) == chosen


def test_a_jobs_faults_are_told_together(tmp_path: Path) -> None:
    configure(
        tmp_path,
        {"lr": "-1", "rules": "Overfitt"},
        {"profilerconfig": {"ProfilingIntervalInMilliseconds": 1}, "resourceconfig": {"hosts": ["a", "b"]}},
    )
    with pytest.raises(ConfigError) as caught:
        read_job(MLPaths(tmp_path))
    told = str(caught.value)
    assert told.startswith("4 configuration faults: lr: must be a number above 0")
    for part in (
        "rules: there is no rule 'Overfitt'",
        "profilerconfig.json: ProfilingInterval",
        "current_host must be one of a, b",
    ):
        assert told.count(part) == 1


def test_faults_of_rules_are_told_before_anything_is_done(tmp_path: Path) -> None:
    result = train(tmp_path, rules="Overfitt,AllZero:treshold=1", debug="on", batch_size="0")
    result.fails_for_user(
        "2 configuration faults: batch_size", "there is no rule 'Overfitt'; did you mean Overfit?",
        "AllZero has no parameter treshold; did you mean threshold?",
    )  # fmt: skip
    assert result.out == ""
