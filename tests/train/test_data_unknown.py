"""Folders in no known layout: what was found, and what is expected."""

from pathlib import Path

import pytest

from tests.train.forms import fault
from tests.train.support import make_classes
from train.data.names import EXPECTED, printable, suffix, summary


def fill(root: Path, *files: str) -> Path:
    """Files of a few bytes; a name that ends in a slash is an empty folder."""
    root.mkdir(exist_ok=True)
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        if file.endswith("/"):
            (root / file).mkdir()
        else:
            (root / file).write_text("text")
    return root


TEXTS = ("a.csv", "b.CSV", "c.csv", "cats/a.txt", "cats/b.txt", "dogs/c.txt")
NO_IMAGE = ", none an image that can be read"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ((), "nothing"),
        (TEXTS, f"3 .csv files and 2 folders of .txt files{NO_IMAGE}"),
        (("a.rec", "a.idx"), "1 .idx file and 1 .rec file"),
        (("data", "LICENSE", ".hidden"), "2 files without extension"),
        (("a.a", "a.b", "a.c", "a.d", "b.e"), "1 .a file, 1 .b file, 1 .c file and 2 other files"),
        (("cats/", "dogs/", "cows/1.txt"), f"2 empty folders and 1 folder of .txt files{NO_IMAGE}"),
    ],
)
def test_what_was_found(tmp_path: Path, files: tuple[str, ...], found: str) -> None:
    place = fill(tmp_path / "train", *files)
    assert fault(train=place) == f"train data: {place} holds {found}; {EXPECTED}"


def test_the_expectation_is_documented_by_its_own_words() -> None:
    for word in ("beagle/1.jpg", ".tar", ".zip", "WebDataset", ".manifest", ".jsonl", ".lst"):
        assert word in EXPECTED


def test_text_files_in_one_of_the_splits(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", 2)
    fill(tmp_path / "test", "pug/1.xml", "pug/2.xml")
    assert fault(train=tmp_path / "train", test=tmp_path / "test") == (
        f"test data: {tmp_path / 'test'} holds 1 folder of .xml files, none an image that can be read; {EXPECTED}"
    )


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["a.b.TXT"], "1 .txt file"),
        (["x/1.jpg", "x/2.jpg", "x/y/3.png", "y/", "z/1.jpg"], "2 folders of .jpg files and 1 empty folder"),
        (["a.file", "b.file"], "2 .file files"),
    ],
)
def test_summaries(paths: list[str], told: str) -> None:
    assert summary(paths) == told


def test_names() -> None:
    assert (suffix("a/b.c/d"), suffix(".bashrc"), suffix("a/x.JPG")) == ("", "", "jpg")
    assert printable("a\x1b[31m\nb\u202ec\udcfcä") == "a\\x1b[31m\\nb\\u202ec\udcfcä"
