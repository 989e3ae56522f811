"""Photos are read from archives without unpacking them."""

import pickle
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract.errors import ImageError
from model.preprocess import Preprocess
from tests.train.forms import contents, load, names, write_tar, write_zip
from tests.train.support import CLASSES, REPOSITORY, make_classes
from train.data.archives import read_indexes
from train.data.dataset import DataSet
from train.data.layouts import DataLocation
from train.data.sources import ZipSource
from train.data.splits import pick_split, resolve_splits
from train.loader import EpochOrder, Images, Loader


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, bytes]:
    """Three images a class, by class/file."""
    make_classes(tmp_path / "folders", 3)
    return contents(tmp_path / "folders")


def encoded(data: DataSet, role: str = "train") -> list[bytes]:
    found = [sample.encoded() for sample in data.splits[role].samples]
    return [each.read_bytes() if isinstance(each, Path) else each for each in found]


def below(folder: str, members: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in members.items()}


@pytest.mark.parametrize("form", ["tar", "wrapped tar", "dotted tar", "stored zip", "deflated zip", "wrapped zip"])
def test_an_archive_is_what_its_folders_are(tmp_path: Path, photos: dict[str, bytes], form: str) -> None:
    archive = tmp_path / "channel" / f"photos.{form[-3:]}"
    extra = {"README.txt": b"three breeds", ".DS_Store": b"\0", "__MACOSX/pug/._00.jpg": b"\0", "pug/._00.jpg": b"\0"}
    members = {**photos, **extra}
    if form.startswith("wrapped"):
        members = {**below("my photos", members), "__MACOSX/._my photos": b"\0"}
    if form.startswith("dotted"):
        members = {f"./{name}": data for name, data in members.items()}
    if form.endswith("tar"):
        write_tar(archive, members)
    else:
        write_zip(archive, members, zipfile.ZIP_STORED if form.startswith("stored") else zipfile.ZIP_DEFLATED)
    folders, packed = load(train=tmp_path / "folders"), load(train=tmp_path / "channel")
    assert packed.classes == folders.classes == CLASSES
    assert names(packed) == names(folders) == sorted(photos)
    assert encoded(packed) == encoded(folders)
    assert packed.skipped == ()
    assert packed.notes == (f"train data: class folders in {archive.name}",)


def test_shards_are_one_split_and_the_same_name_twice_is_two_images(tmp_path: Path, photos: dict[str, bytes]) -> None:
    parts = sorted(photos.items())
    write_tar(tmp_path / "c" / "b-0001.tar", dict(parts[:4]))
    write_zip(tmp_path / "c" / "b-0000.zip", dict(parts[3:]))
    data = load(dogs=tmp_path / "c")
    expected = [name for name, _ in parts]
    # The fourth photo is in both.
    expected[3:4] = ["German_shepherd_dog/b-0000.zip/00.jpg", "German_shepherd_dog/b-0001.tar/00.jpg"]
    assert sorted(names(data)) == sorted(expected)
    assert len(set(encoded(data))) == 9
    assert data.notes[0] == "train data: class folders in 2 archives"


@pytest.mark.parametrize("top", ["", "photos/"])
@pytest.mark.parametrize("single_file", [True, False])
def test_one_archive_may_hold_the_splits(tmp_path: Path, photos: dict[str, bytes], top: str, single_file: bool) -> None:
    members = {f"{top}{role}/{name}": data for role in ("train", "val", "test") for name, data in photos.items()}
    archive = write_tar(tmp_path / "c" / "all.tar", members)
    location = archive if single_file else archive.parent
    data = load(dogs=location)
    assert {role: len(split.samples) for role, split in data.splits.items()} == {"train": 9, "valid": 9, "test": 9}
    assert names(data, "test") == sorted(photos)
    role, found = pick_split(location, None)
    assert (role, found) == ("test", DataLocation(location, inside="test"))
    assert pick_split(location, "valid")[1].inside == "val"
    assert list(resolve_splits({"train": location})) == ["test", "train", "valid"]


def test_archives_named_by_split(tmp_path: Path, photos: dict[str, bytes]) -> None:
    for name in ("train-000.tar", "train-001.tar", "validation.tar"):
        write_tar(tmp_path / "c" / name, photos)
    data = load(dogs=tmp_path / "c")
    assert {role: len(split.samples) for role, split in data.splits.items()} == {"train": 18, "valid": 9}
    assert pick_split(tmp_path / "c", None) == (
        "valid",
        DataLocation(tmp_path / "c", (tmp_path / "c" / "validation.tar",)),
    )


