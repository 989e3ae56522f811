"""Atomic writes, and reading a JSON object that may not be there."""

from pathlib import Path

import pytest

from contract.files import open_atomic, read_object


def test_a_file_is_replaced_at_the_end_of_the_block(tmp_path: Path) -> None:
    file = tmp_path / "new" / "photos.tar"
    with open_atomic(file) as opened:
        opened.write(b"whole")
        assert not file.exists()
    assert file.read_bytes() == b"whole"
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_fault_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "photos.tar"
    file.write_bytes(b"old")

    def fail() -> None:
        with open_atomic(file) as opened:
            opened.write(b"half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("photos.tar", b"old")]


@pytest.mark.parametrize(
    ("content", "value"), [(None, {}), ("{", {}), ("[1]", {}), ("\udcff", {}), ('{"a": 1}', {"a": 1})]
)
def test_an_object_or_nothing(tmp_path: Path, content: str | None, value: dict[str, int]) -> None:
    file = tmp_path / "x.json"
    if content is not None:
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert read_object(file) == value
