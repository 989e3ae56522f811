"""The lines of a file that is being written."""

from pathlib import Path

import pytest

from contract import files
from contract.files import GrowingFile


def append(file: Path, content: bytes) -> None:
    with file.open("ab") as more:
        more.write(content)


def test_a_line_comes_once_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    lines = GrowingFile(file)
    assert list(lines.read()) == []
    append(file, b"one\n\ntw")
    assert list(lines.read()) == [b"one\n", b"\n"]
    assert list(lines.read()) == []
    append(file, b"o\nthr")
    assert list(lines.read()) == [b"two\n"]
    assert list(lines.read(ended=True)) == [b"thr"]
    assert list(lines.read(ended=True)) == []


def test_it_begins_at_a_position(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"old\nnew\n")
    assert list(GrowingFile(tmp_path / "log", 4).read()) == [b"new\n"]


@pytest.mark.parametrize("piece", [4, 5, 8, 64])
def test_a_large_file_is_read_in_pieces(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PIECE", piece)
    append(tmp_path / "log", b"a\nbc\ndef\n\ng")
    lines = GrowingFile(tmp_path / "log")
    assert list(lines.read()) == [b"a\n", b"bc\n", b"def\n", b"\n"]
    assert list(lines.read(ended=True)) == [b"g"]