def test_a_class_called_train_in_an_archive_is_a_class(tmp_path: Path) -> None:
    members = {f"{name}/1.jpg": b"" for name in ("plane", "ship", "train")}
    write_tar(tmp_path / "vehicles.tar", members)
    assert resolve_splits({"train": tmp_path}) == {"train": DataLocation(tmp_path)}


def test_an_archive_in_a_channel_that_is_no_data_is_not_opened(tmp_path: Path, photos: dict[str, bytes]) -> None:
    write_tar(tmp_path / "train" / "a.tar", photos)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.tar").write_bytes(b"no archive")
    assert len(names(load(train=tmp_path / "train", weights=tmp_path / "weights"))) == 9


def test_class_folders_beside_an_archive_count(tmp_path: Path, photos: dict[str, bytes]) -> None:
    write_zip(tmp_path / "folders" / "download.zip", {"pug/99.jpg": b"no image"})
    data = load(train=tmp_path / "folders")
    assert len(names(data)) == 9
    assert data.notes == ("train data: class folders; download.zip beside them is not read",)


def test_links_in_a_tar(tmp_path: Path, photos: dict[str, bytes]) -> None:
    archive = write_tar(tmp_path / "c" / "a.tar", photos)
    with tarfile.open(archive, "a") as tar:
        for name, kind, target in (
            ("pug/10.jpg", tarfile.LNKTYPE, "pug/00.jpg"),
            ("pug/11.jpg", tarfile.SYMTYPE, "../German_shepherd_dog/00.jpg"),
            ("pug/12.jpg", tarfile.SYMTYPE, "11.jpg"),
            ("pug/13.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            ("pug/14.jpg", tarfile.FIFOTYPE, ""),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            tar.addfile(entry)
    data = load(train=tmp_path / "c")
    by_name = dict(zip(names(data), encoded(data), strict=True))
    assert by_name["pug/10.jpg"] == photos["pug/00.jpg"]
    assert by_name["pug/11.jpg"] == by_name["pug/12.jpg"] == photos["German_shepherd_dog/00.jpg"]
    reasons = {each.file: each.reason for each in data.skipped}
    assert set(reasons) == {"train/pug/13.jpg", "train/pug/14.jpg"}
    assert reasons["train/pug/13.jpg"].startswith("a link to what isn't in the archive; tar --dereference")


def test_the_later_of_two_members_of_one_name_counts(tmp_path: Path, photos: dict[str, bytes]) -> None:
    archive = write_tar(tmp_path / "c" / "a.tar", {**photos, "pug/00.jpg": b"broken"})
    with tarfile.open(archive, "a") as tar:
        tar.add(tmp_path / "folders" / "pug" / "00.jpg", "pug/00.jpg")
    assert load(train=tmp_path / "c").skipped == ()


def test_hostile_names_are_shown_safely_and_nothing_is_written(tmp_path: Path, photos: dict[str, bytes]) -> None:
    hostile = {"/pug/1.jpg": b"x", "../../pug/2.jpg": b"x", "pug/\x1b[31m\n3.jpg": b"x"}
    write_tar(tmp_path / "c" / "a.tar", {**photos, **hostile})
    data = load(train=tmp_path / "c", valid=tmp_path / "folders")
    files = [each.file for each in data.skipped]
    assert "train/pug/\\x1b[31m\\n3.jpg" in files
    assert {"train/pug/1.jpg", "train/pug/2.jpg"} < set(files)
    assert {path.name for path in tmp_path.iterdir()} == {"c", "folders"}


def test_a_zip_made_on_a_mac_has_utf8_names_without_the_flag(tmp_path: Path, photos: dict[str, bytes]) -> None:
    pugs = {name.replace("pug/", "Möpse/"): data for name, data in photos.items()}
    archive = write_zip(tmp_path / "c" / "a.zip", pugs)
    # Bit 11 of the flags says that a name is UTF-8; macOS leaves it out.
    data = archive.read_bytes().replace(b"PK\3\4\x14\0\0\x08", b"PK\3\4\x14\0\0\0")
    data = data.replace(b"PK\1\2\x14\3\x14\0\0\x08", b"PK\1\2\x14\3\x14\0\0\0")
    archive.write_bytes(data)
    assert zipfile.ZipFile(archive).namelist() != list(pugs)
    assert "Möpse" in load(train=tmp_path / "c").classes


def test_a_broken_image_in_an_archive_is_named(tmp_path: Path, photos: dict[str, bytes]) -> None:
    broken = {"pug/empty.jpg": b"", "pug/notes.txt": b"pugs", "pug/half.jpg": photos["pug/00.jpg"][:300]}
    for write, name in ((write_tar, "a.tar"), (write_zip, "a.zip")):
        write(tmp_path / name / name, {**photos, **broken})
        reasons = {each.file: each.reason for each in load(train=tmp_path / name).skipped}
        assert list(reasons) == ["train/pug/empty.jpg", "train/pug/half.jpg", "train/pug/notes.txt"]
        assert reasons["train/pug/empty.jpg"] == "empty file"
        assert reasons["train/pug/half.jpg"].startswith("the image is broken or truncated (")
        assert reasons["train/pug/notes.txt"].startswith("not an image that can be read")


def test_a_damaged_zip_entry_is_left_out(tmp_path: Path, photos: dict[str, bytes]) -> None:
    archive = write_zip(tmp_path / "c" / "a.zip", photos, zipfile.ZIP_STORED)
    data = archive.read_bytes()
    at = data.index(photos["pug/01.jpg"]) + 400
    archive.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    (skipped,) = load(train=tmp_path / "c").skipped
    assert skipped.file == "train/pug/01.jpg"
    assert skipped.reason == "its entry in a.zip is damaged; copy or make the archive again"


def test_an_entry_that_unpacks_to_more_than_it_says_is_not_unpacked(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "bomb.zip", {"pug/1.jpg": b"\0" * 10_000_000})
    (member,) = read_indexes([archive]).members
    assert isinstance(member.source, ZipSource)
    small = ZipSource(member.source.archive, member.source.offset, member.source.packed, 100, 0, deflated=True)
    with pytest.raises(ImageError, match=r"its entry in bomb.zip is damaged"):
        small.encoded()


def test_a_zip_entry_with_a_long_extra_field(tmp_path: Path, photos: dict[str, bytes]) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in photos.items():
            entry = zipfile.ZipInfo(name)
            entry.extra = b"\xfe\xca" + (2000).to_bytes(2, "little") + b"\0" * 2000
            archive.writestr(entry, data)
    assert encoded(load(train=tmp_path / "a.zip")) == [photos[name] for name in sorted(photos)]


def test_samples_are_small_when_pickled_and_read_by_threads_and_processes(
    tmp_path: Path, photos: dict[str, bytes]
) -> None:
    write_tar(tmp_path / "c" / "a.tar", photos)
    samples = load(train=tmp_path / "c").splits["train"].samples
    expected = [photos[name] for name in sorted(photos)]
    handed_over = pickle.loads(pickle.dumps(samples))
    assert handed_over == samples
    assert len(pickle.dumps(samples)) < 200 * len(samples)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda sample: sample.encoded(), handed_over * 50)) == expected * 50
    shape = Preprocess.for_size(32)

    def batches(workers: int) -> list[bytes]:
        order = EpochOrder(len(samples), 4, shuffle=True)
        loader = Loader(Images(samples, shape, None, 0), order, workers, pin=False)
        return [images.numpy().tobytes() for number in (0, 1) for images, _ in loader.epoch(number)]

    assert batches(2) == batches(0)


READ_ONLY = """
import sys
from pathlib import Path

root, writes = sys.argv[1], []

def watch(event, arguments):
    if event == "open" and str(arguments[0]).startswith(root) and (arguments[2] or 0) & 0o3:
        writes.append(arguments)
    if event in ("os.mkdir", "os.rename", "os.remove", "os.chmod", "os.truncate", "os.utime"):
        writes.append((event, *arguments))

sys.addaudithook(watch)
from tests.train.forms import load, names
data = load(**{name: Path(root, name) for name in ("train", "valid", "test")})
print([len([each.encoded() for each in split.samples]) for split in data.splits.values()], writes)
"""


def test_a_channel_is_only_read(tmp_path: Path, photos: dict[str, bytes]) -> None:
    write_tar(tmp_path / "c" / "train" / "a.tar", photos)
    write_zip(tmp_path / "c" / "valid" / "a.zip", photos)
    (tmp_path / "folders").rename(tmp_path / "c" / "test")
    command = [sys.executable, "-c", READ_ONLY, str(tmp_path / "c")]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.stdout == "[9, 9, 9] []\n", result.stderr
