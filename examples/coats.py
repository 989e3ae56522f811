"""Coat patterns: how dark the hair is at a point of the dog, and the colours that makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.breeds import DARK, LIGHT, Breed
from examples.solids import BodyPart, Floats

LEAST_CONTRAST = 300  # between light and dark hair: sum of the differences of R, G and B


@dataclass(frozen=True)
class Points:
    """The visible points of a dog: head and body coordinates (3, N) in head radii, and their parts."""

    head: Floats
    body: Floats
    part: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    on_head: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

    def are(self, *parts: BodyPart) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Which points belong to one of the parts."""
        return np.isin(self.part, [int(part) for part in parts])


def _step(value: Floats, softness: float) -> Floats:
    return np.clip(value / np.float32(softness) * np.float32(0.5) + np.float32(0.5), 0, 1)


class Waves:
    """A smooth random function of a point, about -1 to 1: a few sine waves in random directions."""

    def __init__(self, rng: np.random.Generator, frequency: float, count: int = 5) -> None:
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self.waves = (directions * frequency * rng.uniform(0.7, 1.35, (count, 1))).astype(np.float32)
        self.phases = rng.uniform(0, 2 * np.pi, count).astype(np.float32)

    def __call__(self, points: Floats) -> Floats:
        total = np.zeros(points.shape[1], np.float32)
        for (a, b, c), phase in zip(self.waves, self.phases, strict=True):
            total += np.sin(a * points[0] + b * points[1] + c * points[2] + phase)
        return total * np.float32(1.4 / len(self.phases))


def darkness(breed: Breed, at: Points, rng: np.random.Generator) -> Floats:
    """0 (light hair) to 1 (dark hair) for every point, by the breed's pattern."""
    coordinates = np.where(at.on_head, at.head + np.float32(11.0), at.body)
    fray = Waves(rng, 9.0)(coordinates) * np.float32(0.12)
    pattern = {
        "spotted": _spotted,
        "cap": _cap,
        "saddle": _saddle,
        "brindle": _brindle,
        "patched": _patched,
        "topknot": _topknot,
    }[breed.pattern]
    return pattern(at, coordinates, fray, rng)


def _spotted(at: Points, p: Floats, fray: Floats, rng: np.random.Generator) -> Floats:
    k = rng.uniform(8.0, 10.5)
    bend = [Waves(rng, 1.6, 3)(p) * np.float32(1.7) for _ in range(3)]
    lattice = sum(np.cos(np.float32(k) * p[i] + bend[i]) for i in range(3))
    dark = _step(lattice - np.float32(rng.uniform(0.85, 1.15)) + fray, 0.18)
    if rng.random() < 0.6:
        ears = Waves(rng, 1.5)(p)
        dark = np.where(at.are(BodyPart.EAR), np.maximum(dark, _step(ears + np.float32(0.5) + fray, 0.1)), dark)
    return dark


def _cap(at: Points, _: Floats, fray: Floats, rng: np.random.Generator) -> Floats:
    x, y, z = at.head
    peak = rng.uniform(0.15, 0.35)
    brow = y - np.float32(peak) + np.float32(0.9) * np.exp(-((x / 0.16) ** 2)) * np.float32(0.5)
    brow = brow - np.float32(0.55) * np.exp(-(((np.abs(x) - 0.42) / 0.2) ** 2)) * (z > 0)
    cheeks = np.float32(0.25) - z - np.float32(0.4) * np.clip(-y, 0, 1)
    face = np.maximum(_step(brow + fray, 0.12), _step(cheeks + fray, 0.15))
    under = at.body[1] - np.float32(rng.uniform(-0.35, 0.0)) + fray
    body = np.where(at.are(BodyPart.CHEST, BodyPart.LEG, BodyPart.PAW), 0, _step(under, 0.25))
    body = np.where(at.are(BodyPart.NECK), _step(np.float32(0.2) - at.body[2] + fray, 0.3), body)
    return np.where(at.on_head, np.where(at.are(BodyPart.MUZZLE), 0, face), body).astype(np.float32)


