"""What a job left in S3, fetched and unpacked: nothing gets outside, and an artifact is whole or not there."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.jobs.results import fetch_archive, unpack
from backends.sagemaker.names import S3Location
from tests.cloud.conftest import BUCKET
from tests.cloud.simulator.server import Simulator
from tests.cloud.trainings import Seen

Fill = Callable[[tarfile.TarFile], None]


def archive(file: Path, *fill: Fill) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for each in fill:
            each(tar)
    return file


def plain(name: str, content: bytes = b"x") -> Fill:
    def add(tar: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        # As root's own, and as nobody should find it.
        entry.mode, entry.uid = 0o7000, 0
        tar.addfile(entry, io.BytesIO(content))

    return add


def special(name: str, kind: bytes, target: str = "") -> Fill:
    def add(tar: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        tar.addfile(entry)

    return add


def test_files_and_folders(tmp_path: Path) -> None:
    file = archive(
        tmp_path / "a", special(".", tarfile.DIRTYPE), plain("./kennel.json", b"{}"), plain("deep/er/1.bin", b"12"),
        special("empty", tarfile.DIRTYPE),
    )  # fmt: skip
    unpack(file, tmp_path / "out", "model.tar.gz")
    assert (tmp_path / "out" / "kennel.json").read_bytes() == b"{}"
    assert (tmp_path / "out" / "deep" / "er" / "1.bin").read_bytes() == b"12"
    assert (tmp_path / "out" / "empty").is_dir()
    assert (tmp_path / "out" / "kennel.json").stat().st_mode & 0o777 == 0o666 & ~_umask(tmp_path)


def _umask(folder: Path) -> int:
    probe = folder / "probe"
    probe.touch()
    return 0o666 & ~(probe.stat().st_mode & 0o777)


@pytest.mark.parametrize(
    ("hostile", "told"),
    [
        (plain("/etc/cron.d/x"), "holds /etc/cron.d/x, which is a path outside"),
        (plain("../x"), "holds ../x, which is a path outside"),
        (plain("a/../../x"), "holds a/../../x, which is a path outside"),
        (special("a", tarfile.SYMTYPE, "/etc"), "holds a, which is a link"),
        (special("a", tarfile.SYMTYPE, "b"), "holds a, which is a link"),
        (special("a", tarfile.LNKTYPE, "../x"), "holds a, which is a link"),
        (special("a", tarfile.FIFOTYPE), "holds a, which is no file"),
        (special("a", tarfile.CHRTYPE), "holds a, which is no file"),
        (special("../a", tarfile.DIRTYPE), "holds ../a, which is a path outside"),
    ],
)
def test_nothing_is_unpacked_of_a_hostile_archive(tmp_path: Path, hostile: Fill, told: str) -> None:
    file = archive(tmp_path / "a", plain("kennel.json"), hostile, plain("a/b"))
    with pytest.raises(BackendError) as error:
        unpack(file, tmp_path / "out", "s3://b/model.tar.gz")
    assert str(error.value) == f"s3://b/model.tar.gz {told}; nothing of it was unpacked"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:60] + bytes(20) + whole[80:],
        lambda _: b"no archive",
        lambda _: b"",
    ],
)
def test_a_damaged_archive(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    file = archive(tmp_path / "a", plain("kennel.json", bytes(range(256)) * 64))
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(BackendError, match=r"^model.tar.gz can't be unpacked \(.+\); it may be damaged$"):
        unpack(file, tmp_path / "out", "model.tar.gz")


def test_an_artifact_is_fetched_whole(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    url, folder, seen = f"s3://{BUCKET}/kennel/runs/a/model.tar.gz", tmp_path / "model", Seen()
    file = archive(tmp_path / "a", plain("kennel.json", b"new"), plain("model.safetensors", bytes(3000)))
    cloud.objects.write(url, file.read_bytes())
    folder.mkdir()
    (folder / "kennel.json").write_bytes(b"old")
    assert fetch_archive(account, S3Location.parse(url), folder, seen.watch)
    assert (folder / "kennel.json").read_bytes() == b"new"
    assert sorted(each.name for each in folder.iterdir()) == ["kennel.json", "model.safetensors"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "model"]
    assert seen.phases == ["fetching model.tar.gz"]
    assert (seen[-1].done, seen[-1].total) == (1, 1)


def test_what_is_not_there(account: Account, tmp_path: Path) -> None:
    assert not fetch_archive(account, S3Location(BUCKET, "kennel/runs/none.tar.gz"), tmp_path / "model", lambda _: None)
    assert list((tmp_path / "model").iterdir()) == []


def test_what_may_not_be_read(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    cloud.fail("HeadObject", "AccessDenied", "Forbidden", status=403)
    with pytest.raises(BackendError, match=rf"^fetching s3://{BUCKET}/kennel/runs/a.tar.gz: .*s3:GetObject"):
        fetch_archive(account, S3Location(BUCKET, "kennel/runs/a.tar.gz"), tmp_path / "model", lambda _: None)


def test_an_old_artifact_stays_when_the_new_one_is_damaged(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    cloud.objects.write(f"s3://{BUCKET}/kennel/runs/a.tar.gz", b"no archive")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "kennel.json").write_bytes(b"old")
    with pytest.raises(BackendError, match="it may be damaged"):
        fetch_archive(account, S3Location(BUCKET, "kennel/runs/a.tar.gz"), tmp_path / "model", lambda _: None)
    assert (tmp_path / "model" / "kennel.json").read_bytes() == b"old"
