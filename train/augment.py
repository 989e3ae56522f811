"""Random crops, flips and more. An image's draw depends on (seed, view, image) alone, never on worker or order."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from model._torchvision import torchvision
from model.preprocess import Preprocess, UInt8Array


def _policy(name: str) -> Callable[[Image.Image], Image.Image] | None:
    transforms = torchvision.transforms
    bilinear = transforms.InterpolationMode.BILINEAR
    match name:
        case "none":
            return None
        case "trivial":
            trivial: Callable[[Image.Image], Image.Image] = transforms.TrivialAugmentWide(interpolation=bilinear)
            return trivial
        case "rand":
            rand: Callable[[Image.Image], Image.Image] = transforms.RandAugment(2, 9, interpolation=bilinear)
            return rand
        case other:
            raise ValueError(f"no such augmentation: {other}")


@dataclass(frozen=True)
class Augment:
    """Random-resized crop and horizontal flip, as in torchvision's `RandomResizedCrop` and reference recipe; then,
    with a policy, TrivialAugment (Mueller and Hutter 2021) or RandAugment (Cubuk et al. 2019) as torchvision has them.

    scale: the crop's share of the image's area, uniform; from 1 up there is no random crop but the one for testing.
    ratio: its width / height, log-uniform. policy: `none`, `trivial` or `rand`.
    """

    preprocess: Preprocess
    scale: tuple[float, float] = (0.5, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_probability: float = 0.5
    policy: str = "none"
    _apply: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_apply", _policy(self.policy))

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> UInt8Array:
        """Returns uint8 (image_size, image_size, 3)."""
        if self.scale[0] < 1.0:
            return self._vary(self.preprocess.crop(image, self._box(image.width, image.height, rng)), rng)
        return self._vary(self.preprocess(image), rng)

    def fixed(self, image: Image.Image) -> UInt8Array:
        """The part that is the same in every epoch: uint8 (H, W, 3), preprocessed unless crops are random."""
        return np.array(image, dtype=np.uint8) if self.scale[0] < 1.0 else self.preprocess(image)

    def vary(self, fixed: UInt8Array, rng: np.random.Generator) -> UInt8Array:
        """The random part: of the result of `fixed`, the same pixels as of the image itself."""
        return self(Image.fromarray(fixed), rng) if self.scale[0] < 1.0 else self._vary(fixed, rng)

    def _vary(self, pixels: UInt8Array, rng: np.random.Generator) -> UInt8Array:
        if rng.random() < self.flip_probability:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        return pixels if self._apply is None else self._with_policy(pixels, rng)

    def _with_policy(self, pixels: UInt8Array, rng: np.random.Generator) -> UInt8Array:
        # torchvision draws from torch's global generator, which is seeded here and restored afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**62)))
            return np.array(self._apply(Image.fromarray(pixels)), dtype=np.uint8)

    def _box(self, width: int, height: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
        for _ in range(10):
            area = width * height * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = math.sqrt(area * ratio), math.sqrt(area / ratio)
            if w <= width and h <= height:
                left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
                return (left, top, left + w, top + h)
        # A very long image: no such box fits, so take its centre square, as torchvision does.
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return (left, top, left + side, top + side)
