"""The pages as HTML: what they say, that nothing in a name becomes markup, that they stay small."""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contract.progress import Progress
from reports.advice import advice
from reports.charts.confusion_matrix import confusion_matrix
from reports.charts.ticks import nice_ticks
from reports.comparison_page import comparison_page
from reports.evaluation_page import evaluation_page
from reports.pictures import Pictures
from reports.units import count, percent, points
from tests.train.evaluations import MODEL, of_predictions, random_evaluation, whole_report
from tests.train.pages import Seen
from tests.train.support import make_classes
from train.data.load import load_data
from train.evaluation.comparison import comparison_report

PICTURE = "data:image/png;base64,AAAA"


def report_of(predictions: list[int], truth: list[int], labels: Sequence[str], **more: Any) -> dict[str, Any]:
    files = [f"{labels[label]}/{place}.jpg" for place, label in enumerate(truth)]
    return whole_report(of_predictions(predictions, truth, len(labels)), files, list(labels), **more)


HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "{{ 7 * 7 }}{% raw %}",
    "M\udcfcnster </style></title>\u202egpj.exe\x07",
    "]]>--><svg onload=alert(1)>",
]


def test_hostile_names_stay_text() -> None:
    history = [
        {"epoch": e, "train_accuracy": 0.5, "validation_accuracy": 0.1, "validation_class_accuracy": [0.1 * e] * 5}
        for e in (1, 2, 3)
    ]
    report = report_of([1, 2, 3, 4, 0, 0], [0, 1, 2, 3, 4, 0], HOSTILE, history=history)
    report |= {"data": HOSTILE[0], "notes": HOSTILE, "skipped": [{"file": HOSTILE[3], "reason": HOSTILE[1]}]}
    report["model"] = {**MODEL, "training_job_name": HOSTILE[1]}
    files = report["predictions"]
    compared = comparison_report(
        of_predictions([1, 0, 3], [0, 0, 3], 5),
        of_predictions([0, 1, 3], [0, 0, 3], 5),
        list(files)[:3],
        HOSTILE,
        HOSTILE,
    )
    for side in ("artifact", "baseline"):
        compared[side] |= {"artifact": HOSTILE[0], "model": report["model"]}
    compared |= {"split": "test", "data": HOSTILE[1], "notes": [], "skipped": []}
    for page in (evaluation_page(report, lambda _: PICTURE), comparison_page(compared, lambda _: PICTURE)):
        seen = Seen(page)
        assert len(seen.all("script")) == 1
        assert {image["src"] for image in seen.all("img")} == {PICTURE}
        assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
        assert all(name in seen.text for name in HOSTILE[:3])
        assert "M\\udcfcnster </style></title>\\u202egpj.exe\\u0007" in seen.text
        assert "\u202e" not in page.decode("utf-8")
        policy = str(seen.all("meta")[1]["content"])
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
        assert "unsafe" not in policy


def test_names_of_a_real_folder_that_are_not_unicode(tmp_path: Path) -> None:
    make_classes(tmp_path, 2, ["a", "b"])
    (tmp_path / "a" / "00.jpg").rename(tmp_path / "a" / "M\udcfcnster.jpg")
    split = load_data({"test": tmp_path}, Progress(None), ["a", "b"]).splits["test"]
    files = [sample.name for sample in split.samples]
    assert files[1] == "a/M\udcfcnster.jpg"
    report = whole_report(of_predictions([0, 1, 1, 1], [0, 0, 1, 1], 2), files, ["a", "b"])
    seen = Seen(evaluation_page(report, Pictures(split.reader())))
    assert "a/M\\udcfcnster.jpg" in seen.text
    # The mistake as one of its pair, two right answers to compare, and the mistake among the mistakes.
    assert len(seen.all("img")) == 4
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,/9j/") for image in seen.all("img"))


def test_a_picture_that_has_gone_leaves_a_place(tmp_path: Path) -> None:
    report = report_of([1, 1], [0, 1], ["a", "b"])
    seen = Seen(evaluation_page(report, lambda _: None))
    assert seen.all("img") == []
    gone = [each for each in seen.all("span") if each.get("role") == "img"]
    assert [each["aria-label"] for each in gone] == [
        "Image of a, taken for b: a/0.jpg", "Image of b, recognised: b/1.jpg", "Image of a, taken for b: a/0.jpg",
    ]  # fmt: skip


def test_thumbnails_are_small_jpegs(tmp_path: Path) -> None:
    make_classes(tmp_path, 1, ["a", "b"])
    Image.fromarray(np.zeros((300, 900, 3), dtype=np.uint8)).save(tmp_path / "a" / "00.jpg")
    split = load_data({"test": tmp_path}, Progress(None), ["a", "b"]).splits["test"]
    pictures = Pictures(split.reader())
    source = pictures("a/00.jpg")
    assert source is not None
    image = Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1])))
    assert (image.format, image.width, image.height) == ("JPEG", 224, 75)
    (tmp_path / "b" / "00.jpg").unlink()
    assert pictures("b/00.jpg") is None
    assert pictures("nowhere") is None


