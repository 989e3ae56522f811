"""The card that a training leaves, and the command that prints it."""

import json
from pathlib import Path

import pytest

from reports.model_card import CARD
from tests.train.cards import HISTORY, MANIFEST, front_matter, tables
from tests.train.support import Finished, run


def test_a_runs_card_and_the_command_that_prints_it(whole: Finished, tmp_path: Path) -> None:
    written = (whole.model / CARD).read_text(encoding="utf-8")
    printed = run(["train.model_card", "--artifact", str(whole.model)], tmp_path)
    assert (printed.code, printed.out) == (0, written), printed.err
    assert "# job-7: an image classifier for 3 classes" in written
    assert f"| SHA-256 of model.safetensors | {whole.manifest['weights']['sha256']} |" in written
    accuracy = whole.metrics[2]["test_accuracy"]
    assert f"**{100 * accuracy:.1f} %** accuracy on 15 test images" in written
    assert front_matter(written)["model-index"][0]["results"][0]["metrics"][0]["value"] == pytest.approx(
        accuracy, abs=5e-7
    )
    assert ["pug", "pug", "12", "4", "5"] in tables(written)[0]
    assert "- Skipped unreadable files: 5 in train." in written


def test_a_split_that_was_made_is_told(frozen: Finished) -> None:
    card = (frozen.model / CARD).read_text(encoding="utf-8")
    note = f"- {frozen.data['notes'][0].replace('no', 'No', 1)}.\n"
    assert note in card
    assert "were given, not set apart" not in card
    assert "**Pretrained weights:** imagenet (resnet18-f37072fd.pth)" in card


def test_the_command_refuses_what_is_no_artifact(tmp_path: Path) -> None:
    result = run(["train.model_card", "--artifact", str(tmp_path)], tmp_path)
    assert result.code == 2
    assert (
        result.err
        == f"error: {tmp_path} holds no artifact: there is no kennel.json in it; give the folder that train wrote\n"
    )
    assert result.out == ""


def test_the_manifest_of_these_tests_is_of_the_form_that_training_writes(whole: Finished) -> None:
    assert {*MANIFEST, "calibration"} == set(whole.manifest)
    assert set(MANIFEST["provenance"]) <= set(whole.manifest["provenance"])
    assert json.loads((whole.model / "history.json").read_text())["epochs"][0].keys() >= HISTORY["epochs"][0].keys()
