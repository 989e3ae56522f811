"""How `python -m train` ends when something is wrong: exit code, failure file, one sentence."""

import os
import pickle
from pathlib import Path

import pytest

from tests.train.support import configure, make_classes, run, train


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with six images a class in its train channel, and what an earlier run left."""
    make_classes(tmp_path / "input" / "data" / "train", 6)
    for name in ("model/kennel.json", "output/failure", "output/data/evaluation.json", "output/data/evaluation.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    return tmp_path


def test_all_faults_of_the_configuration_in_one_line(root: Path) -> None:
    configure(
        root,
        {"lr": '"fast"', "epochs": "0", "bach-size": "8", "optimizer": "lion"},
        {
            "inputdataconfig": {"train": {"TrainingInputMode": "Pipe"}},
            "resourceconfig": {"hosts": ["a", "b"]},
        },
    )
    result = run(["train"], root)
    cause = result.fails_for_user("lr: must be", "epochs: must be an integer from 1 to 10000, got 0")
    for words in (
        "did you mean batch_size?",
        "optimizer: must be",
        "current_host must be one of a, b",
        "input mode Pipe",
    ):
        assert words in cause
    assert len(cause) <= 1024  # what SageMaker keeps as FailureReason
    assert list((root / "output" / "data").glob("evaluation.*")) == []
    assert result.out == ""


def test_a_lost_class_is_named(root: Path) -> None:
    for file in (root / "input" / "data" / "train" / "pug").iterdir():
        file.write_bytes(file.read_bytes()[:200])
    train(root).fails_for_user("train data: class pug has no readable image among its 6 files", "pug/00.jpg")


def test_imagenet_weights_without_a_network(root: Path) -> None:
    result = train(root, {"KENNEL_PRETRAINED_DIR": str(root / "model")}, pretrained="imagenet")
    result.fails_for_user(
        "the ImageNet weights can't be downloaded from https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "either set KENNEL_PRETRAINED_DIR to a folder that holds resnet18-f37072fd.pth",
        "or set pretrained to a weights file or to none",
    )


class Payload:
    """Unpickled the usual way, it creates a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.file), 0o755)


def test_hostile_pretrained_weights_execute_nothing(root: Path, tmp_path: Path) -> None:
    hostile = root / "input" / "data" / "weights"
    hostile.mkdir()
    content = pickle.dumps(Payload(tmp_path / "executed"))
    (hostile / "w.pth").write_bytes(content)
    result = train(root, pretrained=str(hostile / "w.pth"))
    cause = result.fails_for_user("w.pth holds more than tensors, or is no weights file")
    assert "weights_only" not in cause  # torch's message recommends to switch the protection off
    assert not (tmp_path / "executed").exists()
    pickle.loads(content)
    assert (tmp_path / "executed").exists()  # the payload was a live one


def test_a_gpu_that_cannot_be_used(root: Path, nvidia_smi: Path) -> None:
    result = train(root, {"PATH": f"{nvidia_smi}:{os.environ['PATH']}"}, device="auto", epochs="1000")
    result.fails_for_user(
        "found Tesla V100-SXM2-16GB with driver 470.57.02, but ",
        "or set device=cpu to train on the CPU on purpose",
    )
    assert result.out == ""


def test_a_loss_that_is_no_number(root: Path) -> None:
    result = train(root, lr="10", optimizer="sgd", weight_decay="1", epochs="40", pretrained="none")
    cause = result.fails_for_user("; lower lr (it is 10)")
    assert " loss became " in cause


def test_a_broken_installation_is_our_fault(root: Path, tmp_path: Path) -> None:
    package = tmp_path / "broken" / "safetensors"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise RuntimeError("half\\ninstalled")\n')
    result = train(root, {"PYTHONPATH": str(package.parent)})
    assert result.code == 1
    assert result.cause == "AlgorithmError: RuntimeError: half"
    lines = result.failure.splitlines()
    assert lines[1] == "Traceback (most recent call last):"
    assert "RuntimeError: half" in lines
    assert result.failure in result.err
    assert not (root / "model" / "kennel.json").exists()


def test_a_file_where_the_output_folder_belongs(root: Path) -> None:
    for file in (root / "output").rglob("*"):
        if file.is_file():
            file.unlink()
    (root / "output" / "data").rmdir()
    (root / "output").rmdir()
    (root / "output").write_text("not a folder")
    result = train(root)
    assert result.code == 2
    first, second = result.err.splitlines()
    assert first.startswith(f"ClientError: {root / 'output'}")
    assert "a file is in a folder's place" in first
    assert second.startswith(f"the failure file {root / 'output' / 'failure'} can't be written")


def test_a_file_where_the_model_folder_belongs(root: Path) -> None:
    (root / "model" / "kennel.json").unlink()
    (root / "model").rmdir()
    (root / "model").write_text("not a folder")
    train(root).fails_for_user("a file is in a folder's place", str(root / "model"))
