"""Bodies as ellipsoids, in three poses.

Lengths are in head radii; x runs to the right for a dog seen from the front, y up, z to the front.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from examples.breeds import Build
from examples.solids import BodyPart, Point, Solid, chain, ellipsoid

Pose = Literal["sit", "stand", "lie"]


def body(build: Build, pose: Pose) -> tuple[list[Solid], Point]:
    """The body in a pose, and where the head's centre goes."""
    if pose == "sit":
        return _sitting(build)
    if pose == "lie":
        return _lying(build)
    return _standing(build)


def _neck(build: Build, root: Point, top: Point) -> list[Solid]:
    thick = 0.62 * build.girth
    solids = chain(BodyPart.NECK, [root, top], [thick * 1.3, thick], blend=0.35, steps=5)
    if build.breed.fluff > 0.8:
        solids.append(
            ellipsoid(
                BodyPart.CHEST,
                (0, root[1] * 0.6 + top[1] * 0.4 - 0.2, max(root[2], top[2]) * 0.85),
                (0.95 * build.girth, 1.05, 0.7),
                0.4,
            )
        )
    if build.collar:
        middle = 0.35 * np.array(root) + 0.65 * np.array(top)
        along = np.array(top) - np.array(root)
        along /= np.linalg.norm(along)
        side = np.array([1.0, 0.0, 0.0])
        axes = np.stack([side * thick * 1.2, along * 0.13, np.cross(side, along) * thick * 1.25], axis=1)
        solids.append(Solid(BodyPart.COLLAR, middle, axes, bias=0.15))
        solids.append(
            ellipsoid(
                BodyPart.COLLAR,
                (0.0, float(middle[1]) - 0.28, float(middle[2]) + thick * 1.18),
                (0.14, 0.16, 0.06),
                bias=0.5,
            )
        )
    return solids


def _leg(start: Point, foot: Point, widths: list[float]) -> list[Solid]:
    knee = (0.5 * (start[0] + foot[0]), 0.5 * (start[1] + foot[1]), 0.5 * (start[2] + foot[2]) - 0.05)
    solids = chain(BodyPart.LEG, [start, knee, foot], widths, blend=0.16, steps=6)
    solids.append(ellipsoid(BodyPart.PAW, (foot[0], foot[1] - 0.05, foot[2] + 0.13), (0.3, 0.2, 0.38), 0.08))
    return solids


def _tail(build: Build, root: Point, rising: float) -> list[Solid]:
    x, y, z = root
    kind = build.breed.tail
    if kind == "stub":
        return chain(BodyPart.TAIL, [root, (x, y + 0.25, z - 0.35)], [0.22, 0.12], steps=3)
    if kind == "curl":
        path = [root, (x + 0.1, y + 0.7, z - 0.35), (x + 0.3, y + 1.1, z + 0.1), (x + 0.55, y + 0.75, z + 0.5)]
        return chain(BodyPart.TAIL, path, [0.3, 0.42, 0.42, 0.2], blend=0.2, steps=8)
    bushy = kind == "brush"
    path = [root, (x + 0.25, y - 0.1 + rising * 0.5, z - 0.7), (x + 0.6, y + rising, z - 1.35)]
    return chain(BodyPart.TAIL, path, [0.22, 0.38, 0.16] if bushy else [0.2, 0.13, 0.07], blend=0.1, steps=8)


