"""Two networks on the same images: the test and the interval by hand, and `python -m train.compare`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from contract.errors import ConfigError, DataError
from model import artifact as artifacts
from model.artifact import Artifact
from model.weights import load_network, serialise
from tests.train.evaluations import of_predictions
from tests.train.support import CLASSES, Finished, run
from train.compare import main
from train.evaluation.comparison import comparison_report, mcnemar, paired_interval, verdict


@pytest.mark.parametrize(
    ("fixed", "broken", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (1, 1, 1.0),
        (5, 0, 2 / 32),
        (1, 5, 2 * (1 + 6) / 64),
        (10, 2, 2 * (1 + 12 + 66) / 4096),
        # Against the normal distribution with a continuity correction: z = 99 / sqrt(6100) = 1.26757.
        (3000, 3100, pytest.approx(0.20494, rel=1e-3)),
        (4000, 0, 0.0),
    ],
)
def test_mcnemar(fixed: int, broken: int, p: float) -> None:
    assert mcnemar(fixed, broken) == p
    assert mcnemar(broken, fixed) == p


def test_paired_interval() -> None:
    # 122 images with half a one in each cell: 12 / 122, and 1.959964 * sqrt(29 - 144 / 122) / 122.
    centre, half = 0.0983607, 0.0847345
    assert paired_interval(20, 8, 120) == pytest.approx((centre - half, centre + half), abs=1e-5)
    # Nothing changed in 98: 1.959964 * sqrt(1) / 100 either way.
    assert paired_interval(0, 0, 98) == pytest.approx((-0.01959964, 0.01959964))
    assert paired_interval(1, 0, 1) == pytest.approx((1 / 3 - 0.844, 1.0), abs=1e-3)


def test_the_verdict() -> None:
    assert verdict(0.9, 0.88, (-0.01, 0.05), 0.42) == (
        "no evidence of a difference (p = 0.42): accuracy 90.0 % against the baseline's 88.0 %, difference +2.0 points "
        "(95 % interval -1.0 to +5.0)"
    )
    assert verdict(0.9, 0.8, (0.05, 0.15), 0.0004).startswith("the artifact is better than the baseline (p < 0.001): ")
    assert verdict(0.7, 0.8, (-0.15, -0.05), 0.012).startswith("the artifact is worse than the baseline (p = 0.012): ")
    assert verdict(0.7, 0.8, (-0.2, 0), 0.05).startswith("no evidence of a difference (p = 0.05)")


def test_what_changed() -> None:
    files = ["a/1", "a/2", "b/1", "b/2", "b/3"]
    truth = [0, 0, 1, 1, 1]
    new, old = of_predictions([0, 0, 1, 0, 0], truth, 3), of_predictions([0, 1, 0, 1, 0], truth, 3)
    report = comparison_report(new, old, files, ["1.a", "2.b", "3.c"], ["a", "b", "c"])
    assert report["mcnemar"] == {"both_right": 1, "both_wrong": 1, "fixed": 2, "broken": 1, "p_value": 1}
    assert report["difference"] == pytest.approx(1 / 5)
    assert (report["artifact"]["accuracy"], report["baseline"]["accuracy"]) == (3 / 5, 2 / 5)
    assert [each["file"] for each in report["fixed"]] == ["a/2", "b/1"]
    assert report["broken"] == [
        {"file": "b/2", "true_label": "b", "label": "a", "probability": pytest.approx(1),
         "baseline_label": "b", "baseline_probability": pytest.approx(1)},
    ]  # fmt: skip
    assert report["per_class"] == [
        {"class": "1.a", "label": "a", "n": 2, "recall": 1, "baseline_recall": 0.5, "change": 0.5,
         "fixed": 1, "broken": 0},
        {"class": "2.b", "label": "b", "n": 3, "recall": pytest.approx(1 / 3), "baseline_recall": pytest.approx(1 / 3),
         "change": 0, "fixed": 1, "broken": 1},
        {"class": "3.c", "label": "c", "n": 0, "recall": None, "baseline_recall": None, "change": None,
         "fixed": 0, "broken": 0},
    ]  # fmt: skip


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`python -m train.compare` in this process."""

    def call(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments), "--device", "cpu"])
        main()

    return call


