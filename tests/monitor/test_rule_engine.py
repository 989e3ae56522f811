"""The judge, on steps and rules made by hand."""

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from contract.files import encode_json
from contract.hyperparameters import Hyperparameters
from contract.rules.request import RuleRequest, parse_rules
from contract.rules.verdict import Finding, Outcome
from monitor import rules
from monitor.debugger import engine as module
from monitor.debugger.engine import Background, TensorRuleEngine, described
from monitor.debugger.rules.base import Step, TensorRule
from tests.train.saved_steps import DOCUMENT_KEYS, Folder, losses

DEFAULTS = asdict(Hyperparameters())


class LossAbove(TensorRule):
    """Overfit's place: fires at every loss above its threshold."""

    def judge(self, step: Step) -> list[Finding] | None:
        found = step.names("losses")
        if not found:
            return None
        loss = step.reduction(found[0], "mean")
        assert loss is not None
        above = loss > self.parameters["ratio_threshold"]
        return [Finding(f"the loss is {loss:g}", loss, step.number, step.mode, step.mode_step)] if above else []

    def needs(self) -> str:
        return "losses (collection losses)"


class Never(LossAbove):
    def judge(self, step: Step) -> list[Finding] | None:
        return None


class Broken(LossAbove):
    def judge(self, step: Step) -> list[Finding] | None:
        raise RuntimeError("no such\ntensor")


class Stalled(LossAbove):
    def judge(self, step: Step) -> list[Finding] | None:
        return []

    def idle(self, seconds: float) -> list[Finding]:
        return [Finding("no step came")] if seconds >= self.parameters["threshold"] else []


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> type[Folder]:
    made = type("Made", (Folder,), {})
    classes = {
        "Overfit": LossAbove, "AllZero": Never, "DeadRelu": Broken, "StalledTrainingRule": Stalled, "Confusion": Never,
    }  # fmt: skip
    monkeypatch.setattr(rules, "rule_class", classes.__getitem__)
    monkeypatch.setattr(module, "Tensors", made)
    return made


def judged(
    text: str, background: Background | None = None, outcome: Outcome | None = None
) -> tuple[dict[str, Any], list[str]]:
    told: list[str] = []
    judge = TensorRuleEngine("folder", requests(text), told.append)
    judge.last()
    return judge.finish(outcome or Outcome(True), background), told


def requests(text: str) -> list[RuleRequest]:
    return parse_rules(text).tensor


def test_a_rules_status_from_beginning_to_end(by_hand: type[Folder]) -> None:
    by_hand.steps = losses(0.5, 2.0, 3.0, 0.1)
    document, told = judged("Overfit:ratio_threshold=1")
    assert told == [
        "Overfit: InProgress",
        "Overfit: IssuesFound (step 10: the loss is 2)",
        "Overfit: IssuesFound",
    ]
    (rule,) = document["rules"]
    assert rule["report"]["RuleTriggered"] == 2
    assert rule["report"]["Datapoints"] == 4
    assert [each["mode_step"] for each in rule["findings"]] == [10, 20]
    assert document["steps"] == {"EVAL": 0, "TRAIN": 4}
    assert document["last_step"] == 6


def test_well_cut_short_and_nothing_to_judge(by_hand: type[Folder]) -> None:
    by_hand.steps = losses(0.5)
    assert judged("Overfit:ratio_threshold=1")[1][-1] == "Overfit: NoIssuesFound"
    assert (
        judged("Overfit:ratio_threshold=1", None, Outcome(False, "killed", cut_short=True))[1][-1] == "Overfit: Stopped"
    )
    assert judged("AllZero")[1][-1] == "AllZero: Error (nothing to judge: it needs losses (collection losses))"


def test_a_rule_that_fails_does_not_end_the_others(by_hand: type[Folder]) -> None:
    by_hand.steps = losses(2.0, 3.0)
    document, told = judged("DeadRelu,Overfit")
    assert "DeadRelu: Error (it failed: RuntimeError: no such tensor)" in told
    assert [(each["name"], each["status"]) for each in document["rules"]] == [
        ("Overfit", "IssuesFound"),
        ("DeadRelu", "Error"),
    ]


