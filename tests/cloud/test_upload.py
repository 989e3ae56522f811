"""A data set in S3: what is sent, what isn't, and what becomes of it when it is cut off."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backends.base import JobProgress
from backends.cancel import CancelToken
from backends.errors import BackendError, Stopped
from backends.sagemaker.account import Account
from backends.sagemaker.storage import upload as send
from backends.sagemaker.storage.datasets import UploadResult, plan_upload, upload_dataset, upload_weights
from backends.settings.sections import Data
from tests.backends.photos import make_photos
from tests.cloud.conftest import BUCKET, settings
from tests.cloud.simulator.server import Simulator
from tests.cloud.trainings import Seen, photos

ALL = ["test/pug/4.jpg", "train/beagle/2.jpg", "train/pug/1.jpg", "valid/pug/3.jpg"]


def silent(account: Account, data: Path) -> UploadResult:
    return upload_dataset(account, data, lambda _: None)


def there(cloud: Simulator, sent: UploadResult) -> dict[str, bytes]:
    """What lies below the prefix, by relative key."""
    prefix = f"{sent.location.key}/"
    keys = cloud.objects.keys(BUCKET, prefix)
    return {key.removeprefix(prefix): cloud.objects.read(f"s3://{BUCKET}/{key}") for key in keys}


def sent_since(cloud: Simulator, calls: int) -> list[str]:
    """File names that were sent since so many calls."""
    return sorted(
        each.request["Key"].rsplit("/", 1)[-1] for each in cloud.calls[calls:] if each.operation == "PutObject"
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return photos(tmp_path / "my photos")


def test_everything_is_sent_once(account: Account, cloud: Simulator, data: Path) -> None:
    first = silent(account, data)
    name = first.location.key.rsplit("/", 1)[-1]
    assert name.startswith("my-photos-")
    assert first.location.key == f"kennel/data/{name}"
    assert first.channels == {"training": f"s3://{BUCKET}/kennel/data/{name}/"}
    assert (first.files, first.bytes, first.sent_bytes) == (4, 28, 28)
    assert sorted(there(cloud, first)) == ALL
    assert there(cloud, first)["train/pug/1.jpg"] == b"photo 0"
    calls = len(cloud.calls)
    again = silent(account, data)
    assert (again.bytes, again.sent_bytes) == (28, 0)
    assert cloud.changes(objects=True) == 5 * ["PutObject"]
    assert {each.operation for each in cloud.calls[calls:]} == {"ListObjectsV2", "GetObject"}


def test_only_what_changed_is_sent_and_what_is_gone_goes(account: Account, cloud: Simulator, data: Path) -> None:
    silent(account, data)
    (data / "train" / "pug" / "1.jpg").write_bytes(b"another")  # as long as before
    (data / "train" / "pug" / "5.jpg").write_bytes(b"new")
    (data / "valid" / "pug" / "3.jpg").unlink()
    # Its time alone is no change.
    os.utime(data / "test" / "pug" / "4.jpg", (0, 0))
    plan = plan_upload(account, data, lambda _: None)
    assert (plan.files, plan.bytes, plan.send, plan.send_bytes, plan.obsolete) == (4, 24, 2, 10, 1)
    calls = len(cloud.calls)
    second = silent(account, data)
    assert sent_since(cloud, calls) == ["1.jpg", "5.jpg", f"{second.location.key.rsplit('/', 1)[-1]}.sums.json"]
    assert sorted(there(cloud, second)) == [
        "test/pug/4.jpg", "train/beagle/2.jpg", "train/pug/1.jpg", "train/pug/5.jpg",
    ]  # fmt: skip
    assert there(cloud, second)["train/pug/1.jpg"] == b"another"


def test_a_dry_run_sends_nothing(account: Account, cloud: Simulator, data: Path) -> None:
    plan = plan_upload(account, data, lambda _: None)
    assert (plan.files, plan.send, plan.send_bytes, plan.obsolete) == (4, 4, 28, 0)
    assert (plan.item.kind, plan.item.gigabytes) == ("storage", 28 / 2**30)
    assert cloud.changes(objects=True) == []


def test_what_others_changed_in_s3_is_mended(account: Account, cloud: Simulator, data: Path) -> None:
    location = silent(account, data).location
    cloud.objects.write(f"{location.url}/train/pug/1.jpg", b"theirs")
    cloud.objects.write(f"{location.url}/train/pug/9.jpg", b"theirs")
    cloud.objects.write(f"{location.url}-other/1.jpg", b"theirs")
    assert there(cloud, silent(account, data)) == {
        "train/pug/1.jpg": b"photo 0", "train/beagle/2.jpg": b"photo 1", "valid/pug/3.jpg": b"photo 2",
        "test/pug/4.jpg": b"photo 3",
    }  # fmt: skip
    assert cloud.objects.read(f"{location.url}-other/1.jpg") == b"theirs"


def test_a_note_that_is_damaged_costs_an_upload_and_no_more(account: Account, cloud: Simulator, data: Path) -> None:
    location = silent(account, data).location
    cloud.objects.write(f"{location.url}.sums.json", b"{")
    assert silent(account, data).sent_bytes == 28


def test_another_key_encrypts_everything_anew(cloud: Simulator, account: Account, data: Path) -> None:
    silent(account, data)
    common = replace(settings().sagemaker, kms_key="alias/dogs")
    calls = len(cloud.calls)
    assert silent(Account(settings(sagemaker=common), lambda _: None), data).sent_bytes == 28
    puts = [each.request for each in cloud.calls[calls:] if each.operation == "PutObject"]
    assert len(puts) == 5
    assert {(each["ServerSideEncryption"], each["SSEKMSKeyId"]) for each in puts} == {("aws:kms", "alias/dogs")}


def test_cut_off_it_goes_on(account: Account, cloud: Simulator, data: Path) -> None:
    for number in range(40):
        (data / "train" / "pug" / f"more{number}.jpg").write_bytes(b"%d" % number)
    cloud.fail("PutObject", "AccessDenied", "Access Denied", when=lambda each: each["Key"].endswith("more5.jpg"),
               status=403)  # fmt: skip
    with pytest.raises(BackendError, match=r"^uploading \S+.*more5.jpg: "):
        silent(account, data)
    calls = len(cloud.calls)
    sent = silent(account, data)
    again = sent_since(cloud, calls)
    # Those that were on their way beside the one that failed may be sent twice, no more.
    assert "more5.jpg" in again
    assert len(again) < 44
    assert len(there(cloud, sent)) == 44
    assert plan_upload(account, data, lambda _: None).send == 0


def test_a_wish_ends_it_soon(account: Account, cloud: Simulator, data: Path) -> None:
    for number in range(60):
        (data / "train" / "pug" / f"more{number}.jpg").write_bytes(b"%d" % number)
    cancel = CancelToken()

    def watch(progress: JobProgress) -> None:
        if progress.phase == "uploading":
            cancel.request()

    with pytest.raises(Stopped, match="stopped while uploading; the same command goes on from here"):
        upload_dataset(account, data, watch, cancel)
    assert 1 <= plan_upload(account, data, lambda _: None).send < 64


def test_its_progress_is_in_bytes(account: Account, cloud: Simulator, data: Path) -> None:
    (data / "train" / "pug" / "1.jpg").write_bytes(bytes(1500))
    seen = Seen()
    upload_dataset(account, data, seen.watch)
    assert seen.phases == ["checking files", "uploading"]
    assert (seen[3].done, seen[3].total, seen[3].unit) == (4, 4, "files")
    # 1,521 bytes, rounded up.
    assert (seen[-1].done, seen[-1].total, seen[-1].unit) == (2, 2, "kB")


def test_a_large_file_goes_in_parts(
    account: Account, cloud: Simulator, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "_ONE_PART", 1000)
    (data / "train" / "pug" / "1.jpg").write_bytes(bytes(9_000_000))
    sent = silent(account, data)
    assert len(there(cloud, sent)["train/pug/1.jpg"]) == 9_000_000
    assert cloud.requests("UploadPart")
    assert silent(account, data).sent_bytes == 0


def test_what_is_hidden_stays_and_links_are_followed(account: Account, cloud: Simulator, data: Path) -> None:
    (data / ".DS_Store").write_bytes(b"x")
    (data / "__MACOSX").mkdir()
    (data / "__MACOSX" / "1.jpg").write_bytes(b"x")
    elsewhere = data.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "6.jpg").write_bytes(b"linked")
    (data / "train" / "hound").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(data / "train")
    assert sorted(there(cloud, silent(account, data))) == sorted([*ALL, "train/hound/6.jpg"])


def test_an_archive_is_one_channel_as_it_is(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    archive = tmp_path / "photos.tar"
    archive.write_bytes(b"tar")
    for form in ("folders", "archives"):
        sent = silent(Account(settings(data=Data(form=form)), lambda _: None), archive)
        assert sent.channels == {"training": f"{sent.location.url}/"}
        assert there(cloud, sent) == {"photos.tar": b"tar"}


def test_one_archive_a_split(cloud: Simulator, tmp_path: Path) -> None:
    account = Account(settings(data=Data(form="archives")), lambda _: None)
    data = make_photos(tmp_path / "photos")
    sent = silent(account, data)
    splits = sorted(each.name for each in data.iterdir())
    assert sent.channels == {split: f"{sent.location.url}/{split}/" for split in splits}
    assert sorted(there(cloud, sent)) == [f"{split}/{split}.tar" for split in splits]
    assert sent.location.key.endswith("-archives")
    # The same photos make the same bytes.
    assert silent(account, data).sent_bytes == 0


def test_photos_that_cannot_be_packed(cloud: Simulator, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").write_text("no photos")
    with pytest.raises(BackendError, match=r"train"):
        silent(Account(settings(data=Data(form="archives")), lambda _: None), tmp_path / "photos")
    assert cloud.calls == []


def test_weights_are_called_after_their_content(account: Account, cloud: Simulator, tmp_path: Path) -> None:
    for name in ("mine.pt", "copy.pt"):
        (tmp_path / name).write_bytes(b"weights")
    location = upload_weights(account, tmp_path / "mine.pt", lambda _: None)
    assert location.url == f"s3://{BUCKET}/kennel/data/weights-9a129038"
    calls = len(cloud.calls)
    upload_weights(account, tmp_path / "mine.pt", lambda _: None)
    assert sent_since(cloud, calls) == []


def _no_text(data: Path) -> None:
    Path(os.fsdecode(os.fsencode(data / "train") + b"/\xff.jpg")).write_bytes(b"x")


def _leads_nowhere(data: Path) -> None:
    (data / "train" / "pug" / "1.jpg").unlink()
    (data / "train" / "pug" / "1.jpg").symlink_to("nowhere")


def _deep(data: Path) -> None:
    folder = data.joinpath(*(5 * [200 * "d"]))
    folder.mkdir(parents=True)
    (folder / (80 * "f")).write_bytes(b"x")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_no_text, r"is no valid text, which S3 needs; rename it"),
        (_deep, r"would be a key of 11\d\d bytes, S3 takes 1024; shorten the path"),
        (_leads_nowhere, r"1.jpg can't be read \(No such file or directory\); repair or remove it"),
    ],
)
def test_files_that_cannot_travel(
    account: Account, cloud: Simulator, data: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(data)
    with pytest.raises(BackendError, match=told):
        silent(account, data)
    assert cloud.changes(objects=True) == []


def test_an_empty_folder(account: Account, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"^there are no files in \S+; give --data a folder with train/CLASS"):
        silent(account, tmp_path)
    with pytest.raises(BackendError, match=r"^there is no data folder"):
        silent(account, tmp_path / "none")
