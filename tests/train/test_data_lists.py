"""Augmented manifests and .lst files."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.train.forms import contents, fault, ground_truth, load, names, write_lines, write_tar
from tests.train.support import CLASSES, make_classes
from train.data.layouts import DataLocation
from train.data.splits import pick_split, resolve_splits, unused_channels

URL = "s3://bucket/team/2026"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images a class in a channel of their own."""
    make_classes(tmp_path / "images", 2)
    return tmp_path / "images"


def refs(images: Path) -> list[str]:
    return sorted(contents(images))


def test_a_ground_truth_manifest_with_images_in_another_channel(tmp_path: Path, images: Path) -> None:
    # Ground Truth's own numbering, which isn't alphabetical.
    numbers = {"pug": 0, "German_shepherd_dog": 1, "001.Affenpinscher": 2}
    lines = [ground_truth(f"{URL}/images/{ref}", numbers[ref.split("/")[0]], ref.split("/")[0]) for ref in refs(images)]
    write_lines(tmp_path / "train" / "output.manifest", lines[::-1])
    channels = {"train": tmp_path / "train", "images": images, "weights": tmp_path / "weights"}
    data = load(**channels)
    assert data.classes == CLASSES
    assert names(data) == refs(images)
    assert data.notes == ("train data: listed in output.manifest",)
    assert data.splits["train"].samples[0].encoded() == images / refs(images)[0]
    assert unused_channels(channels, resolve_splits(channels)) == []


@pytest.mark.parametrize("key", ["class", "label"])
@pytest.mark.parametrize("suffix", ["jsonl", "manifest", "jsonlines"])
def test_plain_keys_with_relative_paths(tmp_path: Path, images: Path, key: str, suffix: str) -> None:
    lines = [{"source-ref": ref, key: ref.split("/")[0]} for ref in refs(images)]
    write_lines(images / f"train.{suffix}", lines)
    data = load(dogs=images)
    assert data.classes == CLASSES
    assert names(data) == sorted(ref for ref in refs(images) if ref.endswith("jpg"))


def test_numbers_are_named_by_the_lines_that_have_names_or_by_classes_txt(tmp_path: Path, images: Path) -> None:
    one, two, *_, last = refs(images)
    named = [ground_truth(one, 7, "Affe"), {"source-ref": two, "class": 7}, {"source-ref": last, "label": "3"}]
    write_lines(images / "a.manifest", named)
    assert load(train=images).classes == ("3", "Affe")
    write_lines(images / "a.manifest", [{"source-ref": one, "class": 1}, {"source-ref": last, "class": "0"}])
    assert load(train=images).classes == ("0", "1")
    (images / "classes.txt").write_text("pug\nAffe\n")
    data = load(train=images)
    assert data.classes == ("pug", "Affe")
    assert names(data) == [last, f"Affe/{one}"]


def test_the_longest_end_of_a_reference_that_exists_counts(tmp_path: Path) -> None:
    make_classes(tmp_path / "train" / "images", 1)
    make_classes(tmp_path / "train" / "deep" / "images", 1, seed=5)
    lines = [
        {"source-ref": f"{URL}/images/pug/00.jpg", "class": "a"},
        {"source-ref": f"{URL}/deep/images/pug/00.jpg", "class": "b"},
        {"source-ref": "/home/somebody/../images/German_shepherd_dog/00.jpg", "class": "a"},
        {"source-ref": f"{URL}/00.jpg", "class": "b"},
    ]
    write_lines(tmp_path / "train" / "a.manifest", lines)
    data = load(train=tmp_path / "train")
    assert names(data) == ["a/images/German_shepherd_dog/00.jpg", "a/images/pug/00.jpg", "b/deep/images/pug/00.jpg"]
    (skipped,) = data.skipped
    assert (skipped.file, skipped.reason) == (
        f"train/{URL}/00.jpg",
        "there is no such image (line 4 of a.manifest)",
    )


def test_a_reference_can_not_leave_the_channels(tmp_path: Path, images: Path) -> None:
    make_classes(tmp_path / "private", 1)
    lines = [{"source-ref": f"../private/{name}/00.jpg", "class": name} for name in CLASSES]
    write_lines(tmp_path / "train" / "a.manifest", lines)
    message = fault(train=tmp_path / "train")
    assert message.startswith("train data: none of the 3 images that a.manifest names can be used, for example ../priv")
    assert f"put them into {tmp_path / 'train'} or into another channel (looked in {tmp_path / 'train'})" in message


