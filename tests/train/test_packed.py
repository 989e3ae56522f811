"""An artifact that is evaluated from its archive, and archives that aren't one."""

import io
import tarfile
from pathlib import Path

import pytest

from contract.errors import ArtifactError
from train.evaluation.command import artifact_folder


def archive(file: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def test_a_folder_is_itself(tmp_path: Path) -> None:
    with artifact_folder(tmp_path) as folder:
        assert folder == tmp_path


def test_an_archive_is_unpacked_as_long_as_the_block_lasts(tmp_path: Path) -> None:
    file = archive(
        tmp_path / "model.tar.gz", (member("./", tarfile.DIRTYPE), b""), (member("./kennel.json"), b"{}"),
        (member("more/history.json"), b"[]"),
    )  # fmt: skip
    with artifact_folder(file) as folder:
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.json")}
    assert found == {"kennel.json": b"{}", "more/history.json": b"[]"}
    assert not folder.exists()


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("/etc/outside"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("hard", tarfile.LNKTYPE, "kennel.json"),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda each: each.name,
)
def test_what_is_no_plain_file_is_refused(bad: tarfile.TarInfo, tmp_path: Path) -> None:
    file = archive(tmp_path / "model.tar.gz", (member("kennel.json"), b"{}"), (bad, b""))
    with pytest.raises(ArtifactError, match=r"which is no plain file; pack the artifact again$"), artifact_folder(file):
        pytest.fail("it was unpacked")
    assert not (tmp_path / "outside").exists()


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    file = tmp_path / "model.tar.gz"
    file.write_bytes(b"no archive")
    said = r"can't be unpacked \(not a gzip file\); give an artifact's folder or its model\.tar\.gz$"
    with pytest.raises(ArtifactError, match=said), artifact_folder(file):
        pytest.fail("it was unpacked")
