"""The files below input/config, and which channel is which."""

from pathlib import Path

import pytest

from contract.errors import ConfigError, DataError
from contract.hyperparameters import Hyperparameters
from contract.paths import MLPaths
from tests.train.support import CLASSES, configure
from train.data.layouts import DataLocation
from train.data.splits import resolve_splits, unused_channels
from train.job_config import read_job


def fault(root: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_job(MLPaths(root))
    return str(caught.value)


def classes(folder: Path, *names: str) -> Path:
    """Class folders, empty: finding the channels reads no image."""
    for name in names or CLASSES:
        (folder / name).mkdir(parents=True)
    return folder


def folders(channels: dict[str, Path]) -> dict[str, Path]:
    """The folder of each role."""
    return {role: place.path for role, place in resolve_splits(channels).items()}


def channel(name: str, mode: str = "File") -> dict[str, object]:
    about = {"TrainingInputMode": mode, "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    return {name: about}


def test_without_config_files_all_is_default(tmp_path: Path) -> None:
    classes(tmp_path / "input" / "data" / "train")
    (tmp_path / "input" / "data" / ".cache").mkdir()
    job = read_job(MLPaths(tmp_path))
    assert job.hyperparameters == Hyperparameters()
    assert job.channels == {"train": tmp_path / "input" / "data" / "train"}


def test_inputdataconfig_names_the_channels(tmp_path: Path) -> None:
    classes(tmp_path / "input" / "data" / "leftover")
    configure(tmp_path, {}, {"inputdataconfig": {**channel("train"), **channel("test", "FastFile")}})
    assert list(read_job(MLPaths(tmp_path)).channels) == ["train", "test"]


def test_faults_of_all_files_at_once(tmp_path: Path) -> None:
    others = {
        "inputdataconfig": {**channel("train", "Pipe"), **channel("test")},
        "resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1", "algo-1"]},
    }
    configure(tmp_path, {"lr": "-1", "epochz": "2"}, others)
    message = fault(tmp_path)
    assert "\n" not in message
    for words in (
        "lr: must be a number above 0 and at most 10, got -1",
        "epochz: no such hyperparameter; did you mean epochs?",
        'resourceconfig.json: hosts must be different names, got ["algo-1", "algo-1"]',
        "channel train: input mode Pipe isn't supported; use File or FastFile",
    ):
        assert words in message


def test_one_host_is_no_fault(tmp_path: Path) -> None:
    configure(tmp_path, {}, {"resourceconfig": {"current_host": "algo-1", "hosts": ["algo-1"]}})
    assert read_job(MLPaths(tmp_path)).channels == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "hyperparameters.json can't be read as JSON"),
        (b"\xff\xfe", "hyperparameters.json can't be read as JSON"),
        (b"[" * 100_000, "hyperparameters.json can't be read as JSON"),
        (b'["lr"]', "hyperparameters.json must hold a JSON object, got list"),
    ],
)
def test_a_config_file_that_is_none(tmp_path: Path, content: bytes, words: str) -> None:
    configure(tmp_path, {})
    MLPaths(tmp_path).hyperparameters.write_bytes(content)
    assert fault(tmp_path).startswith(words)


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("train",), {"train": "train"}),
        (("train", "valid"), {"train": "train", "valid": "valid"}),
        (("Training", "VALIDATION", "test"), {"train": "Training", "valid": "VALIDATION", "test": "test"}),
        (("train", "val", "testing"), {"train": "train", "valid": "val", "test": "testing"}),
        (("dogs",), {"train": "dogs"}),
    ],
)
def test_channels_by_name(tmp_path: Path, names: tuple[str, ...], roles: dict[str, str]) -> None:
    channels = {name: classes(tmp_path / name) for name in names}
    assert folders(channels) == {role: tmp_path / name for role, name in roles.items()}


@pytest.mark.parametrize("name", ["dogs", "train", "test"])
def test_one_channel_of_any_name_that_holds_the_roles(tmp_path: Path, name: str) -> None:
    for role in ("train", "val", "test"):
        classes(tmp_path / name / role)
    (tmp_path / name / "__MACOSX").mkdir()
    (tmp_path / name / "readme.txt").write_text("dogs")
    root = tmp_path / name
    assert folders({name: root}) == {"train": root / "train", "valid": root / "val", "test": root / "test"}


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    channels = {"train": classes(tmp_path / "train", "plane", "ship", "train")}
    assert folders(channels) == channels


def test_role_folders_without_class_folders_are_no_classes(tmp_path: Path) -> None:
    classes(tmp_path, "train", "valid")
    assert folders({"dogs": tmp_path}) == {"train": tmp_path / "train", "valid": tmp_path / "valid"}


def test_other_channels_beside_train_are_left_alone(tmp_path: Path) -> None:
    channels = {name: tmp_path / name for name in ("train", "weights", "validate")}
    classes(channels["train"])
    roles = resolve_splits(channels)
    assert roles == {"train": DataLocation(channels["train"])}
    assert unused_channels(channels, roles) == ["weights", "validate"]


def test_a_channel_that_holds_the_roles_is_used(tmp_path: Path) -> None:
    channels = {"dogs": tmp_path / "dogs", "weights": tmp_path / "weights"}
    classes(channels["dogs"] / "train")
    assert unused_channels(channels, resolve_splits(channels)) == ["weights"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "there is no training data: channels found: none"),
        (("test",), "there is no training data: channels found: test"),
        (
            ("cats", "dogs"),
            "there is no training data: channels found: cats, dogs; give a channel named train",
        ),
        (("train", "val", "valid"), "both val and valid are valid data; keep one of the two"),
    ],
)
def test_channels_that_cannot_be_told(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        resolve_splits({name: classes(tmp_path / name) for name in names})
