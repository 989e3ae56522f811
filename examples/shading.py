"""The dog's colours: coat, fur and light on the rendered solids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples import coats
from examples.breeds import Build
from examples.scenery import Scene
from examples.solids import BACKGROUND_DEPTH, HARD_PARTS, HEAD_PARTS, BodyPart, Buffers, Floats, Vector
from examples.staging import Staging

Parts = NDArray[np.uint8]


def _fur(staging: Staging, xy: Floats, on_head: NDArray[np.bool_], fluff: float, rng: np.random.Generator) -> Floats:
    """Streaks (N,) that run away from the nose on the head and from the throat on the body."""
    texture = rng.standard_normal((256, 256), dtype=np.float32)
    for shift in (1, 2, 4):
        texture = (texture + np.roll(texture, shift, 0)) / np.float32(np.sqrt(2))
    total = np.zeros(xy.shape[1], np.float32)
    for placement, mask in ((staging.head, on_head), (staging.body, ~on_head)):
        pivot = (
            placement.offset if placement is staging.head else staging.head.offset + np.array([0, placement.scale, 0])
        )
        dx, dy = xy[0, mask] - np.float32(pivot[0]), xy[1, mask] - np.float32(pivot[1])
        radius = np.sqrt(dx * dx + dy * dy) + 1
        octave = np.floor(np.log2(radius) + rng.standard_normal(radius.shape, dtype=np.float32) * np.float32(0.1))
        across = np.arctan2(dy, dx) * np.exp2(octave) * np.float32(0.6)
        along = radius * np.float32(16 / (placement.scale * (0.35 + 0.5 * fluff)))
        total[mask] = texture[along.astype(np.int64) & 255, across.astype(np.int64) & 255]
    return total


def paint(
    build: Build, staging: Staging, buffers: Buffers, place: Scene, light: Vector, rng: np.random.Generator
) -> Floats:
    """The dog alone: premultiplied RGBA (h, w, 4), 0 to 1, oversampled."""
    h, w = buffers.depth.shape
    seen = buffers.part > 0
    rows, columns = np.nonzero(seen)
    part = buffers.part[seen]
    xyz = np.stack([columns.astype(np.float32), np.float32(h) - rows.astype(np.float32), buffers.depth[seen]])
    on_head = np.isin(part, [int(p) for p in HEAD_PARTS])
    at = coats.Points(staging.head.inverse(xyz), staging.body.inverse(xyz), part, on_head)
    light_hair, dark_hair = coats.colours(build.breed, rng)
    dark = coats.darkness(build.breed, at, rng)[None]
    fur = _fur(staging, xyz, on_head, build.breed.fluff, rng)
    albedo = light_hair[:, None] * (1 - dark) + dark_hair[:, None] * dark
    albedo = albedo * (1 + np.float32(0.05 + 0.08 * build.breed.fluff) * fur)
    albedo = _hard_colours(albedo, part, rng)
    normal = buffers.normal[:, seen]
    hairy = ~np.isin(part, [int(p) for p in HARD_PARTS])
    normal = normal + np.where(hairy, fur * np.float32(0.06 + 0.08 * build.breed.fluff), 0) * np.array(
        [[0.7], [0.7], [0.0]], np.float32
    )
    normal /= np.sqrt((normal * normal).sum(axis=0)) + np.float32(1e-6)
    shaded = _shade(albedo, normal, part, _openness(buffers, staging.body.scale)[seen], light, place.ambient, rng)
    dog = np.zeros((h, w, 4), np.float32)
    dog[seen, :3] = np.clip(shaded, 0, 1).T
    dog[seen, 3] = 1
    return dog


_NOSES = ((30, 27, 29), (30, 27, 29), (74, 48, 42))
_EYES = ((52, 32, 20), (70, 44, 22), (38, 26, 20), (88, 62, 30))
_COLLARS = ((176, 42, 40), (44, 84, 150), (46, 120, 84), (214, 150, 40), (58, 52, 56), (150, 80, 140))


def _hard_colours(albedo: Floats, part: Parts, rng: np.random.Generator) -> Floats:
    nose, eye, collar = (np.array(kind[int(rng.integers(len(kind)))]) / 255 for kind in (_NOSES, _EYES, _COLLARS))
    colours = {
        BodyPart.NOSE: nose,
        BodyPart.EYE: eye,
        BodyPart.EYE_RIM: np.full(3, 0.1),
        BodyPart.MOUTH: np.array([0.16, 0.09, 0.09]),
        BodyPart.TONGUE: np.array([0.84, 0.46, 0.48]),
        BodyPart.COLLAR: collar,
    }
    for kind, colour in colours.items():
        albedo[:, part == kind] = colour.astype(np.float32)[:, None]
    inner = part == BodyPart.EAR_INNER
    albedo[:, inner] = albedo[:, inner] * np.float32(0.55) + np.array([[0.30], [0.19], [0.17]], np.float32)
    return albedo


def _openness(buffers: Buffers, scale: float) -> Floats:
    """How little of the light is kept away by nearby higher parts: 0.4 to 1 (h, w)."""
    h, w = buffers.depth.shape
    seen = buffers.depth > BACKGROUND_DEPTH
    floor = float(buffers.depth[seen].min()) if seen.any() else 0.0
    depth = np.where(seen, buffers.depth, np.float32(floor))
    cover = np.zeros_like(depth)
    for cell in (0.12, 0.35):
        step = max(2, int(cell * scale))
        image = Image.fromarray(depth).resize((max(1, w // step), max(1, h // step)), Image.Resampling.BOX)
        wide = np.asarray(image.resize((w, h), Image.Resampling.BILINEAR), np.float32)
        cover += np.clip((wide - depth) / np.float32(cell * scale * 2.2), 0, 1)
    return 1 - np.float32(0.38) * np.clip(cover, 0, 1.5)


def _shade(
    albedo: Floats,
    normal: Floats,
    part: Parts,
    openness: Floats,
    light: Vector,
    ambient: Floats,
    rng: np.random.Generator,
) -> Floats:
    lx, ly, lz = (np.float32(v) for v in light)
    facing = normal[0] * lx + normal[1] * ly + normal[2] * lz
    key = np.clip(facing * np.float32(0.62) + np.float32(0.38), 0, 1) ** np.float32(1.25)
    sky = np.float32(0.5) + np.float32(0.5) * normal[1]
    rim = (1 - np.clip(normal[2], 0, 1)) ** 3 * np.clip(normal[1] + np.float32(0.4), 0, 1)
    warm = np.array([1.0, 0.97, 0.92], np.float32) * np.float32(rng.uniform(0.78, 0.98))
    fill = (np.float32(0.5) * ambient + np.float32(0.5) * ambient.mean() + np.float32(0.25))[:, None] * (
        np.float32(0.22) + np.float32(0.26) * sky
    )
    colour = albedo * (warm[:, None] * key + fill) * openness + np.float32(0.16) * rim * ambient[:, None]
    gloss = np.isin(part, [int(BodyPart.NOSE), int(BodyPart.EYE), int(BodyPart.TONGUE), int(BodyPart.COLLAR)])
    half_z = lz + 1
    norm = np.sqrt(lx * lx + ly * ly + half_z * half_z)
    shine = np.clip((normal[0] * lx + normal[1] * ly + normal[2] * half_z) / norm, 0, 1)
    strength = np.where(part == BodyPart.EYE, np.float32(0.95), np.float32(0.3)) * gloss
    power = np.where(part == BodyPart.EYE, np.float32(40), np.float32(14))
    lit: Floats = colour + strength * shine**power
    return lit
