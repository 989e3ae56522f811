"""Training runs that several tests look at: each is a real process, so it runs once a session."""

import os
from pathlib import Path

import pytest
import torch

from model.network import ARCHITECTURES
from tests.shared import made_once
from tests.train.support import CLASSES, Finished, finish, make_classes, picture, start_train, train

# Networks this small gain nothing from more, and on a busy machine threads wait for each other.
torch.set_num_threads(1)

FAKE_GPU = "Tesla V100-SXM2-16GB, 470.57.02"


def broken_files(folder: Path) -> None:
    """One of each kind of file that a data set shouldn't hold, in the train channel `folder`."""
    whole = folder / CLASSES[0] / "00.jpg"
    data = whole.read_bytes()
    pug = folder / CLASSES[2]
    (pug / "truncated.jpg").write_bytes(data[: len(data) // 2])
    (pug / "notes.txt").write_text("pug pictures")
    (pug / "empty.png").write_bytes(b"")
    (pug / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (pug / "M\udcfcnster.jpg").write_bytes(b"a name in Latin-1")
    # These are no part of a data set, so they aren't worth a word.
    (pug / ".DS_Store").write_bytes(b"\0")
    (pug / "._00.jpg").write_bytes(b"\0")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "__MACOSX" / CLASSES[0]).mkdir(parents=True)
    (folder / "readme.md").write_text("three breeds")


@pytest.fixture(scope="session")
def nvidia_smi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an nvidia-smi that tells of a Volta GPU with an old driver, like that driver's own."""
    folder = tmp_path_factory.mktemp("gpu")
    script = folder / "nvidia-smi"
    script.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "  *compute_cap*) echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2 ;;\n"
        f"  *) echo '{FAKE_GPU}' ;;\n"
        "esac\n"
    )
    script.chmod(0o755)
    return folder


def three_channels(root: Path) -> Path:
    """Channels train (12 a class, and broken files), validation (4 a class), test (5 a class)."""
    data = root / "input" / "data"
    make_classes(data / "train", 12, seed=0)
    make_classes(data / "validation", 4, seed=100)
    make_classes(data / "test", 5, seed=200)
    broken_files(data / "train")
    return root


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory, nvidia_smi: Path) -> list[Finished]:
    """Three jobs on the same data, side by side: see `whole`, `again` and `other`."""
    return made_once(tmp_path_factory, "three", lambda folder: train_three(folder, nvidia_smi))


def train_three(folder: Path, nvidia_smi: Path) -> list[Finished]:
    roots = [three_channels(folder / name) for name in ("whole", "again", "other")]
    environ = {
        "PATH": f"{nvidia_smi}:{os.environ['PATH']}",
        "TRAINING_JOB_NAME": "job-7",
        "PYTHONIOENCODING": "ascii",
    }
    started = [
        start_train(roots[0], environ, epochs="2", head='"mlp"', seed="3", tensorboard='"on"'),
        start_train(roots[1], epochs="2", head="mlp", seed="3", workers="2", tensorboard="on"),
        start_train(roots[2], epochs="2", head="mlp", seed="4"),
    ]
    results = [finish(process, root) for process, root in zip(started, roots, strict=True)]
    assert [result.code for result in results] == [0, 0, 0], [result.err for result in results]
    return results


@pytest.fixture(scope="session")
def whole(three: list[Finished]) -> Finished:
    """Three channels, broken files, two epochs, an MLP head; a GPU that's no use, but device=cpu."""
    return three[0]


@pytest.fixture(scope="session")
def again(three: list[Finished]) -> Finished:
    """The job `whole` a second time, with two processes that load images."""
    return three[1]


@pytest.fixture(scope="session")
def other(three: list[Finished]) -> Finished:
    """The job `whole` with another seed."""
    return three[2]


def torchvision_weights(file: Path) -> None:
    """A state dict as torchvision publishes it, fc layer and all; statistics unlike a fresh network's."""
    torch.manual_seed(11)
    network = ARCHITECTURES["resnet18"](weights=None)
    state = network.state_dict()
    for name in state:
        if name.endswith(("running_mean", "running_var")):
            state[name] = torch.rand_like(state[name]) + 0.5
    torch.save(state, file)


@pytest.fixture(scope="session")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pretrained weights, as the image has it: torchvision's file name for ResNet-18."""

    def make(folder: Path) -> Path:
        torchvision_weights(folder / "resnet18-f37072fd.pth")
        return folder

    return made_once(tmp_path_factory, "pretrained", make)


@pytest.fixture(scope="session")
def frozen(tmp_path_factory: pytest.TempPathFactory, baked: Path) -> Finished:
    """A train channel (7, 12 and 2 images) beside one with other files; the head on a fixed backbone."""
    return made_once(tmp_path_factory, "frozen", lambda folder: train_frozen(folder, baked))


def train_frozen(root: Path, baked: Path) -> Finished:
    data = root / "input" / "data" / "train"
    for name, count in zip(CLASSES, (7, 12, 2), strict=True):
        make_classes(data, count, [name])
    (root / "input" / "data" / "extra").mkdir()
    picture(0, 128).save(root / "input" / "data" / "extra" / "mean.png")
    result = train(root, {"KENNEL_PRETRAINED_DIR": str(baked)}, pretrained="imagenet", freeze="backbone")
    assert result.code == 0, result.err
    return result
