"""A frozen backbone: its features are computed once, and training on them is training the long way."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tests.train.support import Finished, finish, make_classes, start_train
from train.features import FeatureBatches, Features
from train.loader import EpochOrder

SETTINGS = {"freeze": "backbone", "epochs": "3", "pretrained": "none", "lr": "0.01"}


def test_an_epoch_takes_its_view_and_a_repeated_image_the_next() -> None:
    values = torch.arange(2 * 6, dtype=torch.float32).view(2, 6, 1)  # 2 views, 6 images: view 2 is 6 to 11
    features = Features(values, torch.tensor([0, 0, 0, 0, 0, 1]))
    plain = FeatureBatches(features, EpochOrder(6, 4), torch.device("cpu"))
    assert len(plain) == 2
    seen = [[batch.flatten().tolist() for batch, _ in plain.epoch(number)] for number in (0, 1, 2, 3)]
    assert seen == [[[0, 1, 2, 3], [4, 5]], [[0, 1, 2, 3], [4, 5]], [[6, 7, 8, 9], [10, 11]], [[0, 1, 2, 3], [4, 5]]]
    order = EpochOrder(6, 6, 0, shuffle=True, balance=[0, 0, 0, 0, 0, 1])
    batch, labels = next(FeatureBatches(features, order, torch.device("cpu")).epoch(2))
    # Image 5 is a whole class, so it comes three times: with view 2, then 1, then 2 again.
    assert sorted(batch[labels == 1].flatten().tolist()) == [5.0, 11.0, 11.0]
    assert len(labels) == 6


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    """Features computed once; the long way; and twice with a cache, with other hyperparameters of the head."""
    data = tmp_path_factory.mktemp("photos")
    for role, count, seed in (("train", 8, 0), ("valid", 4, 100), ("test", 4, 200)):
        make_classes(data / role, count, seed=seed)
    cache = tmp_path_factory.mktemp("cache")
    jobs = {
        "once": ({}, {"feature_views": "3"}),
        "long": ({}, {"feature_views": "0"}),
        "first": ({"KENNEL_FEATURE_CACHE": str(cache)}, {"feature_views": "2", "lr": "0.1"}),
        "second": ({"KENNEL_FEATURE_CACHE": str(cache)}, {"feature_views": "3"}),
    }
    results = {}
    for pair in (("once", "long"), ("first",), ("second",)):
        started = []
        for name in pair:
            root = tmp_path_factory.mktemp(name)
            (root / "input" / "data").mkdir(parents=True)
            (root / "input" / "data" / "photos").symlink_to(data)
            environ, changes = jobs[name]
            started.append((name, root, start_train(root, environ, **{**SETTINGS, **changes})))
        results.update({name: finish(process, root) for name, root, process in started})
    assert {name: each.code for name, each in results.items()} == dict.fromkeys(jobs, 0), results["once"].err
    return results


def losses(run: Finished) -> list[list[float]]:
    return [[row["train_loss"], row["validation_loss"]] for row in run.metrics if "epoch" in row]


def test_training_on_features_equals_the_long_way(four: dict[str, Finished]) -> None:
    once, long = four["once"], four["long"]
    assert losses(once) == [pytest.approx(row, abs=2e-5) for row in losses(long)]
    ours, theirs = (load_file(run.model / "model.safetensors") for run in (once, long))
    for name, value in theirs.items():
        if name.startswith("backbone."):
            assert np.array_equal(ours[name], value), name
        else:
            # Convolutions add up in another order when batches are cut otherwise.
            assert ours[name] == pytest.approx(value, abs=2e-5), name
    assert once.evaluation["predictions"].keys() == long.evaluation["predictions"].keys()
    for file, row in long.evaluation["predictions"].items():
        assert once.evaluation["predictions"][file]["probability"] == pytest.approx(row["probability"], abs=2e-5)


def test_the_log_says_what_was_computed(four: dict[str, Finished]) -> None:
    assert "features: (3, 24, 512) for training, in " in four["once"].out
    assert "features: " not in four["long"].out
    assert "found in" not in four["first"].out


def test_another_trial_finds_the_features(four: dict[str, Finished]) -> None:
    second = four["second"]
    # The first had two views; the third is new.
    assert "features of train images: 2 of 3 views found in" in second.out
    assert "features of valid images: 1 of 1 views found in" in second.out
    assert losses(second) == [pytest.approx(row, abs=1e-6) for row in losses(four["once"])]


def test_a_cached_file_that_is_damaged_is_computed_anew(four: dict[str, Finished], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    source = Path(four["second"].out.split("views found in ")[1].splitlines()[0])
    cache.mkdir()
    for file in source.iterdir():
        (cache / file.name).write_bytes(file.read_bytes()[:1000])
    (tmp_path / "input" / "data").mkdir(parents=True)
    (tmp_path / "input" / "data" / "photos").symlink_to((four["once"].root / "input" / "data" / "photos").resolve())
    changed = {**SETTINGS, "feature_views": "3"}
    run = finish(start_train(tmp_path, {"KENNEL_FEATURE_CACHE": str(cache)}, **changed), tmp_path)
    assert run.code == 0, run.err
    assert "views found" not in run.out
    assert losses(run) == [pytest.approx(row, abs=1e-6) for row in losses(four["once"])]
    assert {file.name for file in cache.iterdir()} == {file.name for file in source.iterdir()}


def test_a_later_epoch_computes_no_features(four: dict[str, Finished]) -> None:
    # Not a timing: the phases that were told of, in the order of the job.
    progress = json.loads((four["once"].root / "output" / "progress.json").read_text())
    assert (progress["phase"], progress["done"]) == ("training", progress["total"])
    assert four["once"].out.index("features: (3,") < four["once"].out.index("epoch=1;")
