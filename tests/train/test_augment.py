"""Crops, flips and further augmentation: what they draw from, and what they leave alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from contract.progress import Progress
from model.preprocess import Preprocess
from tests.train.support import make_classes, picture
from train.augment import Augment
from train.data.load import load_data
from train.loader import Images

SHAPE = Preprocess.for_size(32)


def drawn(augment: Augment, chance: int) -> bytes:
    return augment(picture(5, 120, (64, 48)), np.random.default_rng(chance)).tobytes()


def test_draws_by_seed_epoch_image_and_repeat(tmp_path: Path) -> None:
    make_classes(tmp_path, 3)
    samples = load_data({"train": tmp_path}, Progress(None)).splits["train"].samples

    def first(seed: int, epoch: int, repeat: int = 0) -> bytes:
        return Images(samples, SHAPE, Augment(SHAPE), seed)[(epoch, 0, repeat)][0].tobytes()

    assert first(1, 1) == first(1, 1)
    assert len({first(1, 1), first(1, 2), first(2, 1), first(1, 1, 1), first(1, 1, 2)}) == 5


@pytest.mark.parametrize("policy", ["trivial", "rand"])
def test_torchvision_policies_draw_from_our_chance_alone(policy: str) -> None:
    augment = Augment(SHAPE, policy=policy)
    before = torch.get_rng_state()
    first = [drawn(augment, chance) for chance in range(12)]
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    assert [drawn(augment, chance) for chance in range(12)] == first
    plain = [drawn(Augment(SHAPE), chance) for chance in range(12)]
    assert sum(own != other for own, other in zip(first, plain, strict=True)) >= 6


def test_without_a_random_crop_training_sees_what_testing_sees() -> None:
    augment = Augment(SHAPE, scale=(1.0, 1.0), flip_probability=0.0)
    assert drawn(augment, 1) == drawn(augment, 2) == SHAPE(picture(5, 120, (64, 48))).tobytes()


def test_a_smaller_least_share_crops_smaller() -> None:
    ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 256, 0).repeat(3, 2))

    def widths(scale: float) -> list[int]:
        augment = Augment(SHAPE, (scale, 1.0), flip_probability=0.0)
        pixels = [augment(ramp, np.random.default_rng(chance))[16, :, 0] for chance in range(200)]
        return [int(row[-1]) - int(row[0]) for row in pixels]

    # The crop's width is sqrt(share x ratio) of the side: at least sqrt(0.09 x 3/4) = 0.26 and sqrt(0.64 x 3/4) = 0.69.
    small, large = widths(0.09), widths(0.64)
    assert 0.26 * 256 * 31 / 32 - 3 <= min(small) < 0.5 * 256
    assert min(large) >= 0.69 * 256 * 31 / 32 - 3


def test_augmentation_of_an_extremely_long_image() -> None:
    pixels = Augment(SHAPE)(Image.new("RGB", (4000, 3), (9, 99, 199)), np.random.default_rng(0))
    assert pixels.shape == (32, 32, 3)
    assert (pixels == [9, 99, 199]).all()


def test_a_flip_mirrors_left_and_right() -> None:
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    image = Image.fromarray(ramp)
    for probability, rises in ((0.0, True), (1.0, False)):
        pixels = Augment(SHAPE, flip_probability=probability)(image, np.random.default_rng(3))
        assert (int(pixels[0, -1, 0]) > int(pixels[0, 0, 0])) is rises
        assert torch.from_numpy(pixels).is_contiguous()
