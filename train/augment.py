"""Random crops and flips. An image's draw depends on (seed, epoch, image) alone, never on worker or order."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.preprocess import Preprocess, UInt8Array


@dataclass(frozen=True)
class Augment:
    """Random-resized crop and horizontal flip, as in torchvision's `RandomResizedCrop` and reference recipe.

    scale: the crop's share of the image's area, uniform. ratio: its width / height, log-uniform.
    """

    preprocess: Preprocess
    scale: tuple[float, float] = (0.5, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_probability: float = 0.5

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> UInt8Array:
        """Returns uint8 (image_size, image_size, 3)."""
        pixels = self.preprocess.crop(image, self._box(image.width, image.height, rng))
        return np.ascontiguousarray(pixels[:, ::-1]) if rng.random() < self.flip_probability else pixels

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
