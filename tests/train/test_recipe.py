"""Every part of the recipe at once, in the real process."""

from pathlib import Path

import pytest
from safetensors.numpy import load_file

from model.artifact import Artifact
from tests.train.support import Finished, finish, make_classes, no_seconds, start_train

EVERYTHING: dict[str, object] = {
    "freeze": "gradual",
    "epochs": "4",
    "optimizer": "sgd",
    "lr": "0.02",
    "backbone_lr_ratio": "0.5",
    "lr_schedule": "constant",
    "warmup_ratio": "0.3",
    "grad_clip": "1",
    "label_smoothing": "0.2",
    "class_balance": "sampling",
    "ema_decay": "0.9",
    "patience": "3",
    "test_image_size": "40",
    "crop_scale": "0.3",
    "flip": "0.25",
    "auto_augment": "trivial",
    "mixup": "0.2",
    "cutmix": "1",
}


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> list[Finished]:
    """The same job twice, the second with two processes that load images; the classes have 9, 5 and 3 images."""
    roots = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    for root in roots:
        for name, count in (("a", 9), ("b", 5), ("c", 3)):
            make_classes(root / "input" / "data" / "train", count, [name], seed=count)
        make_classes(root / "input" / "data" / "valid", 2, ["a", "b", "c"], seed=50)
    started = [start_train(root, None, **EVERYTHING, workers=str(2 * number)) for number, root in enumerate(roots)]
    results = [finish(process, root) for process, root in zip(started, roots, strict=True)]
    assert [each.code for each in results] == [0, 0], [each.err for each in results]
    return results


def test_it_trains_and_says_with_what(twins: list[Finished]) -> None:
    chosen = twins[0].manifest["provenance"]["hyperparameters"]
    given = {name: type(chosen[name])(str(value)) for name, value in EVERYTHING.items()}
    assert {name: chosen[name] for name in EVERYTHING} == given
    assert twins[0].err == ""


def test_chance_is_the_seeds_alone(twins: list[Finished]) -> None:
    first, second = ([no_seconds(line) for line in run.out.splitlines() if "epoch=" in line] for run in twins)
    assert first == second
    assert len(first) == 4
    ours, theirs = (load_file(run.model / "model.safetensors") for run in twins)
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_the_artifact_is_for_the_test_size(twins: list[Finished]) -> None:
    shape = Artifact.load(twins[0].model).preprocess
    # Resized to 256 / 224 of the crop: 45.7.
    assert (shape.image_size, shape.resize_size) == (40, 46)


def test_the_head_has_the_peak_rate_after_the_warm_up(twins: list[Finished]) -> None:
    rates = [row["learning_rate"] for row in twins[0].metrics]
    # 17 images in batches of 8, the last alone joins: 2 steps an epoch, 8 in all, 2 of warm-up: 0.02 / 3, 0.04 / 3.
    assert rates == pytest.approx([0.02 / 3, 0.02, 0.02, 0.02])


def test_a_clash_is_one_sentence(tmp_path: Path) -> None:
    run = finish(start_train(tmp_path, freeze="backbone", mixup="0.2"), tmp_path)
    assert "feature_views=0" in run.fails_for_user("mixup: mixes pixels")
