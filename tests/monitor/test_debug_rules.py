"""Every tensor rule on hand-made tensors, written with smdebug's writer, just on both sides of its thresholds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.rules.profiler import PROFILER_RULES
from contract.rules.tensor import TENSOR_RULES
from monitor.debugger.reader import Tensors
from monitor.debugger.rules.base import TensorRule
from monitor.profiler.rules.base import ProfilerRule
from monitor.rules import RULE_MODULES, rule_class
from tests.train.rule_cases import CASES, NAN, Case, L
from tests.train.sick import Folder, make, reduced, write


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule, cases in CASES.items() for case in cases])
def test_a_rule_tells_what_arithmetic_says(rule: str, case: Case, tmp_path: Path) -> None:
    regexes = {"labels": ["^labels$"], "predictions": ["^predictions$"]}
    folder = Folder(tmp_path, {**{name: list(each.patterns) for name, each in standard(tmp_path).items()}, **regexes})
    for number, tensors in enumerate(case.steps):
        folder.save("EVAL" if case.modes[number : number + 1] == "E" else "TRAIN", tensors)
    findings, _ = folder.judge(rule, **case.parameters)
    told = [(each.step, each.value) for each in findings]
    assert [step for step, _ in told] == [step for step, _ in case.told]
    for (_, value), (_, expected) in zip(told, case.told, strict=True):
        assert value == (expected if expected is None else pytest.approx(expected, rel=1e-4, abs=1e-9))


def standard(path: Path) -> Any:
    """The collections of smdebug.pytorch."""
    Folder(path / "standard")
    return Tensors(path / "standard").collections


def test_the_registry_has_the_contracts_rules() -> None:
    assert set(RULE_MODULES) == {*TENSOR_RULES, *PROFILER_RULES}
    assert (len(TENSOR_RULES), len(PROFILER_RULES)) == (16, 11)
    for name in RULE_MODULES:
        kind = TensorRule if name in TENSOR_RULES else ProfilerRule
        assert issubclass(rule_class(name), kind)


def test_every_rule_has_a_case_that_fires_and_one_that_does_not() -> None:
    assert {*CASES, "StalledTrainingRule"} == set(TENSOR_RULES)
    for rule, cases in CASES.items():
        assert {bool(case.told) for case in cases} == {True, False}, rule


@pytest.mark.parametrize("rule", TENSOR_RULES)
def test_a_rule_needs_something_and_judges_nothing_without_it(rule: str, tmp_path: Path) -> None:
    judging = make(rule)
    assert len(judging.needs()) > 5
    write(tmp_path, {"something": [1.0]})
    (step,) = Tensors(tmp_path).poll()
    assert judging.judge(step) == ([] if rule in ("ExplodingTensor", "StalledTrainingRule") else None)
    assert (judging.idle(10.0), judging.end()) == ([], [])


@pytest.mark.parametrize(("seconds", "told"), [(1801.0, [1801.0]), (1800.0, [])])
def test_a_stall_is_told_by_the_clock_and_by_the_steps_times(seconds: float, told: list[float], tmp_path: Path) -> None:
    judging = make("StalledTrainingRule")
    assert [each.value for each in judging.idle(seconds)] == told
    for number in range(2):
        write(tmp_path, {"a": [1.0]}, number, time=1000.0 + number * seconds)
    judging = make("StalledTrainingRule")
    answers = [judging.judge(step) for step in Tensors(tmp_path).poll()]
    assert [[each.value for each in answer or ()] for answer in answers] == [[], told]


def test_a_stall_that_was_told_live_is_not_told_again(tmp_path: Path) -> None:
    judging = make("StalledTrainingRule", threshold=60)
    for number, time in enumerate((0.0, 100.0, 200.0)):
        write(tmp_path, {"a": [1.0]}, number, time=1e9 + time)
    first, second, third = Tensors(tmp_path).poll()
    assert judging.judge(first) == []
    assert len(judging.idle(61.0)) == 1
    assert judging.idle(70.0) == []
    assert judging.judge(second) == []
    (finding,) = judging.judge(third) or []
    assert (finding.step, finding.value) == (2, 100.0)


def reduced_network(step: int) -> dict[str, Any]:
    generator = np.random.default_rng(step)
    tensors: dict[str, Any] = {L: 2.0 - 0.1 * step}
    for layer in range(3):
        tensors |= reduced(f"Net_fc{layer}.weight", generator.normal(size=100))
        tensors |= reduced(f"gradient/Net_fc{layer}.weight", generator.normal(size=100))
    return tensors


def test_after_a_nan_only_one_rule_speaks(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for step in range(3):
        folder.save("TRAIN", reduced_network(step))
    for step in range(3, 8):
        folder.save("TRAIN", dict.fromkeys(reduced_network(step), NAN))
        folder.save("EVAL", {L: NAN})
    fired = {rule for rule in TENSOR_RULES if folder.judge(rule)[0]}
    assert fired == {"ExplodingTensor"}
