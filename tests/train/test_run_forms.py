"""`python -m train` on the same photos in several forms, as real processes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.forms import contents, ground_truth, write_lines, write_tar, write_zip
from tests.train.support import CLASSES, Finished, configure, finish, make_classes, run, start_train, train

pytestmark = pytest.mark.long

FORMS = ("folders", "archives", "webdataset", "manifest")


def make(root: Path, form: str, photos: Path) -> None:
    """Channels train and validation in this form, FastFile where it is no folder."""
    data = root / "input" / "data"
    for role, channel in (("train", "train"), ("valid", "validation")):
        members = contents(photos / role)
        if form == "folders":
            shutil.copytree(photos / role, data / channel)
        elif form == "archives":
            write = write_tar if role == "train" else write_zip
            write(data / channel / f"photos.{'tar' if role == 'train' else 'zip'}", members)
        elif form == "webdataset":
            write_webdataset(data / channel, members)
        else:
            # Ground Truth numbers its classes as it likes.
            lines = [ground_truth(f"s3://b/{role}/{name}", name.count("g"), name.split("/")[0]) for name in members]
            write_lines(data / channel / "output.manifest", lines)
            write_tar(data / "photos" / f"{role}.tar", {f"{role}/{name}": each for name, each in members.items()})
    if form != "folders":
        about = {"TrainingInputMode": "FastFile", "S3DistributionType": "FullyReplicated"}
        names = sorted(path.name for path in data.iterdir())
        configure(root, {}, {"inputdataconfig": dict.fromkeys(names, about)})


def write_webdataset(folder: Path, members: dict[str, bytes]) -> None:
    """Two shards and a classes.txt beside them; the classes' names, so that the order is that of the folders."""
    shards: list[dict[str, bytes]] = [{}, {}]
    for number, (name, data) in enumerate(sorted(members.items())):
        label, file = name.split("/")
        key = f"{file[:2]}{number:04d}"
        shards[number % 2].update({f"{key}.jpg": data, f"{key}.cls": str(CLASSES.index(label)).encode()})
    for number, shard in enumerate(shards):
        write_tar(folder / f"shard-{number}.tar", shard)
    (folder / "classes.txt").write_text("\n".join(CLASSES))


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    """One job a form, with the same seed; two processes load the images of the archives."""
    photos = tmp_path_factory.mktemp("photos")
    make_classes(photos / "train", 8, seed=0)
    make_classes(photos / "valid", 3, seed=50)
    roots = {form: tmp_path_factory.mktemp(form) for form in FORMS}
    for form, root in roots.items():
        make(root, form, photos)
    workers = {form: "2" if form == "archives" else "0" for form in FORMS}
    started = {form: start_train(root, epochs="2", seed="5", workers=workers[form]) for form, root in roots.items()}
    results = {form: finish(process, roots[form]) for form, process in started.items()}
    assert [result.code for result in results.values()] == [0] * len(FORMS), [each.err for each in results.values()]
    return results


@pytest.mark.parametrize("form", FORMS[1:])
def test_the_same_photos_in_another_form_give_the_same_weights(forms: dict[str, Finished], form: str) -> None:
    weights = forms["folders"].model / "model.safetensors"
    assert (forms[form].model / "model.safetensors").read_bytes() == weights.read_bytes()
    assert forms[form].manifest["classes"] == forms["folders"].manifest["classes"]
    assert forms[form].data["images"] == {"train": 24, "valid": 9}


def test_the_report_tells_how_the_data_were_read(forms: dict[str, Finished]) -> None:
    assert forms["folders"].data["notes"] == []
    assert forms["archives"].data["notes"] == [
        "train data: class folders in photos.tar",
        "valid data: class folders in photos.zip",
    ]
    assert forms["webdataset"].data["notes"][0] == "train data: WebDataset layout in 2 archives"
    assert forms["manifest"].data["notes"] == [
        "train data: listed in output.manifest",
        "valid data: listed in output.manifest",
    ]
    assert "data: train data: listed in output.manifest\n" in forms["manifest"].out


def test_an_archive_is_evaluated_like_its_folders(forms: dict[str, Finished], tmp_path: Path) -> None:
    data = forms["folders"].root / "input" / "data" / "validation"
    archive = write_zip(tmp_path / "valid.zip", contents(data))
    reports: list[dict[str, Any]] = []
    for source in (data, archive):
        report = tmp_path / f"{len(reports)}.json"
        model = str(forms["archives"].model)
        arguments = ["--artifact", model, "--data", str(source), "--json", str(report), "--device", "cpu"]
        result = run(["train.evaluate", *arguments], tmp_path)
        assert result.code == 0, result.err
        reports.append(json.loads(report.read_text()))
    assert reports[0]["n"] == 9
    assert reports[0]["predictions"] == reports[1]["predictions"]


def compressed(folder: Path) -> None:
    make_classes(folder.parent / "photos", 1)
    write_tar(folder / "photos.tar.gz", contents(folder.parent / "photos"), "w:gz")


def truncated(folder: Path) -> None:
    make_classes(folder.parent / "photos", 1)
    file = write_tar(folder / "photos.tar", contents(folder.parent / "photos"))
    file.write_bytes(file.read_bytes()[:700])


def tables(folder: Path) -> None:
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        (folder / name / "notes.txt").write_text("no photo")
    for number in range(3):
        (folder / f"{number}.csv").write_text("1,2")


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (compressed, "photos.tar.gz is a compressed tar: no photo in it can be read without unpacking"),
        (truncated, "is damaged, truncated or no .tar file (unexpected end of data); copy or make it again"),
        (tables, "holds 3 .csv files and 2 folders of .txt files, none an image that can be read; expected one folder"),
    ],
)
def test_data_that_can_not_be_used_end_in_one_sentence(
    tmp_path: Path, fill: Callable[[Path], None], words: str
) -> None:
    fill(tmp_path / "input" / "data" / "train")
    train(tmp_path).fails_for_user(words)
    assert not (tmp_path / "output" / "data").exists()
