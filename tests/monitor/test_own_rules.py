"""Rules of one's own, named as module:class wherever rules are named."""

import json
from pathlib import Path

import pytest

from contract.errors import ConfigError
from contract.rules.request import parse_rules
from contract.rules.verdict import Outcome
from monitor.debugger import engine
from monitor.debugger.engine import TensorRuleEngine
from monitor.profiler.engine import analyse
from tests.train.profiles import sample, steps, write_job
from tests.train.saved_steps import Folder, losses

OWN = "tests.monitor.own"


def test_a_tensor_rule_of_ones_own_judges_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = type("Made", (Folder,), {"steps": losses(0.5, 2.5, 3.0)})
    monkeypatch.setattr(engine, "Tensors", folder)
    lines: list[str] = []
    selection = parse_rules(f"LossNotDecreasing,{OWN}:LossAbove:limit=2:action=stop")
    assert selection.profiler == []
    assert [request.spec.name for request in selection.tensor] == ["LossNotDecreasing", "LossAbove"]
    assert selection.tensor[1].action_on_fire("report") == "stop"
    rules = TensorRuleEngine("folder", selection.tensor, lines.append)
    fired = rules.last()
    assert [run.verdict.spec.name for run in fired] == ["LossAbove"]
    document = rules.finish(Outcome(True))
    (verdict,) = (rule for rule in document["rules"] if rule["name"] == "LossAbove")
    assert (verdict["status"], verdict["parameters"], verdict["recommendation"]) == (
        "IssuesFound", {"limit": 2.0}, "Lower lr.",
    )  # fmt: skip
    assert "LossAbove: IssuesFound (step 10: the loss is 2.5)" in lines


def test_a_profiler_rule_of_ones_own_judges_the_recording(tmp_path: Path) -> None:
    configuration = {
        "RuleConfigurationName": "Sampled",
        "RuleParameters": {"rule_to_invoke": f"{OWN}:SamplesAtLeast", "count": "10"},
    }
    selection = parse_rules(json.dumps([configuration]))
    assert selection.tensor == []
    job = write_job(tmp_path, [sample(index) for index in range(20)], steps=steps(3))
    (verdict,) = analyse(job, selection.profiler, {"completed": True, "reason": None})["rules"]
    assert (verdict["name"], verdict["status"], verdict["parameters"]) == (
        "SamplesAtLeast", "IssuesFound", {"count": 10},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no.such.module:Rule", "the rule 'no.such.module:Rule' can't be loaded (ModuleNotFoundError: No module named"),
        (f"{OWN}:Nothing", f"the rule '{OWN}:Nothing' can't be loaded: {OWN} has no attribute Nothing"),
        (f"{OWN}:NUMBER", f"the rule '{OWN}:NUMBER' is no subclass of TensorRule or ProfilerRule"),
        (f"{OWN}:Undeclared", f"the rule '{OWN}:Undeclared' has no RuleSpec as its attribute spec"),
        (f"{OWN}:Namesake", f"the rule '{OWN}:Namesake' is called Overfit as one of Kennel's"),
        (f"{OWN}:", f"the rule '{OWN}:' must be named as module:attribute"),
        (f"{OWN}:LossAbove:limt=2", f"{OWN}:LossAbove has no parameter limt; did you mean limit?"),
        (f"{OWN}:LossAbove:limit=-1", f"{OWN}:LossAbove: limit must be a number of at least 0, got '-1'"),
    ],
)
def test_a_wrong_name_is_refused_in_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_rules(name)
    assert str(error.value).startswith(f"rules: {sentence}")


def test_a_rule_and_its_copy_with_other_parameters_are_given_once() -> None:
    with pytest.raises(ConfigError, match="is given twice"):
        parse_rules(f"{OWN}:LossAbove:limit=2,{OWN}:LossAbove")
