"""Where a job finds its data: a folder, a folder with archives, or one archive."""

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.inputs import check_data_path, place_inside, write_inputs
from backends.runs import create_run
from cli.run import example_image
from contract.hyperparameters import Hyperparameters
from tests.backends.terminal import TINY, deploy


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All splits of the tiny data set in one tar, whose own name is another than the one people give."""
    file = tmp_path_factory.mktemp("archive") / "blob"
    with tarfile.open(file, "w") as tar:
        tar.add(data, "photos")
    (file.parent / "my photos.tar").symlink_to(file)
    return file.parent / "my photos.tar"


def test_an_archive_is_placed_in_the_channel_under_its_name(archive: Path, tmp_path: Path) -> None:
    run = create_run(tmp_path, "training", "one")
    sources = write_inputs(run, archive, Hyperparameters(), "/opt/ml")
    assert sources == {"training/my photos.tar": archive.resolve()}
    config = json.loads((run.ml / "input" / "config" / "inputdataconfig.json").read_text())
    assert list(config) == ["training"]
    assert place_inside("/opt/ml/input/0", check_data_path(archive)) == "/opt/ml/input/0/my photos.tar"
    assert place_inside("/opt/ml/input/0", archive.parent) == "/opt/ml/input/0"
    assert write_inputs(create_run(tmp_path, "training", "two"), archive.parent, Hyperparameters(), "/opt/ml") == {
        "training": archive.parent
    }


@pytest.mark.long
def test_data_train_and_evaluate_take_one_archive(archive: Path, data: Path, tmp_path: Path) -> None:
    answer = deploy("data", "--data", archive, "--runs", tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert json.loads((tmp_path / "data.json").read_text())["images"] == {"train": 36, "valid": 12, "test": 12}
    answer = deploy("train", "--data", archive, *TINY, "--runs", tmp_path, "--name", "tar")
    assert answer.returncode == 0, answer.stderr
    theirs = json.loads((tmp_path / "tar" / "ml" / "output" / "data" / "evaluation.json").read_text())
    report = tmp_path / "report.json"
    answer = deploy("evaluate", "--artifact", tmp_path / "tar" / "ml" / "model", "--data", archive, "--json", report)
    assert answer.returncode == 0, answer.stderr
    mine = json.loads(report.read_text())
    assert mine["n"] == 12
    assert mine["predictions"].keys() == theirs["predictions"].keys()
    assert mine["accuracy"] == theirs["accuracy"]
    assert (tmp_path / "tar" / "ml" / "input" / "data" / "training" / "my photos.tar").is_symlink()


def test_a_file_that_is_no_archive_is_one_sentence(data: Path, tmp_path: Path) -> None:
    photo = data / "train" / "001.Red_dog" / "0.jpg"
    answer = deploy("data", "--data", photo, "--runs", tmp_path)
    assert answer.returncode == 2
    assert "0.jpg is no .tar or .zip file; expected one folder a class" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_example_image_comes_from_the_test_split(archive: Path, data: Path, tmp_path: Path) -> None:
    assert example_image(data, ["002.Green_dog/1.jpg"], tmp_path) == data / "test" / "002.Green_dog" / "1.jpg"
    copied = example_image(archive, ["002.Green_dog/1.jpg"], tmp_path)
    assert copied == tmp_path / "example.jpg"
    assert copied.read_bytes() == (data / "test" / "001.Red_dog" / "0.jpg").read_bytes()
    for name in ("train", "test"):
        (tmp_path / "split" / name).mkdir(parents=True)
        with zipfile.ZipFile(tmp_path / "split" / name / "photos.zip", "w") as opened:
            opened.writestr("__MACOSX/._a.jpg", "junk")
            opened.writestr("a/1.JPG", name)
    assert example_image(tmp_path / "split", [], tmp_path).read_text() == "test"
    with pytest.raises(BackendError, match="holds no file that is named like an image"):
        example_image(tmp_path / "split" / "nothing", [], tmp_path)
