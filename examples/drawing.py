"""One picture of one dog: the scene, the dog in it, the camera."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from examples.breeds import Breed, Build
from examples.scenery import Scene, scene, smooth_noise
from examples.shading import paint
from examples.solids import Buffers, Floats, Vector, render
from examples.staging import Staging, stage

OVERSAMPLING = 1.25  # for smooth edges


def picture_size(size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Width and height: sides of about 0.8 to 1.25 times `size`, upright, square or lying."""
    short = int(size * rng.uniform(0.8, 1.0))
    long = int(short * rng.uniform(1.0, 1.28))
    return (long, short) if rng.random() < 0.6 else (short, long)


def draw(breed: Breed, size: int, rng: np.random.Generator) -> bytes:
    """Draw a dog of the breed; returns a JPEG file. All chance comes from `rng`."""
    width, height = picture_size(size, rng)
    w, h = int(width * OVERSAMPLING), int(height * OVERSAMPLING)
    build = Build.of(breed, rng)
    staging = stage(build, w, h, rng)
    horizon = float(np.clip(1 - (staging.ground + rng.uniform(0.3, 1.4) * staging.body.scale) / h, 0.25, 0.85))
    place = scene(
        width,
        height,
        0.75 if staging.portrait else horizon,
        float(rng.uniform(0.01, 0.05)) if staging.portrait else float(rng.uniform(0.0, 0.012)),
        rng,
    )
    fray = staging.body.scale * (0.015 + 0.045 * breed.fluff)
    warps = [smooth_noise(rng, w, h, 2.2) * np.float32(fray) for _ in range(2)]
    buffers = render(staging.solids, w, h, warps[0], warps[1])
    light = _light(rng)
    dog = paint(build, staging, buffers, place, light, rng)
    picture = _compose(dog, place, staging, buffers, light, rng)
    return _photograph(picture, rng)


def _light(rng: np.random.Generator) -> Vector:
    side = rng.choice([-1, 1]) * rng.uniform(0.15, 0.8)
    direction = np.array([side, rng.uniform(0.45, 0.9), rng.uniform(0.5, 0.9)])
    unit: Vector = direction / np.linalg.norm(direction)
    return unit


def _compose(
    dog: Floats, place: Scene, staging: Staging, buffers: Buffers, light: Vector, rng: np.random.Generator
) -> Floats:
    height, width = place.pixels.shape[:2]
    layers = Image.fromarray((dog * 255 + 0.5).astype(np.uint8), "RGBA").resize((width, height), Image.Resampling.BOX)
    front = np.asarray(layers, np.float32) * np.float32(1 / 255)
    back = place.pixels
    if not staging.portrait:
        back = back * _shadow(staging, buffers, light, width, height)[..., None]
    picture: Floats = back * (np.float32(1) - front[..., 3:]) + front[..., :3]
    if place.grass is not None and not staging.portrait:
        picture = _grass(picture, place.grass, staging, rng)
    return picture


def _shadow(staging: Staging, buffers: Buffers, light: Vector, width: int, height: int) -> Floats:
    """Brightness factor (H, W) of the ground under the dog."""
    columns = np.nonzero((buffers.part > 0).any(axis=0))[0]
    left, right = (columns[0], columns[-1]) if len(columns) else (0, 1)
    small = Image.new("L", (width // 2, height // 2), 0)
    unit = 0.5 / OVERSAMPLING
    x0, x1 = left * unit, right * unit
    y = (height - staging.ground / OVERSAMPLING) / 2
    depth = staging.body.scale * 0.55 * unit
    slide = -light[0] * depth * 1.2
    drawing = ImageDraw.Draw(small)
    drawing.ellipse([x0 + slide, y - depth * 1.6, x1 + slide, y + depth * 0.5], fill=150)
    small = small.filter(ImageFilter.GaussianBlur(max(1.0, depth * 0.35)))
    cover = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    brightness: Floats = np.float32(1) - cover * np.float32(0.8 / 255)
    return brightness


def _grass(picture: Floats, grass: tuple[float, float, float], staging: Staging, rng: np.random.Generator) -> Floats:
    height, width = picture.shape[:2]
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    big = image.resize((width * 2, height * 2), Image.Resampling.BILINEAR)
    drawing = ImageDraw.Draw(big)
    base = 2 * (height - staging.ground / OVERSAMPLING)
    blade = staging.body.scale / OVERSAMPLING * 2 * 0.3
    for _ in range(110):
        x, y = rng.uniform(0, 2 * width), base + blade * rng.uniform(0.1, 1.6)
        tall = blade * rng.uniform(0.5, 1.1)
        shade = rng.uniform(0.6, 1.25)
        colour = tuple(int(min(255, c * shade)) for c in grass)
        drawing.line([x, y, x + rng.normal(0, 0.3) * tall, y - tall], fill=colour, width=2)
    small = np.asarray(big.resize((width, height), Image.Resampling.BOX), np.float32)
    return small * np.float32(1 / 255)


def _photograph(picture: Floats, rng: np.random.Generator) -> bytes:
    """Light, lens, sensor and JPEG: the last way in which two pictures differ."""
    height, width = picture.shape[:2]
    cast = 1 + rng.normal(0, 0.04, 3)
    picture = picture * (cast * rng.uniform(0.8, 1.18)).astype(np.float32)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    edge = (x * x + y * y).astype(np.float32) / 2
    picture = picture * (1 - np.float32(rng.uniform(0, 0.4)) * (edge * np.sqrt(edge))[..., None])
    tilt = (np.cos(angle := rng.uniform(0, 2 * np.pi)) * x + np.sin(angle) * y).astype(np.float32)
    picture = picture * (1 + np.float32(rng.uniform(0, 0.14)) * tilt[..., None])
    picture = np.clip(picture, 0, None) ** np.float32(rng.uniform(0.85, 1.15))
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.3)) * max(width, height) / 256))
    noise = rng.standard_normal((height, width, 3), dtype=np.float32) * np.float32(rng.uniform(0.5, 7))
    noise += smooth_noise(rng, width, height, 2)[..., None] * np.float32(rng.uniform(0, 3))
    image = Image.fromarray(np.clip(np.asarray(image, np.float32) + noise, 0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    file = BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(62, 94)))
    return file.getvalue()
