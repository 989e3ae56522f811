"""The model card: front matter that a YAML parser reads, tables that are tables, and nothing but the facts."""

import re
from typing import Any

import pytest

from contract.errors import ArtifactError
from reports.model_card import model_card
from tests.train.cards import HISTORY, MANIFEST, changed, front_matter, section, tables, with_classes

CARD_TEXT = model_card(MANIFEST, HISTORY)


def test_the_front_matter_is_the_hubs() -> None:
    meta = front_matter(CARD_TEXT)
    assert meta["library_name"] == "kennel"
    assert meta["pipeline_tag"] == "image-classification"
    assert meta["tags"] == ["image-classification", "resnet18"]
    assert meta["metrics"] == ["accuracy", "f1"]
    (model,) = meta["model-index"]
    assert model["name"] == "resnet18-0123456789ab"
    (result,) = model["results"]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"] == {"type": "imagefolder", "name": "2 classes, 10 test images", "split": "test"}
    assert [(metric["type"], metric["value"]) for metric in result["metrics"]] == [("accuracy", 0.9), ("f1", 0.8)]


def test_without_a_test_the_validation_figures_stand_in_the_front_matter() -> None:
    metrics = {"validation_accuracy": 0.75, "validation_loss": 0.5}
    card = model_card(changed(metrics=metrics, provenance={"images": {"train": 40, "valid": 20}}), HISTORY)
    result = front_matter(card)["model-index"][0]["results"][0]
    assert result["dataset"]["split"] == "validation"
    assert result["metrics"] == [{"type": "accuracy", "value": 0.75, "name": "validation accuracy"}]
    assert "so they are optimistic. No test was made." in section(card, "Evaluation")
    no_figures = model_card(changed(metrics={}), HISTORY)
    assert "model-index" not in front_matter(no_figures)
    assert "No figures." in section(no_figures, "Evaluation")


def test_all_sections_and_whole_tables() -> None:
    titles = ["Model details", "Intended use and limits", "Training data", "Training procedure", "Evaluation"]
    assert re.findall(r"^## (.*)$", CARD_TEXT, re.M) == [*titles, "How to use", "Provenance"]
    # Data; hyperparameters that differ, all of them; epochs; figures; classes; provenance.
    assert len(tables(CARD_TEXT)) == 7
    assert CARD_TEXT.count("<details>") == CARD_TEXT.count("</details>") == 2
    assert not re.search(r"\b(None|nan)\b", CARD_TEXT)


def test_the_limits_follow_from_the_facts() -> None:
    limits = section(CARD_TEXT, "Intended use and limits")
    assert "one of 2 classes: Pug, Beagle." in limits
    assert "from 10 (Pug) to 30 (Beagle), 3.0 times the smallest." in limits
    assert "No test image shows: Beagle." in limits
    # 224 / 256 = 0.875
    assert "88 % of its shorter side" in limits
    assert "were not calibrated" in limits
    assert "Not one validation image" not in limits
    even = section(model_card(with_classes(["a", "b"]), {}), "Intended use and limits")
    assert "same number of training images, 5." in even
    third = changed(provenance={"best_epoch": 3})
    assert "Not one validation image was recognised of: Pug." in model_card(third, HISTORY)


def test_the_figures_with_their_uncertainty() -> None:
    figures = {row[0]: row[1:] for table in tables(section(CARD_TEXT, "Evaluation")) for row in table}
    assert figures[""] == ["validation", "test"]
    assert figures["Images"] == ["20", "10"]
    assert figures["Accuracy (top-1)"] == ["75.0 %", "90.0 %"]
    # 9 of 10 by Wilson's formula: (0.9 + 0.19207) / 1.38415 -+ 1.95996 / 1.38415 * sqrt(0.009 + 0.0096037)
    assert figures["95 % interval (Wilson)"][1] == "59.6 to 98.2 %"
    # 12 of 20, 10 of 10.
    assert figures["The same answer always, at best"] == ["60.0 %", "100.0 %"]
    assert "Accuracy (top-5)" not in figures
    assert figures["Macro F1"] == ["-", "0.8000"]
    assert (figures["Pug"], figures["Beagle"]) == (["50.0 %", "8"], ["91.7 %", "12"])
    assert CARD_TEXT.index("| Pug | 50.0 % |") < CARD_TEXT.index("| Beagle | 91.7 % |")


def test_data_and_procedure() -> None:
    data = section(CARD_TEXT, "Training data")
    assert data.startswith("\n40 training, 20 validation, 10 test images.")
    assert tables(data)[0][2:] == [["Pug", "001.Pug", "10", "8", "10"], ["Beagle", "002.Beagle", "30", "12", "0"]]
    assert "- The validation images were given, not set apart from the training images.\n" in data
    assert "- Files left out because they can't be read as images: 3." in data
    procedure = section(CARD_TEXT, "Training procedure")
    assert "Trained for 3 epochs; the weights are those of epoch 2," in procedure
    differing, everything, epochs = tables(procedure)
    assert differing[2:] == [["`epochs`", "3", "10"], ["`seed`", "7", "0"]]
    assert everything[2:] == [["`epochs`", "3"], ["`lr`", "0.001"], ["`seed`", "7"]]
    assert epochs[2:] == [["1", "0.7"], ["2", "0.6"], ["3", "0.5"]]
    early = section(model_card(MANIFEST, {"epochs": HISTORY["epochs"][:2]}), "Training procedure")
    assert "Trained for 2 epochs (3 were asked for);" in early
    assert {row[0]: row[1] for row in tables(section(CARD_TEXT, "Provenance"))[0]}["Duration (h:mm:ss)"] == "1:02:05"


