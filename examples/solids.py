"""A small renderer: ellipsoids seen from the front, in parallel projection, into a depth buffer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Vector = NDArray[np.float64]

Point = tuple[float, float, float]

BACKGROUND_DEPTH = np.float32(-1e6)


class BodyPart(IntEnum):
    """What a pixel shows; the coat and the shading depend on it."""

    NONE = 0
    SKULL = 1
    MUZZLE = 2
    EAR = 3
    EAR_INNER = 4
    NECK = 5
    TORSO = 6
    CHEST = 7
    LEG = 8
    PAW = 9
    TAIL = 10
    NOSE = 11
    EYE = 12
    EYE_RIM = 13
    TONGUE = 14
    COLLAR = 15
    MOUTH = 16
    TOPKNOT = 17


HEAD_PARTS = (BodyPart.SKULL, BodyPart.MUZZLE, BodyPart.EAR, BodyPart.EAR_INNER, BodyPart.TOPKNOT)
HARD_PARTS = (BodyPart.NOSE, BodyPart.EYE, BodyPart.EYE_RIM, BodyPart.TONGUE, BodyPart.COLLAR, BodyPart.MOUTH)


@dataclass(frozen=True)
class Solid:
    """An ellipsoid: the points `centre + axes @ s` with |s| = 1.

    `blend` is the depth over which it melts into what is already there (0: a hard edge);
    `bias` moves it towards the viewer in the depth test only.
    """

    part: BodyPart
    centre: Vector
    axes: Vector
    blend: float = 0.0
    bias: float = 0.0

    def moved(self, rotation: Vector, scale: float, offset: Vector) -> Solid:
        """The same solid after `p -> scale * rotation @ p + offset`."""
        return Solid(
            self.part,
            scale * (rotation @ self.centre) + offset,
            scale * (rotation @ self.axes),
            self.blend * scale,
            self.bias * scale,
        )


class Buffers(NamedTuple):
    """Per pixel: depth (H, W) towards the viewer, unit normal (3, H, W), part (H, W)."""

    depth: Floats
    normal: Floats
    part: NDArray[np.uint8]


def ellipsoid(
    part: BodyPart,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    blend: float = 0.0,
    bias: float = 0.0,
) -> Solid:
    """An ellipsoid along the axes."""
    return Solid(part, np.array(centre, float), np.diag(np.array(radii, float)), blend, bias)


def chain(
    part: BodyPart,
    path: list[tuple[float, float, float]],
    widths: list[float],
    thickness: float | None = None,
    across: tuple[float, float, float] = (1.0, 0.0, 0.0),
    blend: float = 0.1,
    steps: int = 7,
) -> list[Solid]:
    """Overlapping ellipsoids along a polyline.

    `widths` are the radii at the path's points. With `thickness` the chain is a flat strap of that half
    depth, broad along `across`; without, it is round.
    """
    points = np.array(path, float)
    at = np.linspace(0, len(path) - 1, steps)
    knots = np.arange(len(path))
    centres = np.stack([np.interp(at, knots, points[:, axis]) for axis in range(3)], axis=1)
    radii = np.interp(at, knots, np.array(widths))
    tangents = np.gradient(centres, axis=0)
    spacing = np.linalg.norm(tangents, axis=1)
    solids = []
    for centre, tangent, radius, step in zip(centres, tangents, radii, spacing, strict=True):
        along = tangent / (np.linalg.norm(tangent) + 1e-9)
        if thickness is None:
            stretch = max(0.0, float(step) * 1.3 - float(radius))
            solids.append(Solid(part, centre, np.eye(3) * radius + np.outer(along, along) * stretch, blend))
            continue
        side = np.array(across) - along * float(np.dot(np.array(across), along))
        side /= np.linalg.norm(side) + 1e-9
        length = max(float(step) * 1.25, min(float(radius), float(step) * 2))
        axes = np.stack([along * length, side * radius, np.cross(along, side) * thickness], axis=1)
        solids.append(Solid(part, centre, axes, blend))
    return solids


def turn(yaw: float, pitch: float, roll: float) -> Vector:
    """Rotation matrix: pitch about x, then yaw about y, then roll about z (radians)."""
    cy, sy, cp, sp, cr, sr = (np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    matrix: Vector = about_z @ about_y @ about_x
    return matrix


def render(solids: list[Solid], width: int, height: int, warp_x: Floats, warp_y: Floats) -> Buffers:
    """Draw solids given in pixels (x right, y up from the bottom edge, z to the viewer), in the order given.

    `warp_x`, `warp_y` (H, W) in pixels are added to the coordinates: they fray the outlines like fur.
    """
    depth = np.full((height, width), BACKGROUND_DEPTH, np.float32)
    normal = np.zeros((3, height, width), np.float32)
    part = np.zeros((height, width), np.uint8)
    for solid in solids:
        _draw(solid, depth, normal, part, warp_x, warp_y)
    return Buffers(depth, normal, part)


def _draw(solid: Solid, depth: Floats, normal: Floats, part: NDArray[np.uint8], warp_x: Floats, warp_y: Floats) -> None:
    height, width = depth.shape
    spread = solid.axes @ solid.axes.T
    reach_x, reach_y = np.sqrt(spread[0, 0]) + 3, np.sqrt(spread[1, 1]) + 3
    left, right = max(0, int(solid.centre[0] - reach_x)), min(width, int(solid.centre[0] + reach_x) + 1)
    middle = height - solid.centre[1]
    top, bottom = max(0, int(middle - reach_y)), min(height, int(middle + reach_y) + 1)
    if left >= right or top >= bottom:
        return
    box = (slice(top, bottom), slice(left, right))
    form = np.linalg.inv(spread).astype(np.float32)
    x = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(solid.centre[0])
    y = np.float32(middle) - np.arange(top, bottom, dtype=np.float32)[:, None]
    if solid.blend > 0:
        x = x + warp_x[box]
        y = y + warp_y[box]
    linear = (form[0, 2] / form[2, 2]) * x + (form[1, 2] / form[2, 2]) * y
    xx, xy, yy = form[0, 0] / form[2, 2], 2 * form[0, 1] / form[2, 2], form[1, 1] / form[2, 2]
    discriminant = linear * linear - (xx * x + xy * y) * x - yy * (y * y) + 1 / form[2, 2]
    old = depth[box]
    z = np.sqrt(np.maximum(discriminant, 0)) - linear
    new = z + np.float32(solid.centre[2])
    inside = (discriminant > 0) & (new + np.float32(solid.bias + solid.blend) > old)
    if not inside.any():
        return
    rows, columns = np.nonzero(inside)
    z, new, old = z[inside], new[inside], old[inside]
    x, y = (x[inside], y[inside]) if solid.blend > 0 else (x[0, columns], y[rows, 0])
    rows += top
    columns += left
    # Not `form @ ...`: BLAS would start threads in every worker.
    direction = np.stack([row[0] * x + row[1] * y + row[2] * z for row in form])
    direction /= np.sqrt((direction * direction).sum(axis=0)) + np.float32(1e-9)
    if solid.blend > 0:
        mix = np.clip(0.5 + 0.5 * (new - old) / np.float32(solid.blend), 0, 1)
        blended = old + mix * (new - old) + np.float32(solid.blend) * mix * (1 - mix)
        old_normal = normal[:, rows, columns]
        direction = old_normal + mix * (direction - old_normal)
        new = np.where(old > BACKGROUND_DEPTH, blended, new)
        wins = mix > 0.5
        part[rows[wins], columns[wins]] = solid.part
    else:
        part[rows, columns] = solid.part
    depth[rows, columns] = new
    normal[:, rows, columns] = direction
