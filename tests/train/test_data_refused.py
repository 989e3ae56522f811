"""Archives that can't be read: one sentence each."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.train.forms import contents, fault, load, names, write_tar, write_zip
from tests.train.support import make_classes


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, bytes]:
    """Three images a class, by class/file."""
    make_classes(tmp_path / "folders", 3)
    return contents(tmp_path / "folders")


GZIP = "no photo in it can be read without unpacking all before it, and photos are compressed already"


@pytest.mark.parametrize(
    ("name", "mode", "command"),
    [
        ("a.tar.gz", "w:gz", "gunzip -c < a.tar.gz > a.tar"),
        ("my photos.tgz", "w:gz", "gunzip -c < 'my photos.tgz' > 'my photos.tar'"),
        ("a.tar.bz2", "w:bz2", "bunzip2 -c < a.tar.bz2 > a.tar"),
        ("a.txz", "w:xz", "unxz -c < a.txz > a.tar"),
        ("a.tar", "w:gz", "gunzip -c < a.tar > plain-a.tar"),
    ],
)
def test_a_compressed_tar_is_refused_with_the_command_that_helps(
    tmp_path: Path, photos: dict[str, bytes], name: str, mode: str, command: str
) -> None:
    write_tar(tmp_path / "c" / name, photos, mode)
    message = fault(train=tmp_path / "c")
    assert message == f"{name} is a compressed tar: {GZIP}; make a plain one: {command}"
    subprocess.run(command, shell=True, cwd=tmp_path / "c", check=True)
    (tmp_path / "c" / name).unlink()
    assert len(names(load(train=tmp_path / "c"))) == 9


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_end(data: bytes) -> bytes:
    return data.rstrip(b"\0") + b"\0" * (-len(data.rstrip(b"\0")) % 512)


def with_garbage(data: bytes) -> bytes:
    return data[: 512 * 8] + b"\xff" * 512 * 8


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("a.tar", cut, ""),
        ("a.tar", without_end, "its end mark is missing"),
        ("a.tar", with_garbage, ""),
        ("a.tar", lambda data: b"", "empty file"),
        ("a.tar", lambda data: data + data, "no header and no end mark at byte"),
        ("a.zip", cut, "File is not a zip file"),
        ("a.zip", lambda data: b"PK\3\4", "File is not a zip file"),
        ("a.zip", lambda data: data.replace(b"PK\1\2", b"PK\1\7", 1), "Bad magic number for central directory"),
    ],
)
def test_damaged_archives(tmp_path, photos, name, damage, words) -> None:  # type: ignore[no-untyped-def]
    archive = (write_tar if name.endswith("tar") else write_zip)(tmp_path / "c" / name, photos)
    archive.write_bytes(damage(archive.read_bytes()))
    message = fault(train=tmp_path / "c")
    assert message.startswith(f"{archive} is damaged, truncated or no .{name[-3:]} file (")
    assert words in message
    assert message.endswith("copy or make it again")


def test_zip_entries_that_lie_about_their_place_and_size(tmp_path: Path, photos: dict[str, bytes]) -> None:
    archive = write_zip(tmp_path / "c" / "a.zip", photos, zipfile.ZIP_STORED)
    data = archive.read_bytes()
    entry = data.index(b"PK\1\2")
    # In the central directory: the packed size stands at 20, the offset of the local header at 42.
    for at in (20, 42):
        archive.write_bytes(data[: entry + at] + b"\0\0\0\x7f" + data[entry + at + 4 :])
        assert "damaged, truncated or no .zip file (an entry lies outside the file)" in fault(train=tmp_path / "c")
    packed = int.from_bytes(data[entry + 20 : entry + 24], "little") + 2000
    archive.write_bytes(data[: entry + 20] + packed.to_bytes(4, "little") + data[entry + 24 :])
    (skipped,) = load(train=tmp_path / "c").skipped
    assert skipped.reason == "its entry in a.zip is damaged; copy or make the archive again"


def test_an_encrypted_zip(tmp_path: Path, photos: dict[str, bytes]) -> None:
    archive = write_zip(tmp_path / "c" / "a.zip", photos)
    data = archive.read_bytes()
    archive.write_bytes(data.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"))
    assert fault(train=tmp_path / "c") == f"{archive} is encrypted; make it again without a password"


def test_a_zip_of_another_compression(tmp_path: Path, photos: dict[str, bytes]) -> None:
    archive = write_zip(tmp_path / "c" / "a.zip", photos, zipfile.ZIP_LZMA)
    assert fault(train=tmp_path / "c").startswith(f"{archive} uses the compression LZMA; make it again as stored")


def test_other_archives(tmp_path: Path) -> None:
    (tmp_path / "photos.rar").write_bytes(b"Rar!")
    assert fault(train=tmp_path).startswith(f"{tmp_path / 'photos.rar'} is no .tar or .zip file; expected one folder")
    (tmp_path / "photos.rar").rename(tmp_path / "photo.jpg")
    assert "photo.jpg is no .tar or .zip file" in fault(train=tmp_path / "photo.jpg")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "holds no files"),
        ({"1.jpg": b"x", "2.jpg": b"x"}, "holds 2 .jpg files; expected one folder a class"),
        ({"a.csv": b"1", "b.csv": b"2"}, "holds 2 .csv files; expected"),
        ({"cat/a.txt": b"1", "dog/b.txt": b"2", "x.csv": b"3"},
         "holds 1 .csv file and 2 folders of .txt files, none an image that can be read; expected one folder"),
        ({"pug/1.jpg": b"x"}, "holds one class (pug), a classifier needs at least two"),
    ],
)  # fmt: skip
def test_an_archive_of_something_else(tmp_path: Path, members: dict[str, bytes], words: str) -> None:
    write_tar(tmp_path / "a.tar", members)
    assert words in fault(train=tmp_path)