def test_rules_of_the_default_set_without_data_are_left_out(
    by_hand: type[Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand.steps = losses(0.05)
    told: list[str] = []
    default = [each for each in requests("default") if each.spec.name in ("Overfit", "AllZero")]
    judge = TensorRuleEngine("folder", default, told.append)
    judge.last()
    document = judge.finish(Outcome(True))
    assert told == ["Overfit: InProgress", "Overfit: NoIssuesFound"]
    assert [each["name"] for each in document["rules"]] == ["Overfit"]
    assert document["notes"] == ["nothing was saved that these rules of the default set judge: AllZero"]


def test_the_same_rule_twice_goes_by_its_labels(by_hand: type[Folder]) -> None:
    by_hand.steps = losses(0.2)
    entries = [
        {"RuleConfigurationName": label, "RuleParameters": {"rule_to_invoke": "Overfit", "ratio_threshold": limit}}
        for label, limit in (("strict", "0.1"), ("lenient", "1"))
    ]
    _, told = judged(json.dumps(entries))
    assert told[-2:] == ["strict: IssuesFound", "lenient: NoIssuesFound"]


def test_each_step_is_judged_once_and_the_last_ones_at_the_end(by_hand: type[Folder]) -> None:
    by_hand.steps = losses(2.0)
    by_hand.more = losses(0.0, 5.0)[1:]
    judge = TensorRuleEngine("folder", requests("Overfit:ratio_threshold=1"), lambda _line: None)
    assert [case.verdict.spec.name for case in judge.poll()] == ["Overfit"]
    assert judge.poll() == []
    assert judge.last() == []
    assert judge.finish(Outcome(True))["rules"][0]["report"]["Datapoints"] == 2


def test_what_a_rule_says_at_the_end_counts(by_hand: type[Folder], monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand.steps = losses(0.5)
    monkeypatch.setattr(LossAbove, "end", lambda _rule: [Finding("it was so all the time")])
    judge = TensorRuleEngine("folder", requests("Overfit:ratio_threshold=1"), lambda _line: None)
    assert judge.poll() == []
    assert [case.verdict.spec.name for case in judge.last()] == ["Overfit"]
    assert judge.finish(Outcome(True))["rules"][0]["status"] == "IssuesFound"


def test_live_it_waits_for_the_training_to_begin(by_hand: type[Folder], tmp_path: Path) -> None:
    by_hand.steps = losses(2.0)
    (tmp_path / "collections").mkdir()
    judge = TensorRuleEngine(tmp_path, requests("Overfit:ratio_threshold=1"), lambda _line: None, live=True)
    assert judge.poll() == []
    judge.start()
    assert len(judge.poll()) == 1
    judge = TensorRuleEngine(tmp_path / "later", requests("Overfit"), lambda _line: None, live=True)
    judge.start()
    assert judge.poll() == []
    (tmp_path / "later" / "collections").mkdir(parents=True)
    assert len(judge.poll()) == 1


def test_a_training_that_stalls_fires_once_and_signs_of_life_count(
    by_hand: type[Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    judge = TensorRuleEngine("folder", requests("StalledTrainingRule:threshold=60"), lambda _line: None)
    now = 1059.0
    assert judge.stalled() == []
    judge.moved()
    now = 1118.0
    assert judge.stalled() == []
    now = 1119.0
    assert len(judge.stalled()) == 1
    assert judge.stalled() == []


def test_tensors_that_cannot_be_read_are_an_error_of_each_rule(by_hand: type[Folder]) -> None:
    by_hand.broken = "record 7 is torn"
    document, told = judged("Overfit")
    assert told[-1] == "Overfit: Error (the tensors can't be read: record 7 is torn)"
    assert document["notes"][0] == "the tensors can't be read: record 7 is torn"


def test_the_document_has_the_documented_keys(by_hand: type[Folder]) -> None:
    by_hand.steps = [*losses(0.5, math.nan), *losses(0.25, mode="EVAL")]
    background = Background(DEFAULTS, [{"epoch": 1, "train_loss": 0.5}], 12, ["a note"])
    document, _ = judged("Overfit:ratio_threshold=1", background, Outcome(False, "the reason"))
    assert set(document) == DOCUMENT_KEYS
    assert document["outcome"] == {"completed": False, "reason": "the reason"}
    assert (document["steps_per_epoch"], document["epochs"]) == (12, [{"epoch": 1, "train_loss": 0.5}])
    assert document["trends"]["losses"] == {"TRAIN": [[0, 0, 0.5], [10, 2, "nan"]], "EVAL": [[0, 0, 0.25]]}
    encode_json(document)  # no NaN is left in it


def test_findings_in_words() -> None:
    assert described(Finding("it is so", step=9, mode="TRAIN", mode_step=4)) == "step 4: it is so"
    assert described(Finding("it is so", step=9, mode="EVAL", mode_step=2)) == "EVAL step 2: it is so"
    assert described(Finding("it is so")) == "it is so"