def _standing(build: Build) -> tuple[list[Solid], Point]:
    g, half, leg = build.girth, build.breed.body_length / 2, build.leg_length
    solids = []
    for side in (-1.0, 1.0):
        x = side * 0.48 * g
        solids += _leg((x, -0.2, -half - 0.15), (x, -0.5 - leg, -half - 0.3), [0.55, 0.36, 0.22])
        solids += _leg((x, -0.2, half), (x, -0.5 - leg, half + 0.05), [0.42, 0.3, 0.22])
    solids += _tail(build, (0, 0.55, -half - 0.75), 0.5)
    solids.append(ellipsoid(BodyPart.TORSO, (0, 0.12, -half), (0.84 * g, 0.85 * g, 0.95), 0.4))
    solids.append(ellipsoid(BodyPart.TORSO, (0, 0.1, 0), (0.82 * g, 0.8 * g, half + 0.6), 0.4))
    solids.append(ellipsoid(BodyPart.CHEST, (0, 0.0, half), (0.9 * g, 1.05 * g, 0.95), 0.4))
    long = build.breed.neck
    top = (0.0, 1.75 + long, half + 1.15 + 0.3 * long)
    solids += _neck(build, (0, 0.45, half + 0.35), (0, 1.35 + long, half + 0.85 + 0.3 * long))
    return solids, top


def _sitting(build: Build) -> tuple[list[Solid], Point]:
    g = build.girth
    low, long = -1.0 - 0.35 * build.leg_length, build.breed.neck
    solids = _tail(build, (0.2, low + 0.5, -1.3), 0.1)
    solids.append(ellipsoid(BodyPart.TORSO, (0, low + 1.0, -0.55), (1.0 * g, 1.05, 1.0), 0.4))
    solids.append(ellipsoid(BodyPart.TORSO, (0, 0.1, -0.05), (0.88 * g, 1.3, 0.85), 0.5))
    for side in (-1.0, 1.0):
        solids.append(ellipsoid(BodyPart.LEG, (side * 0.85 * g, low + 0.75, -0.05), (0.42, 0.75, 0.85), 0.25))
        solids.append(ellipsoid(BodyPart.PAW, (side * 0.95 * g, low + 0.12, 0.75), (0.28, 0.2, 0.5), 0.1))
    solids.append(ellipsoid(BodyPart.CHEST, (0, 0.3, 0.3), (0.86 * g, 1.0, 0.72), 0.5))
    for side in (-1.0, 1.0):
        solids += _leg((side * 0.45 * g, 0.0, 0.5), (side * 0.4 * g, low + 0.15, 0.85), [0.42, 0.3, 0.24])
    solids += _neck(build, (0, 0.7, 0.2), (0, 1.5 + long, 0.4))
    return solids, (0.0, 2.15 + long, 0.6)


def _lying(build: Build) -> tuple[list[Solid], Point]:
    g, half, long = build.girth, build.breed.body_length / 2, build.breed.neck
    solids = _tail(build, (0.3, -0.3, -half - 0.8), 0.1)
    solids.append(ellipsoid(BodyPart.TORSO, (0, -0.1, -half), (0.98 * g, 0.85 * g, 0.95), 0.4))
    solids.append(ellipsoid(BodyPart.TORSO, (0, 0.0, 0), (0.88 * g, 0.82 * g, half + 0.6), 0.4))
    for side in (-1.0, 1.0):
        solids.append(ellipsoid(BodyPart.LEG, (side * 0.95 * g, -0.3, -half + 0.1), (0.45, 0.6, 0.8), 0.25))
        solids.append(ellipsoid(BodyPart.PAW, (side * 1.1 * g, -0.75, -half + 0.95), (0.26, 0.18, 0.45), 0.1))
    solids.append(ellipsoid(BodyPart.CHEST, (0, 0.1, half), (0.9 * g, 0.95 * g, 0.85), 0.45))
    for side in (-1.0, 1.0):
        x = side * 0.6 * g
        solids += chain(BodyPart.LEG, [(x, -0.4, half + 0.2), (x, -0.7, half + 1.5)], [0.36, 0.24], blend=0.15, steps=4)
        solids.append(ellipsoid(BodyPart.PAW, (x, -0.74, half + 1.65), (0.3, 0.2, 0.36), 0.08))
    solids += _neck(build, (0, 0.5, half + 0.25), (0, 1.25 + long, half + 0.55))
    return solids, (0.0, 1.75 + long, half + 0.8)
