"""`python -m train.pack`: class folders, or any other form, become one plain tar a split."""

import os
import sys
import tarfile
from pathlib import Path

import pytest

from contract.errors import DataError
from tests.train.forms import contents, load, names, write_tar, write_zip
from tests.train.support import CLASSES, make_classes, run
from train.pack import main


def pack(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["pack", "--data", str(data), "--out", str(out)])
    main()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Splits train and val, two images a class, and one file that is no image."""
    for role in ("train", "val"):
        make_classes(tmp_path / "photos" / role, 2)
    (tmp_path / "photos" / "train" / "pug" / "notes.txt").write_text("a pug")
    return tmp_path / "photos"


def test_packing_as_a_process(tmp_path: Path, photos: Path) -> None:
    result = run(["train.pack", "--data", str(photos), "--out", str(tmp_path / "out")], tmp_path)
    assert result.code == 0, result.err
    assert sorted(contents(tmp_path / "out")) == ["train/train.tar", "valid/valid.tar"]
    train = tmp_path / "out" / "train" / "train.tar"
    assert result.out.splitlines()[0] == f"{train}: 7 images, {train.stat().st_size} bytes"
    with tarfile.open(train) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == sorted(contents(photos / "train"))
        assert {(member.mtime, member.uid, member.gid, member.mode, member.uname) for member in members} == {
            (0, 0, 0, 0o644, "")
        }
    packed = load(dogs=tmp_path / "out")
    folders = load(dogs=photos)
    assert names(packed) == names(folders)
    assert packed.skipped == folders.skipped
    again = run(["train.pack", "--data", str(photos), "--out", str(tmp_path / "out")], tmp_path)
    assert (again.code, again.err) == (2, f"error: {train} is there already; remove it or choose another --out\n")


def test_the_same_photos_give_the_same_bytes_from_any_form(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_zip(tmp_path / "photos.zip", contents(photos))
    for file in photos.rglob("*.jpg"):
        os.utime(file, (1, 1))
    pack(monkeypatch, photos, tmp_path / "a")
    pack(monkeypatch, tmp_path / "photos.zip", tmp_path / "b")
    pack(monkeypatch, tmp_path / "a", tmp_path / "c")
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")
    assert (tmp_path / "a" / "train" / "train.tar").stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_no_tar(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "train" / "pug" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match=r"^pug/gone.jpg can't be read \(No such file or directory\); repair"):
        pack(monkeypatch, photos, tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_a_class_that_can_be_no_folder(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = (photos / "train" / "pug" / "00.jpg").read_bytes()
    write_tar(tmp_path / "a.tar", {"1.jpg": image, "1.cls": b"dogs/pug", "2.jpg": image, "2.cls": b"cat"})
    with pytest.raises(DataError, match="class dogs/pug can't be a folder's name; rename it"):
        pack(monkeypatch, tmp_path / "a.tar", tmp_path / "out")
    assert CLASSES[2] == "pug"