def test_a_stopped_job_says_so_first() -> None:
    card = model_card(changed(provenance={"completed": False}), {"epochs": HISTORY["epochs"][:2]})
    title = card.index("\n# ")
    assert (
        card[title:]
        .split("\n\n")[1]
        .startswith("> **Not completed.** A signal stopped this training after 2 of 3 epochs.")
    )
    assert "| Completed | no, stopped by a signal |" in card
    assert "Not completed" not in CARD_TEXT


def test_many_classes_are_folded_away_and_ranked_by_their_ends() -> None:
    names = [f"c{number:02d}" for number in range(31)]
    history = {"epochs": [{"epoch": 2, "validation_class_accuracy": [number / 40 for number in range(30)] + [None]}]}
    card = model_card(with_classes(names), history)
    assert "<summary>All 31 classes</summary>\n\n| class | folder |" in card
    ranked = tables(section(card, "Evaluation"))[1]
    assert [row[0] for row in ranked[2:]] == [
        *("c00", "c01", "c02", "c03", "c04", "... 20 more", "c25", "c26", "c27", "c28", "c29")
    ]
    assert "c08, c09 and 21 more." in section(card, "Intended use and limits")
    assert "All 30 classes" not in model_card(with_classes(names[:30]), {})


def test_calibration_and_forms_where_there_are_any() -> None:
    scores = {"f32": {"accuracy": 0.75, "loss": 0.5, "correct": 15, "n": 20}, "bf16": None}
    files = {
        "openvino.xml": {"sha256": "0" * 64, "bytes": 200_000},
        "openvino.bin": {"sha256": "1" * 64, "bytes": 44_100_000},
    }
    card = model_card(
        changed(
            calibration={"temperature": 1.5, "fitted_on": "validation", "n": 20, "ece_before": 0.1, "ece_after": 0.05},
            forms={"openvino": {"files": files, "validation": scores}},
            default_form="openvino",
        ),
        HISTORY,
    )
    evaluation = section(card, "Evaluation")
    calibration, forms = tables(evaluation)[-2:]
    assert calibration[2] == ["temperature", "1.5"]
    assert ["ece after", "0.05"] in calibration
    assert forms[2:] == [
        ["openvino (default)", "f32", "75.0 %", "0.5", "20", "44.3 MB"],
        ["openvino (default)", "bf16", "not measured", "-", "-", "44.3 MB"],
    ]
    assert "were not calibrated" not in card
    assert "### " not in section(CARD_TEXT, "Evaluation")
    failed = model_card(changed(forms_error="out of memory"), HISTORY)
    assert "No other form than torch's was made: out of memory" in failed


HOSTILE = ["a|b", "`x` *y* _z_", "<script>alert(1)</script>", "two\nlines", "&amp;", "[a](http://b)", "\udcfc",
           "\u202eb", "back\\slash|", "---", "# no title", "$x$"]  # fmt: skip


def test_hostile_names_stay_in_their_cells() -> None:
    history = {"epochs": [{"epoch": 2, "validation_class_accuracy": [0.5] * len(HOSTILE)}]}
    provenance = {"training_job_name": 'job: "a"\n- b\u0085', "pretrained": "<img src=x>", "data_notes": ["a\n## b"]}
    manifest = with_classes(HOSTILE)
    manifest["provenance"].update(provenance)
    manifest["provenance"]["hyperparameters"]["pretrained"] = "/a|b/`c`.pth"
    card = model_card({**manifest, "architecture": "x: |\n y"}, history)
    meta = front_matter(card)
    assert meta["model-index"][0]["name"] == provenance["training_job_name"]
    assert meta["tags"][1] == "x: |\n y"
    counts = tables(section(card, "Training data"))[0]
    assert len(counts) == 2 + len(HOSTILE)
    assert counts[2][0] == "a\\|b"
    assert counts[10][0] == "back\\\\slash\\|"
    assert "<script" not in card.replace("\\<script", "")
    assert "<img" not in card.replace("\\<img", "")
    assert len(re.findall(r"^## ", card, re.M)) == 7
    card.encode("utf-8")


def test_the_least_that_an_artifact_has() -> None:
    least = {key: MANIFEST[key] for key in ("architecture", "head", "classes", "preprocessing", "weights")}
    card = model_card({**least, "provenance": {}, "metrics": {}})
    assert len(tables(card)) == 1
    assert "Pug, Beagle" in card
    assert not re.search(r"\b(None|nan|0 training)\b", card)


@pytest.mark.parametrize(
    ("manifest", "history"),
    [
        (changed(metrics={"test_accuracy": "good"}), {}),
        (changed(provenance={"images_by_class": {"train": {"001.Pug": 1}}}), {}),
        (changed(provenance={"images": [1]}), {}),
        (changed(provenance={"seconds": "long"}), {}),
        (changed(metrics={"test_accuracy": 7.0}), {}),
        (MANIFEST, {"epochs": [1]}),
    ],
)
def test_facts_of_another_form_get_one_sentence(manifest: dict[str, Any], history: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match=r"^no card can be made: kennel.json or history.json isn't as training"):
        model_card(manifest, history)
