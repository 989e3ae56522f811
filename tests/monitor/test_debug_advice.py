"""Advice on what rules find, in the training's own hyperparameters."""

import re
from dataclasses import asdict
from typing import Any

import pytest

from contract.hyperparameters import Hyperparameters
from contract.rules.tensor import TENSOR_RULES
from contract.rules.verdict import Finding, Verdict
from monitor.debugger.advice import advise

DEFAULTS = asdict(Hyperparameters())


def fired(name: str, value: float | None = None) -> Verdict:
    verdict = Verdict(TENSOR_RULES[name], TENSOR_RULES[name].defaults())
    verdict.add([Finding("it is so", value, step=3)])
    return verdict


@pytest.mark.parametrize(
    ("rule", "value", "chosen", "told"),
    [
        ("ExplodingTensor", None, {"lr": 0.5}, ["lr is 0.5: try lr=0.05.", "grad_clip is 0: grad_clip=1"]),
        ("ExplodingTensor", None, {"lr": 0.5, "grad_clip": 10.0}, ["grad_clip is 10: try grad_clip=1."]),
        ("LossNotDecreasing", None, {"lr": 3.0}, ["lr is 3: try lr=0.3."]),
        ("LossNotDecreasing", None, {"lr": 1e-7}, ["lr is 1e-07: try lr=1e-06."]),
        ("LossNotDecreasing", None, {"pretrained": "none", "freeze": "backbone"}, ["trains a head on random features"]),
        ("Overfit", None, {}, ["freeze=backbone", "auto_augment=rand", "patience is 0"]),
        ("Overfit", None, {"freeze": "backbone", "patience": 3}, ["feature_views=16 (it is 4)"]),
        ("Overtraining", None, {"epochs": 40}, ["patience is 0: patience=3 ends training before all 40 epochs"]),
        ("WeightUpdateRatio", 100.0, {"lr": 1.0}, ["lr is 1: try lr=0.1."]),
        ("WeightUpdateRatio", 1e-12, {"lr": 1e-6}, ["lr is 1e-06: try lr=1e-05."]),
        ("UnchangedTensor", None, {"freeze": "backbone"}, ["freeze=backbone trains the head alone"]),
        ("ClassImbalance", None, {}, ["class_balance=sampling"]),
        ("ClassImbalance", None, {"class_balance": "sampling"}, ["class_balance is sampling already"]),
        ("PoorWeightInitialization", None, {"pretrained": "none"}, ["pretrained=imagenet"]),
    ],
)
def test_advice_in_the_runs_own_hyperparameters(
    rule: str, value: float | None, chosen: dict[str, Any], told: list[str]
) -> None:
    text = advise(fired(rule, value), {**DEFAULTS, **chosen}) or ""
    assert [part for part in told if part not in text] == []


@pytest.mark.parametrize("rule", TENSOR_RULES)
def test_no_advice_names_what_is_set_already(rule: str) -> None:
    """Every value that an advice suggests is allowed, and another one than the training has."""
    settings: list[dict[str, Any]] = [
        {}, {"freeze": "backbone"}, {"freeze": "gradual", "lr": 1e-6}, {"pretrained": "none", "lr": 10.0},
        {"grad_clip": 1.0, "patience": 3, "mixup": 0.2, "label_smoothing": 0.1, "auto_augment": "rand"},
        {"warmup_ratio": 0.0},
        {"feature_views": 16, "freeze": "backbone", "crop_scale": 0.2, "class_balance": "sampling", "workers": 0},
    ]  # fmt: skip
    seen = 0
    for setting in settings:
        chosen = {**DEFAULTS, **setting}
        verdict = fired(rule, 1e-3)
        verdict.parameters = {**verdict.parameters, "max_threshold": 1.0}
        text = advise(verdict, chosen) or ""
        if rule != "AllZero":  # which has nothing to say of a plain training
            assert text
        for name, value in re.findall(r"(\w+)=([\w.-]*\w)", text.replace("lr_schedule=cosine", "")):
            if f"{name}={value} trains" in text or f"with {name}={value}" in text:
                continue  # it speaks of what is set
            seen += 1
            assert getattr(Hyperparameters.parse({name: value}), name) is not None
            assert str(chosen[name]) != value, (setting, text)
    print(seen, "suggestions")


def test_no_advice_for_other_peoples_tensors_or_what_did_not_fire() -> None:
    assert advise(fired("Overfit"), {}) is None
    assert advise(Verdict(TENSOR_RULES["Overfit"], {}), DEFAULTS) is None
