"""WebDataset layout: files that share a key are one example."""

import json
from pathlib import Path

import pytest

from tests.train.forms import fault, load, names, write_tar
from tests.train.support import picture
from train.data.load import find_images
from train.data.splits import resolve_splits

WORDS = ("pug", "beagle")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Four JPEGs."""
    file = tmp_path_factory.mktemp("images") / "image.jpg"
    found = []
    for seed in range(4):
        picture(seed, 100).save(file)
        found.append(file.read_bytes())
    return found


def shard(images: list[bytes], labels: list[str], start: int = 0) -> dict[str, bytes]:
    """000000.jpg, 000000.cls and so on."""
    members = {}
    for number, label in enumerate(labels):
        members[f"{start + number:06d}.jpg"] = images[number % len(images)]
        members[f"{start + number:06d}.cls"] = label.encode()
    return members


def test_class_numbers_without_names_are_the_classes_in_numeric_order(tmp_path: Path, images: list[bytes]) -> None:
    write_tar(tmp_path / "a.tar", shard(images, ["10", "2", "2\n", "0"]))
    data = load(train=tmp_path)
    assert data.classes == ("0", "2", "10")
    assert names(data) == ["0/000003.jpg", "2/000001.jpg", "2/000002.jpg", "10/000000.jpg"]
    assert [sample.label for sample in data.splits["train"].samples] == [0, 1, 1, 2]
    assert data.notes == ("train data: WebDataset layout in a.tar",)


def test_shards_may_use_the_same_keys(tmp_path: Path, images: list[bytes]) -> None:
    write_tar(tmp_path / "s-0.tar", shard(images, ["0", "1"]))
    write_tar(tmp_path / "s-1.tar", shard(images, ["1", "0"]))
    write_tar(tmp_path / "s-2.tar", shard(images, ["1"], start=7))
    data = load(train=tmp_path)
    # A key belongs to its shard: 000000 is of class 0 in one and of class 1 in the other.
    assert names(data) == [
        "0/s-0.tar/000000.jpg",
        "0/s-1.tar/000001.jpg",
        "1/000007.jpg",
        "1/s-0.tar/000001.jpg",
        "1/s-1.tar/000000.jpg",
    ]


@pytest.mark.parametrize("inside", [True, False])
def test_classes_txt_names_the_numbers_and_orders_the_classes(
    tmp_path: Path, images: list[bytes], inside: bool
) -> None:
    text = "pug\r\nshiba inu\nbeagle\n\n"
    members = shard(images, ["2", "0", "0"])
    if inside:
        members["classes.txt"] = text.encode()
    else:
        tmp_path.joinpath("c").mkdir()
        (tmp_path / "c" / "classes.txt").write_text(text)
    write_tar(tmp_path / "c" / "a.tar", members)
    data = load(train=tmp_path / "c")
    # There is no shiba inu in the training data.
    assert data.classes == ("pug", "beagle")
    assert names(data) == ["pug/000001.jpg", "pug/000002.jpg", "beagle/000000.jpg"]


def test_the_training_datas_names_hold_for_the_other_splits(tmp_path: Path, images: list[bytes]) -> None:
    write_tar(tmp_path / "train" / "a.tar", {**shard(images, ["0", "1"]), "classes.txt": b"pug\nbeagle"})
    write_tar(tmp_path / "valid" / "a.tar", shard(images, ["1"]))
    data = load(train=tmp_path / "train", validation=tmp_path / "valid")
    assert data.classes == WORDS
    assert names(data, "valid") == ["beagle/000000.jpg"]


def test_class_names_as_text_and_as_json(tmp_path: Path, images: list[bytes]) -> None:
    members = {
        "a/1.jpg": images[0], "a/1.cls": "Möpse".encode(),
        "a/2.left.jpg": images[1], "a/2.json": json.dumps({"label": "beagle", "class": "dog"}).encode(),
        "a/3.png": images[2], "a/3.meta.json": json.dumps({"class": "beagle"}).encode(),
    }  # fmt: skip
    write_tar(tmp_path / "a.tar", members)
    data = load(train=tmp_path)
    assert data.classes == ("Möpse", "beagle")
    assert names(data) == ["Möpse/a/1.jpg", "beagle/a/2.left.jpg", "beagle/a/3.png"]


def test_json_numbers_beside_loose_images(tmp_path: Path, images: list[bytes]) -> None:
    members = {}
    for number, label in enumerate((1, 0.0, 1)):
        members[f"{number}.jpg"] = images[number]
        members[f"{number}.json"] = json.dumps({"label": label}).encode()
    write_tar(tmp_path / "a.tar", members)
    assert names(load(train=tmp_path)) == ["0/1.jpg", "1/0.jpg", "1/2.jpg"]


def test_json_beside_images_in_class_folders_is_no_webdataset(tmp_path: Path, images: list[bytes]) -> None:
    members = {f"{name}/1.{kind}": images[0] for name in WORDS for kind in ("jpg", "json")}
    write_tar(tmp_path / "a.tar", members)
    classes = find_images(resolve_splits({"train": tmp_path})).classes
    assert classes == ("beagle", "pug")


def test_examples_without_image_or_class_are_named(tmp_path: Path, images: list[bytes]) -> None:
    members = {
        **shard(images, ["0", "1"]),
        "x1.jpg": images[0],
        "x2.cls": b"1",
        "x3.jpg": images[0], "x3.cls": b" \n",
        "x4.jpg": images[0], "x4.cls": b"\xff\xfe",
        "x5.jpg": images[0], "x5.json": b"{",
        "x6.jpg": images[0], "x6.json": b'{"caption": "a dog"}',
        "x7.jpg": images[0], "x7.png": images[0], "x7.cls": b"1",
    }  # fmt: skip
    write_tar(tmp_path / "a.tar", members)
    data = load(train=tmp_path)
    assert names(data) == ["0/000000.jpg", "1/000001.jpg", "1/x7.jpg"]
    assert {each.file: each.reason for each in data.skipped} == {
        "train/x1.jpg": "no .cls or .json file has its key",
        "train/x2": "no image has this key",
        "train/x3.jpg": "x3.cls holds no class",
        "train/x4.jpg": "x4.cls is no UTF-8 text",
        "train/x5.jpg": "x5.json is no JSON",
        "train/x6.jpg": "x6.json holds no class",
        "train/x7.png": "a second image with the key x7",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"pug", "train data: class number 1 has no name: classes.txt has 1 lines, the first for class 0"),
        (b"pug\n\nbeagle", "classes.txt in a.tar: line 2 is empty"),
        (b"pug\npug", "classes.txt in a.tar: pug stands in it twice (again in line 2)"),
        (b"\xff\xfe", "classes.txt in a.tar is no UTF-8 text"),
    ],
)
def test_a_classes_txt_that_does_not_fit(tmp_path: Path, images: list[bytes], text: bytes, words: str) -> None:
    write_tar(tmp_path / "a.tar", {**shard(images, ["0", "1"]), "classes.txt": text})
    assert words in fault(train=tmp_path)


def test_numbers_where_training_has_names(tmp_path: Path, images: list[bytes]) -> None:
    write_tar(tmp_path / "train" / "a.tar", shard(images, [*WORDS]))
    write_tar(tmp_path / "test" / "a.tar", shard(images, ["0", "1"]))
    message = fault(train=tmp_path / "train", test=tmp_path / "test")
    assert message == (
        "test data: the training data has no class for 2 of its classes (0, 1); correct the labels, or name the class "
        "numbers in a file classes.txt beside the data"
    )


def test_only_labels(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.cls": b"0", "2.cls": b"1"})
    assert "holds 2 .cls files, and no image with a class (1: no image has this key); expected" in fault(train=tmp_path)
