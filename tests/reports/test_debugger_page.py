"""debugger-report.html: what it says, where its marks lie, and that any report gives a page."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contract.rules.tensor import TENSOR_RULES
from contract.rules.verdict import Finding
from reports.debugger_page import debugger_page
from reports.rule_table import layer, outcome_of, rule_rows
from tests.train.pages import Seen, check_anchors
from tests.train.reports import debugger_report, fired_rules, layers, trends, verdict

NAN = math.nan


def seen_of(document: dict[str, Any]) -> Seen:
    # Through JSON, as the page's documents come.
    return Seen(debugger_page(json.loads(json.dumps(document, allow_nan=False))))


@pytest.mark.parametrize(
    ("completed", "reason", "word", "bad"),
    [
        (True, None, "completed", False),
        (True, "Stopped by rule Overfit", "stopped", False),
        (False, "ValueError: no images", "failed", True),
        (False, "Stopped: SIGTERM came before training had ended", "stopped", False),
        (False, None, "killed", True),
        (False, "The training process was killed (signal 9)", "killed", True),
        (None, None, "unknown", False),
    ],
)
def test_outcomes(completed: bool | None, reason: str | None, word: str, bad: bool) -> None:
    found = outcome_of(completed, reason)
    assert (found.word, found.bad) == (word, bad)
    if reason:
        assert found.sentence == f"{reason}."


def test_rules_are_sorted_by_severity_and_status() -> None:
    rules = [
        verdict("AllZero"),
        verdict("SaturatedActivation", datapoints=0, note="no activations were saved"),
        verdict("Overfit", [Finding("a")] * 2),
        verdict("VanishingGradient", [Finding("b")] * 3),
        verdict("ExplodingTensor", [Finding("c", NAN, 7, "TRAIN", 5, "gradient/Classifier_head.bias")]),
        verdict("Confusion") | {"status": "Stopped"},
    ]
    rows = rule_rows(rules)
    assert [(row.name, row.sign, row.kind) for row in rows] == [
        ("ExplodingTensor", "\u2716", "error"), ("VanishingGradient", "\u25b2", "warn"), ("Overfit", "\u25b2", "warn"),
        ("SaturatedActivation", "?", "quiet"), ("Confusion", "\u2026", "quiet"), ("AllZero", "\u2713", "quiet"),
    ]  # fmt: skip
    assert rows[0].first == ("training step 5", "head.bias")
    assert rows[3].todo == "no activations were saved."
    assert rows[1].todo == TENSOR_RULES["VanishingGradient"].advice
    assert layer("update_ratio/backbone.conv1.weight") == "backbone.conv1.weight"
    # smdebug puts the whole network's class before a parameter's name, and a loss's before its output.
    assert layer("gradient/Linear_weight") == "weight"
    assert layer("CrossEntropyLoss_output_0") == "CrossEntropyLoss_output_0"


def test_what_to_look_at_first_is_the_worst_rule_with_its_advice() -> None:
    vanishing = verdict("VanishingGradient", [Finding("mean |gradient| is 3e-8", 3e-8, 4)], advice="Raise lr to 0.03.")
    exploding = verdict("ExplodingTensor", [Finding("conv1 holds NaN", NAN, 9)], advice="Lower lr to 0.001")
    text = seen_of(debugger_report([vanishing, exploding])).text
    first = text.index("ExplodingTensor: conv1 holds NaN. Lower lr to 0.001.")
    assert first < text.index("VanishingGradient: mean |gradient| is 3e-8. Raise lr to 0.03.")
    quiet = seen_of(debugger_report([verdict("AllZero", datapoints=3), verdict("Overfit", datapoints=0)])).text
    assert "1 rule judged and found nothing in up to 3 data points: AllZero. Nothing to judge for Overfit." in quiet
    assert "No rule was asked for." in seen_of(debugger_report([])).text
    failed = seen_of(debugger_report(outcome={"completed": False, "reason": "no images in train"})).text
    assert "Training failed" in failed
    assert "The run did not complete. no images in train." in failed
    stopped = seen_of(debugger_report(outcome={"completed": True, "reason": "Stopped by rule Overfit"})).text
    assert "Training was stopped" in stopped
    assert "\u25a0 Stopped by rule Overfit." in stopped


def test_a_completed_run_shows_every_trend_and_all_parameters() -> None:
    document = debugger_report()
    seen = seen_of(document)
    check_anchors(seen)
    charts = [str(each["aria-label"]) for each in seen.all("svg") if "aria-label" in each]
    assert [label.split(" ")[0] for label in charts] == ["Loss", "Gradient", "Weight", "Update", "Dead"]
    assert charts[1] == "Gradient norms of 12 layers over 40 saved steps, from step 0 to 39"
    for rule in document["rules"]:
        assert all(name in seen.text for name in [rule["name"], *rule["parameters"]])
    assert "Training completed" in seen.text
    assert "about 0.001 is healthy (CS231n" in " ".join(seen.text.split())
    for name, value in document["hyperparameters"].items():
        assert f"{name}{value}" in seen.text


def test_marks_are_of_the_map_they_belong_to() -> None:
    name = "Classifier_backbone.conv1.weight"
    both = [
        Finding("is NaN", NAN, 12, "TRAIN", 12, f"gradient/{name}"),
        Finding("is NaN", NAN, 14, "TRAIN", 14, name),
        Finding("is NaN", NAN, 16, "TRAIN", 16, name),
        Finding("is NaN", NAN, 3, "EVAL", 3, name),
    ]
    page = debugger_page(debugger_report([verdict("ExplodingTensor", both)])).decode()
    gradients, weights = (page.index(f'<section id="{key}">') for key in ("gradient_norm", "weight_norm"))
    marks = [(match.start(), match[1]) for match in re.finditer(r"ExplodingTensor fired first at step (\d+), ", page)]
    assert [step for place, step in marks if gradients < place < weights] == ["12"]
    assert [step for place, step in marks if place > weights][:1] == ["14"]


def test_names_and_sentences_stay_text() -> None:
    hostile = "<script>alert(1)</script>\"'\u202e"
    rule = verdict("AllZero", [Finding(hostile, 1.0, 1, "TRAIN", 1, hostile)], advice=hostile, note=hostile)
    rule["parameters"][hostile] = hostile
    document = debugger_report(
        [rule], notes=[hostile], tensors=hostile, hyperparameters={hostile: hostile},
        outcome={"completed": False, "reason": hostile},
    )  # fmt: skip
    document["trends"]["gradient_norm"]["layers"][0] = hostile
    page = debugger_page(document)
    seen = Seen(page)
    assert len(seen.all("script")) == 1
    assert "\u202e" not in page.decode()
    assert seen.text.count("<script>alert(1)</script>\"'\\u202e") >= 8
    assert "unsafe" not in str(seen.all("meta")[1]["content"])


@pytest.mark.parametrize(
    ("charts", "found"),
    [
        (0, {}),
        (0, {"losses": {}}),
        (0, {"losses": {"TRAIN": [[0, 0, None]], "EVAL": []}}),
        (1, {"losses": {"TRAIN": [], "EVAL": [[0, 0, 1.5]]}}),
        (1, {"losses": {"GLOBAL": [[0, 0, 2.5], [500, 500, 2.0]]}}),
        (0, {"gradient_norm": {"steps": [], "layers": [], "values": []}}),
        (0, {"gradient_norm": {"steps": [5], "layers": ["a"], "values": [[None]]}}),
        (1, {"gradient_norm": {"steps": [5], "layers": ["a"], "values": [["nan"]]}}),
        (1, {"weight_norm": {"steps": [1, 2], "layers": ["a", "b"], "values": [[0.0, 0.0], [None, "inf"]]}}),
        (1, {"update_ratio": {"steps": [1, 2], "layers": ["a"], "values": [[1e-300, 1e300]]}}),
        (5, trends(2, 1)),
        (5, trends(62, 1)),
    ],
)
def test_any_trends_give_a_page(charts: int, found: dict[str, Any]) -> None:
    seen = seen_of(debugger_report(trends=found, steps={}, last_step=None))
    check_anchors(seen)
    assert len([each for each in seen.all("svg") if "aria-label" in each]) == charts
    assert ("Not saved" in seen.text) == (charts < 5)


def test_losses_of_an_old_folder_are_drawn() -> None:
    rows = [[k * 500, k * 500, 2.3 * 0.9**k] for k in range(20)]
    document = debugger_report([], trends={"losses": {"TRAIN": [], "EVAL": [], "GLOBAL": rows}}, hyperparameters={},
                               outcome={"completed": None, "reason": None})  # fmt: skip
    seen = seen_of(document)
    assert any("training loss from 2.3 to 0.311" in str(each.get("aria-label")) for each in seen.all("svg"))
    assert "Training judged from its tensors" in seen.text
    assert "Gradient norms, Weight norms, Update ratios, Dead ReLUs: the run saved no tensors for them." in seen.text


def test_161_layers_400_steps_and_all_rules_fired_stay_below_3_megabytes() -> None:
    found = trends(161, 400, nan_from=240)
    document = debugger_report(fired_rules(layers(161), 400), trends=found)
    page = debugger_page(json.loads(json.dumps(document, allow_nan=False)))
    assert 500_000 < len(page) < 3_000_000
    seen = Seen(page)
    check_anchors(seen)
    assert seen.text.count("200 findings and parameters of") == len(TENSOR_RULES)
    assert ">NaN</text>" in page.decode()


def test_the_pages_need_neither_torch_nor_pictures() -> None:
    code = (
        "import sys; import reports.debugger_page, reports.profiler_page; "
        "print([each for each in ('torch', 'PIL', 'numpy', 'train.data', 'monitor.callbacks') if each in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