def resaved(source: Finished, folder: Path, order: list[int], names: dict[str, str] | None = None) -> Path:
    """The artifact with its classes in another order, and perhaps other names."""
    original = Artifact.load(source.model)
    network = load_network(original)
    last = network.head[-1]  # type: ignore[index]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.copy_(last.weight[order].clone())
        last.bias.copy_(last.bias[order].clone())
    classes = [original.classes[k] for k in order]
    artifacts.save(
        folder,
        architecture=original.architecture,
        head=original.head,
        classes=[(names or {}).get(name, name) for name in classes],
        preprocess=original.preprocess,
        weights=serialise(network),
        provenance={},
        metrics={},
        calibration={"temperature": original.temperature},
    )
    return folder


def test_a_comparison_as_a_process(whole: Finished, other: Finished, tmp_path: Path) -> None:
    options = ("--artifact", str(whole.model), "--baseline", str(other.model), "--device", "cpu")
    data = str(whole.root / "input" / "data")
    result = run(["train.compare", *options, "--data", data, "--json", str(tmp_path / "cmp.json")], tmp_path)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "cmp.json").read_text())
    assert result.out.splitlines()[-1] == f"15 images: {report['verdict']}"
    for name, job in (("artifact", whole), ("baseline", other)):
        assert report[name]["accuracy"] == job.evaluation["accuracy"]
        assert report[name]["loss"] == pytest.approx(job.evaluation["loss"], abs=1e-6)
        assert report[name]["artifact"] == job.manifest["weights"]["sha256"][:12]
    new, old = whole.evaluation["predictions"], other.evaluation["predictions"]
    fixed = {file for file in new if new[file]["correct"] and not old[file]["correct"]}
    broken = {file for file in new if old[file]["correct"] and not new[file]["correct"]}
    assert {each["file"] for each in report["fixed"]} == fixed
    assert {each["file"] for each in report["broken"]} == broken
    assert report["mcnemar"]["p_value"] == mcnemar(len(fixed), len(broken))
    assert report["difference"] == pytest.approx((len(fixed) - len(broken)) / 15)
    page = (tmp_path / "cmp.html").read_text()
    assert page.count("data:image/jpeg;base64,") == len(fixed) + len(broken)


def test_classes_in_another_order_are_matched_by_name(
    whole: Finished, tmp_path: Path, command: Callable[..., None]
) -> None:
    baseline = resaved(whole, tmp_path / "turned", [2, 0, 1])
    options = ("--artifact", whole.model, "--baseline", baseline, "--data", whole.root / "input" / "data")
    command(*options, "--json", tmp_path / "cmp.json")
    report = json.loads((tmp_path / "cmp.json").read_text())
    assert report["mcnemar"]["fixed"] == report["mcnemar"]["broken"] == 0
    assert report["artifact"]["loss"] == pytest.approx(report["baseline"]["loss"], abs=1e-6)
    assert report["artifact"]["accuracy"] == whole.evaluation["accuracy"]


def test_other_classes_are_one_sentence(whole: Finished, tmp_path: Path, command: Callable[..., None]) -> None:
    baseline = resaved(whole, tmp_path / "renamed", [0, 1, 2], {CLASSES[2]: "mops"})
    options = ("--artifact", whole.model, "--baseline", baseline, "--data", whole.root / "input" / "data")
    with pytest.raises(DataError) as caught:
        command(*options, "--json", tmp_path / "cmp.json")
    assert str(caught.value) == (
        "the two artifacts know different classes: only the artifact has pug; only the baseline has mops; "
        "compare artifacts trained on the same ones"
    )
    assert not (tmp_path / "cmp.json").exists()
    assert not (tmp_path / "cmp.html").exists()


def test_a_report_that_its_page_would_overwrite(whole: Finished, tmp_path: Path, command: Callable[..., None]) -> None:
    options = ("--artifact", whole.model, "--baseline", whole.model, "--data", tmp_path)
    with pytest.raises(ConfigError, match=r"is where the page would go; give the report a name that ends in \.json"):
        command(*options, "--json", tmp_path / "cmp.html")