def test_133_classes_and_10000_images_stay_below_5_megabytes(tmp_path: Path) -> None:
    labels = [f"North Atlantic long-haired retriever {k}" for k in range(133)]
    result = random_evaluation(10_000, 133)
    files = [f"{labels[label]}/{place:05d}.jpg" for place, label in enumerate(result.labels)]
    history = [
        {"epoch": e + 1, "validation_accuracy": 0.5, "validation_class_accuracy": [0.5] * 133} for e in range(100)
    ]
    report = whole_report(result, files, labels, history=history)
    # Noise is what JPEG can make least of.
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    make_classes(tmp_path, 1, ["a", "b"])
    Image.fromarray(noise).save(tmp_path / "a" / "00.jpg", quality=95)
    split = load_data({"test": tmp_path}, Progress(None), ["a", "b"]).splits["test"]
    pictures = Pictures(split.reader())
    page = evaluation_page(report, lambda _: pictures("a/00.jpg"))
    assert 24 + 8 * 2 < page.count(b"data:image/jpeg") <= 24 + 8 * 2 * 3
    assert 1_000_000 < len(page) < 5_000_000
    assert len(json.dumps(report)) < 5_000_000


def sentences(report: dict[str, Any]) -> list[str]:
    return [each.text for each in advice(report)]


def test_what_to_look_at_first() -> None:
    # 30 images of each: 4 of ember for quilt, 1 the other way round.
    report = report_of([1] * 4 + [0] * 26 + [0] + [1] * 29, [0] * 30 + [1] * 30, ["Ember bulldog", "Quilt shepherd"])
    found = sentences(report)
    assert (
        found[0] == "Ember bulldog is taken for Quilt shepherd in 4 of 30 images, and the other way round in 1 of 30."
    )
    assert "5 of 5 mistakes come with a probability of at least 90 %: look whether the labels of those files" in found[
        1
    ].replace("\u00a0", " ")
    assert "Probabilities are higher than they should be, by 8.3 points on average" in found[2]
    assert [each.anchor for each in advice(report)] == ["pairs", "mistakes", "calibration", "figures"]


def test_the_sentences_on_classes_and_learning() -> None:
    history = [
        {
            "epoch": e,
            "train_accuracy": 0.99,
            "validation_accuracy": 0.6,
            "validation_class_accuracy": [1, 0.2, 0.3, None],
        }
        for e in (1, 2, 3)
    ]
    report = report_of([0] * 10 + [0] * 5 + [1] * 5 + [2] * 10, [0] * 10 + [1] * 10 + [2] * 10, ["a", "b", "c", "d"],
                       history=history)  # fmt: skip
    report["model"] = {**MODEL, "best_epoch": 3}
    report["skipped"] = [{"file": "x", "reason": "y"}]
    text = "\n".join(sentences(report)).replace("\u00a0", " ")
    for sentence in (
        "b is taken for a in 5 of 10 images.",
        "b is recognised least: 5 of 10 images (50 %), against 83 % overall.",
        "a is answered too readily: 15 times for 10 images.",
        "The last of 3 epochs was the best: more epochs may help.",
        "Training accuracy ended at 99 %, validation accuracy at 60 %",
        "b did not end training with half of its validation images right (1 more class like it).",
        "1 of 4 classes has no image here (d), so nothing is known of it.",
        "1 file can't be read and was left out.",
    ):
        assert sentence in text


def test_no_mistake_at_all() -> None:
    report = report_of([0, 1] * 50, [0, 1] * 50, ["a", "b"])
    # Wilson: 100 of 100 is at least 100 / (100 + 3.841) = 96.3 %.
    assert (
        sentences(report)[0]
        .replace("\u00a0", " ")
        .startswith("No mistake among 100 images. Of images like these, at least 96.3 % are classified right")
    )
    text = Seen(evaluation_page(report, lambda _: PICTURE)).text
    assert "No two classes were confused." in text
    assert "There is none: every image is classified right." in text
    many = report_of(list(range(40)), list(range(40)), [f"c{k}" for k in range(40)])
    assert "No two of the 40 classes were confused" in Seen(evaluation_page(many, lambda _: PICTURE)).text


def test_the_heat_map_is_whole_up_to_30_classes() -> None:
    small = confusion_matrix(report_of([0, 1, 1], [0, 0, 1], [f"c{k}" for k in range(30)]))
    assert small.whole
    assert len(small.labels) == 30
    assert [cell.style for cell in small.rows[0].cells[:3]] == ["right", "e9", "0"]
    # Of 31 classes only those of the confused pairs: 0 and 1; 5 is taken for 6.
    large = confusion_matrix(report_of([1, 1, 0, 6, 7], [0, 0, 1, 5, 7], [f"c{k}" for k in range(31)]))
    assert not large.whole
    assert large.labels == ("c0", "c1", "c5", "c6")
    assert [(row.n, row.others) for row in large.rows] == [(2, 0), (1, 0), (1, 0), (0, 0)]
    crowd = [k + 1 if k % 2 == 0 else k for k in range(60)]
    assert len(confusion_matrix(report_of(crowd, list(range(60)), [f"c{k}" for k in range(60)])).labels) == 20


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.8123, "81.2 %"), (1, "100.0 %"), (0, "0.0 %"), (0.9999, "> 99.9 %"), (0.0001, "< 0.1 %"), (None, "\u2013")],
)
def test_percent(share: float | None, text: str) -> None:
    assert percent(share).replace("\u00a0", " ") == text


def test_points_and_counts() -> None:
    assert [points(each) for each in (0.035, -0.01, 0.0001, 0, None)] == ["+3.5", "\u22121.0", "0", "0", "\u2013"]
    assert (count(1, "image"), count(12345, "image")) == ("1 image", "12,345 images")
    assert count(2, "class", "classes") == "2 classes"


def test_ticks_are_round() -> None:
    assert nice_ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert nice_ticks(0, 2.3) == pytest.approx([0, 0.5, 1, 1.5, 2])
    assert nice_ticks(3, 3) == [3]
