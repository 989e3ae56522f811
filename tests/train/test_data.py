"""Which files become samples, which are left out and why."""

import shutil
from pathlib import Path

import pytest

from contract.errors import DataError
from contract.files import write_json
from contract.progress import Progress
from tests.train.conftest import broken_files
from tests.train.support import CLASSES, make_classes, picture
from train.data.dataset import DataSet
from train.data.load import load_data
from train.data.splits import ensure_validation

NAMES = ("M\udcfcnster.jpg", "empty.png", "gone.jpg", "notes.txt", "truncated.jpg")


def load(**roles: Path) -> DataSet:
    return load_data(roles, Progress(None))


def fault(**roles: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(**roles)
    return str(caught.value)


def test_samples_are_ordered_by_class_and_name(tmp_path: Path) -> None:
    make_classes(tmp_path, 3)
    (tmp_path / "pug" / "sub").mkdir()
    picture(9, 90).save(tmp_path / "pug" / "sub" / "00.png")
    data = load(train=tmp_path)
    assert data.classes == CLASSES
    split = data.splits["train"]
    names = [f"{name}/{index:02d}.jpg" for name in CLASSES for index in range(3)]
    assert [sample.name for sample in split.samples] == [*names, "pug/sub/00.png"]
    assert [sample.label for sample in split.samples] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert data.skipped == ()


def test_broken_files_are_named_with_their_reason(tmp_path: Path) -> None:
    make_classes(tmp_path, 3)
    broken_files(tmp_path)
    data = load(train=tmp_path)
    assert data.classes == CLASSES
    reasons = {each.file: each.reason for each in data.skipped}
    assert list(reasons) == [f"train/pug/{name}" for name in NAMES]
    assert reasons["train/pug/empty.png"] == "empty file"
    assert reasons["train/pug/gone.jpg"] == "can't be read (No such file or directory)"
    assert reasons["train/pug/notes.txt"].startswith("not an image that can be read; the formats are JPEG, PNG")
    assert reasons["train/pug/truncated.jpg"].startswith("the image is broken or truncated (")
    report = data.report()
    assert report["images"] == {"train": 9}
    assert report["images_by_class"] == {"train": dict.fromkeys(CLASSES, 3)}
    assert report["skipped_count"] == 5
    assert report["notes"] == ["skipped unreadable files: 5 in train"]


def test_a_file_name_that_is_not_utf8_can_be_reported(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", 2)
    (tmp_path / "train" / "pug" / "M\udcfcnster.jpg").write_bytes(b"no image")
    report = load(train=tmp_path / "train").report()
    write_json(tmp_path / "data.json", report)
    assert "train/pug/M\\udcfcnster.jpg" in (tmp_path / "data.json").read_text(encoding="utf-8")


def test_a_class_without_any_readable_image(tmp_path: Path) -> None:
    make_classes(tmp_path, 2)
    for file in (tmp_path / "pug").iterdir():
        file.write_bytes(b"GIF89a")
    message = fault(train=tmp_path)
    assert message.startswith("train data: class pug has no readable image among its 2 files (for example ")
    assert "train/pug/00.jpg: not an image that can be read" in message


def test_an_empty_class_folder(tmp_path: Path) -> None:
    make_classes(tmp_path, 2)
    (tmp_path / "whippet").mkdir()
    assert "class whippet has no readable image among its 0 files" in fault(train=tmp_path)


def test_one_class_only(tmp_path: Path) -> None:
    make_classes(tmp_path, 2, ["pug"])
    assert "holds one class (pug), a classifier needs at least two" in fault(train=tmp_path)


def test_files_without_class_folders(tmp_path: Path) -> None:
    picture(0, 100).save(tmp_path / "a.jpg")
    picture(1, 100).save(tmp_path / "b.jpg")
    assert "holds 2 .jpg files; expected one folder a class" in fault(train=tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'train'}" in fault(train=tmp_path / "train")


def test_a_class_that_training_does_not_know(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", 2)
    make_classes(tmp_path / "valid", 2, [*CLASSES, "whippet", "wolf"])
    message = fault(train=tmp_path / "train", valid=tmp_path / "valid")
    assert message.startswith("valid data: the training data has no class for 2 of its folders (whippet, wolf)")


def test_a_class_missing_from_validation_is_noted(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", 2)
    make_classes(tmp_path / "valid", 2, CLASSES[:2])
    data = load(train=tmp_path / "train", valid=tmp_path / "valid")
    assert data.notes == ("valid data has no image of 1 classes: pug",)
    assert data.report()["images_by_class"]["valid"] == {CLASSES[0]: 2, CLASSES[1]: 2, "pug": 0}


def test_validation_data_without_any_image(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", 2)
    for name in CLASSES:
        (tmp_path / "valid" / name).mkdir(parents=True)
    assert fault(train=tmp_path / "train", valid=tmp_path / "valid").startswith("valid data: class 001.Affen")


@pytest.fixture
def uneven(tmp_path: Path) -> DataSet:
    """1, 5 and 12 images."""
    for name, count in zip(CLASSES, (1, 5, 12), strict=True):
        make_classes(tmp_path, count, [name])
    return load(train=tmp_path)


@pytest.mark.parametrize(
    ("fraction", "moved"),
    [
        # round(0.2 * 5) = 1, round(0.2 * 12) = round(2.4) = 2; a class of one keeps it.
        (0.2, [0, 1, 2]),
        # round(0.9 * 5) = round(4.5) = 4, round(0.9 * 12) = round(10.8) = 11.
        (0.9, [0, 4, 11]),
        # round(0.05) = 0 and round(0.12) = 0, but one image is the least.
        (0.01, [0, 1, 1]),
    ],
)
def test_the_split_is_stratified(uneven: DataSet, fraction: float, moved: list[int]) -> None:
    data = ensure_validation(uneven, fraction, seed=0)
    report = data.report()["images_by_class"]
    assert list(report["valid"].values()) == moved
    assert list(report["train"].values()) == [1 - moved[0], 5 - moved[1], 12 - moved[2]]
    assert set(data.splits["train"].samples) | set(data.splits["valid"].samples) == set(uneven.splits["train"].samples)
    assert data.notes[-1] == (
        f"no validation data was given: {sum(moved)} of 18 training images were set apart, stratified by class, seed 0"
    )


def test_the_split_follows_the_seed(uneven: DataSet) -> None:
    first, same, other = (ensure_validation(uneven, 0.5, seed) for seed in (1, 1, 2))
    assert first.splits == same.splits
    assert first.splits != other.splits


def test_given_validation_data_stay(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", 3)
    shutil.copytree(tmp_path / "train", tmp_path / "valid")
    data = load(train=tmp_path / "train", valid=tmp_path / "valid")
    assert ensure_validation(data, 0.2, 0) is data


def test_no_class_with_two_images(tmp_path: Path) -> None:
    make_classes(tmp_path, 1)
    with pytest.raises(DataError, match="no class has two training images"):
        ensure_validation(load(train=tmp_path), 0.2, 0)