def test_images_in_an_archive_and_a_manifest_beside_it(tmp_path: Path, images: Path) -> None:
    write_tar(tmp_path / "c" / "images.tar", contents(images))
    write_lines(tmp_path / "c" / "train.jsonl", [{"source-ref": ref, "class": ref[:3]} for ref in refs(images)])
    write_lines(tmp_path / "c" / "test.jsonl", [{"source-ref": refs(images)[-1], "class": "pug"}])
    data = load(c=tmp_path / "c")
    assert data.classes == ("001", "Ger", "pug")
    assert names(data, "test") == ["pug/01.jpg"]
    assert data.notes == ("train data: listed in train.jsonl", "test data: listed in test.jsonl",
                          "test data has no image of 2 classes: 001, Ger")  # fmt: skip


def test_split_folders_with_manifests_and_a_folder_of_images_beside_them(tmp_path: Path, images: Path) -> None:
    for role in ("train", "valid"):
        lines = [{"source-ref": f"{URL}/{ref}", "class": ref.split("/")[0]} for ref in refs(images)]
        write_lines(tmp_path / role / "a.manifest", lines)
    data = load(everything=tmp_path)
    assert [len(split.samples) for split in data.splits.values()] == [6, 6]


def test_other_json_lines_among_class_folders_are_no_manifest(tmp_path: Path, images: Path) -> None:
    write_lines(images / "metadata.jsonl", [{"file_name": "pug/00.jpg", "text": "a pug"}])
    assert load(train=images).notes == ()


def test_other_json_lines_beside_an_archive_are_no_manifest(tmp_path: Path, images: Path) -> None:
    archive = write_tar(tmp_path / "c" / "a.tar", contents(images))
    write_lines(archive.parent / "train.jsonl", [{"file_name": "pug/00.jpg", "text": "a pug"}])
    assert load(train=archive.parent).notes == ("train data: class folders in a.tar",)
    assert pick_split(archive.parent, None) == ("test", DataLocation(archive.parent))


def test_a_label_job_that_failed_and_an_image_named_twice(tmp_path: Path, images: Path) -> None:
    one, two, *_, last = refs(images)
    failed = {"source-ref": two, "breeds-metadata": {"failure-reason": "ClientError: no annotation"}}
    lines = [
        ground_truth(one, 0, "Affe"),
        failed,
        ground_truth(one, 0, "Affe"),
        ground_truth(last, 1, "pug"),
    ]
    write_lines(images / "a.manifest", lines)
    data = load(train=images)
    assert len(data.splits["train"].samples) == 2
    assert {each.file: each.reason for each in data.skipped} == {
        f"train/{two}": "labelling failed (line 2 of a.manifest)",
        f"train/{one}": "named twice (line 1 of a.manifest and line 3 of a.manifest)",
    }


MULTILABEL = {"class-map": {"0": "dog"}, "type": "groundtruth/image-classification-multilabel"}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("{", "line 1 of a.manifest is no JSON ("),
        ("[1]", "line 1 of a.manifest has no source-ref; write one object a line, like {"),
        ('{"source": "a text", "class": 1}', "line 1 of a.manifest has no source-ref"),
        ('\n{"source-ref": "pug/00.jpg"}', "line 2 of a.manifest has no class; expected Ground Truth's"),
        ('{"source-ref": "pug/00.jpg", "class": true}', "line 1 of a.manifest has no class; expected"),
        ('{"source-ref": "pug/00.jpg", "x": [0], "x-metadata": {"type": "groundtruth/object-detection"}}',
         "line 1 of a.manifest has no class (it has: groundtruth/object-detection); expected Ground Truth's"),
        ('{"source-ref": "pug/00.jpg", "class": "a"}\n{"source-ref": "pug/00.jpg", "class": "b"}',
         "line 1 of a.manifest gives pug/00.jpg the class a, line 2 of a.manifest the class b"),
        ("", "a.manifest names no image; write a line for each"),
    ],
)  # fmt: skip
def test_a_manifest_that_can_not_be_used(tmp_path: Path, images: Path, lines: str, words: str) -> None:
    (images / "a.manifest").write_text(lines)
    assert fault(train=images).startswith(f"train data: {words}")


def test_two_jobs_in_one_line(tmp_path: Path, images: Path) -> None:
    line = ground_truth(refs(images)[0], 0, "pug")
    more = {"moods": 1, "moods-metadata": line["breeds-metadata"]}
    write_lines(images / "a.manifest", [{**line, **more}])
    assert "line 1 of a.manifest has 2 classes (breeds, moods); keep the job that is meant" in fault(train=images)