def _saddle(at: Points, _: Floats, fray: Floats, rng: np.random.Generator) -> Floats:
    back = at.body[1] - np.float32(rng.uniform(0.0, 0.3)) + fray
    body = np.where(
        at.are(BodyPart.LEG, BodyPart.PAW, BodyPart.CHEST), _step(back - np.float32(0.35), 0.2), _step(back, 0.2)
    )
    body = np.where(at.are(BodyPart.NECK), _step(-at.body[2] + np.float32(0.6) + fray, 0.3), body)
    crown = _step(at.head[1] - np.float32(rng.uniform(0.6, 0.95)) + fray, 0.2) * np.float32(0.5)
    face = np.where(at.are(BodyPart.EAR), np.float32(rng.uniform(0.75, 1.0)), crown)
    return np.where(at.on_head, face, body).astype(np.float32)


def _brindle(at: Points, p: Floats, fray: Floats, rng: np.random.Generator) -> Floats:
    k = np.float32(rng.uniform(9, 13))
    bend = Waves(rng, 2.2)(p)
    stripes = np.sin(k * (p[1] * np.float32(0.45) + p[2]) + bend * np.float32(2.6))
    breaks = Waves(rng, 3.2)(p)
    dark = _step(stripes - np.float32(0.25) + breaks * np.float32(0.7) + fray, 0.45) * np.float32(0.85)
    muzzle = np.where(at.are(BodyPart.MUZZLE), np.float32(0.9), 0)
    bib = at.are(BodyPart.CHEST) & (np.abs(at.body[0] + fray) < 0.3) & (rng.random() < 0.6)
    return np.where(bib, 0, np.maximum(dark, muzzle)).astype(np.float32)


def _patched(at: Points, _: Floats, fray: Floats, rng: np.random.Generator) -> Floats:
    patches = _step(Waves(rng, 1.25)(at.body) + fray + np.float32(rng.uniform(-0.05, 0.3)), 0.08)
    patches = np.where(
        at.are(BodyPart.CHEST, BodyPart.PAW, BodyPart.NECK, BodyPart.LEG),
        patches * _step(at.body[1] - np.float32(0.6) + fray * np.float32(2.5), 0.3),
        patches,
    )
    x, y = at.head[0], at.head[1]
    blaze = np.abs(x) - np.float32(rng.uniform(0.1, 0.22)) - np.float32(0.16) * np.clip(-y, -0.6, 1)
    face = np.where(at.are(BodyPart.MUZZLE), 0, _step(blaze + fray * np.float32(0.5), 0.06))
    if rng.random() < 0.35:  # half a mask
        face = face * np.where(x * np.float32(rng.choice([-1.0, 1.0])) > 0, 1, 0)
    return np.where(at.on_head, face, patches).astype(np.float32)


def _topknot(at: Points, p: Floats, fray: Floats, rng: np.random.Generator) -> Floats:
    shade = Waves(rng, 1.0)(p) * np.float32(0.08) + np.float32(0.05) + fray * np.float32(0.2)
    ears = np.float32(rng.uniform(0.4, 1.0))
    dark = np.where(at.are(BodyPart.EAR), ears, np.clip(shade, 0, 1))
    tip = (rng.random() < 0.5) * _step(-at.body[2] - np.float32(2.2) + fray, 0.3)
    dark = np.where(at.are(BodyPart.TAIL), np.maximum(dark, tip), dark)
    return np.where(at.are(BodyPart.TOPKNOT), np.float32(1.0), dark).astype(np.float32)


def colours(breed: Breed, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The light and the dark hair colour (RGB, 0 to 1) of one dog."""
    pairs = [(light, dark) for light in LIGHT for dark in DARK if sum(light) - sum(dark) > LEAST_CONTRAST]
    light, dark = (np.array(colour, float) for colour in pairs[rng.integers(len(pairs))])
    turned = {"topknot": 0.5, "spotted": 0.12}.get(breed.pattern, 0.0)
    if rng.random() < turned:
        dark, light = light, dark
    jitter = rng.normal(0, 5, (2, 3))
    both = np.clip(np.stack([light, dark]) * rng.uniform(0.9, 1.08) + jitter, 8, 250).astype(np.float32) / 255
    return both[0], both[1]