def lst(file: Path, lines: list[tuple[object, ...]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def listed(images: Path, numbers: Mapping[str, object], prefix: str = "") -> list[tuple[object, ...]]:
    return [(index, numbers[ref.split("/")[0]], f"{prefix}{ref}") for index, ref in enumerate(refs(images), 5)]


NUMBERS = {"pug": 0, "German_shepherd_dog": 1, "001.Affenpinscher": 2}


def test_lst_channels_beside_the_images(tmp_path: Path, images: Path) -> None:
    lst(tmp_path / "train_lst" / "train.lst", listed(images, NUMBERS))
    lst(tmp_path / "validation_lst" / "val.lst", listed(images, NUMBERS)[:1])
    channels = {"train": images, "validation": images,
                "train_lst": tmp_path / "train_lst", "validation_lst": tmp_path / "validation_lst"}  # fmt: skip
    data = load(**channels)
    # One folder a number: the folders' names, in the order of the numbers.
    assert data.classes == ("pug", "German_shepherd_dog", "001.Affenpinscher")
    assert names(data) == [f"{name}/0{index}.jpg" for name in NUMBERS for index in (0, 1)]
    assert names(data, "valid") == ["001.Affenpinscher/00.jpg"]
    assert unused_channels(channels, resolve_splits(channels)) == []


def test_a_list_of_another_split_in_the_channel_is_not_this_ones(tmp_path: Path, images: Path) -> None:
    lst(tmp_path / "validation" / "all.lst", listed(images, NUMBERS, "valid/"))
    lines = listed(images, NUMBERS)
    lst(images / "train.lst", lines[1:])
    lst(images / "val.lst", lines[:1])
    make_classes(tmp_path / "validation" / "valid", 2)
    data = load(train=images, validation=tmp_path / "validation")
    assert {role: len(split.samples) for role, split in data.splits.items()} == {"train": 5, "valid": 6}


def test_lst_in_the_channel_itself_as_im2rec_writes_it(tmp_path: Path, images: Path) -> None:
    numbers = {name: f"{number}.000000" for name, number in NUMBERS.items()}
    lst(tmp_path / "train" / "train.lst", listed(images, numbers, "images/"))
    images.rename(tmp_path / "train" / "images")
    assert load(train=tmp_path / "train").classes == ("pug", "German_shepherd_dog", "001.Affenpinscher")


def test_classes_that_are_not_folders_keep_their_numbers(tmp_path: Path, images: Path) -> None:
    # Two folders are one class.
    lst(images / "a.lst", listed(images, {"pug": 10, "German_shepherd_dog": 10, "001.Affenpinscher": 9}))
    data = load(train=images)
    assert data.classes == ("9", "10")
    assert names(data)[:3] == ["9/001.Affenpinscher/00.jpg", "9/001.Affenpinscher/01.jpg",
                               "10/German_shepherd_dog/00.jpg"]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 1 pug/00.jpg", "line 1 of a.lst must be an index, a class number from 0 and a relative path, separated by"),
        ("0\tpug\tpug/00.jpg", "got '0\\tpug\\tpug/00.jpg'"),
        ("0\t-1\tpug/00.jpg", "line 1 of a.lst must be"),
        ("0\t1\t0\t1\tpug/00.jpg", "line 1 of a.lst has 5 columns: an image may have one class alone"),
        ("0\t1\tpug/none.jpg", "none of the 1 images that a.lst names can be used, for example pug/none.jpg"),
    ],
)
def test_a_lst_that_can_not_be_used(tmp_path: Path, images: Path, line: str, words: str) -> None:
    (images / "a.lst").write_text(line)
    assert words in fault(train=images)


def test_lst_channels_that_do_not_fit(tmp_path: Path, images: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert fault(train=images, validation_lst=tmp_path / "empty") == (
        "channel validation_lst lists images, and no channel validation holds them; give that channel too"
    )
    assert fault(train=images, train_lst=tmp_path / "empty").startswith(
        f"channel train_lst ({tmp_path / 'empty'}) holds no .lst file"
    )


def test_text_that_is_not_utf8(tmp_path: Path, images: Path) -> None:
    (images / "a.lst").write_bytes(b"0\t1\tM\xfcnster.jpg\n")
    assert "a.lst is no UTF-8 text (byte 5); save it as UTF-8" in fault(train=images)
