"""Heads as ellipsoids: skull, muzzle, eyes, ears."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from examples.breeds import Build, Ears
from examples.solids import BodyPart, Point, Solid, chain, ellipsoid


def head(build: Build) -> list[Solid]:
    """The head, its centre at the origin, looking along z."""
    width, mw, ml = build.skull_width, build.muzzle_width, build.muzzle_length
    front = 0.72 + ml
    parts = [ellipsoid(BodyPart.SKULL, (0, 0.05, 0), (width, 0.86, 0.92), 0.1)]
    for side in (-1.0, 1.0):
        parts += _ear(build, side)
        parts.append(ellipsoid(BodyPart.SKULL, (side * 0.42 * width, -0.28, 0.3), (0.48, 0.45, 0.5), 0.3))
        parts.append(ellipsoid(BodyPart.SKULL, (side * 0.34 * width, 0.33, 0.62), (0.27, 0.16, 0.24), 0.22))
    if build.breed.pattern == "topknot":
        parts.append(ellipsoid(BodyPart.TOPKNOT, (0, 0.95, 0.02), (0.52, 0.44 * build.ear_length, 0.5), 0.12))
        parts.append(ellipsoid(BodyPart.TOPKNOT, (0, 0.62, 0.62), (0.3, 0.26, 0.3), 0.12))
    parts += _jaw(build, front)
    parts += chain(
        BodyPart.MUZZLE, [(0, -0.2, 0.5), (0, -0.3, front - 0.2)], [mw * 1.12, mw * 0.84], blend=0.22, steps=4
    )
    for side in (-1.0, 1.0):
        parts.append(
            ellipsoid(BodyPart.MUZZLE, (side * mw * 0.44, -0.43, front - 0.24), (mw * 0.6, mw * 0.62, mw * 0.75), 0.1)
        )
    nose = 0.13 + 0.16 * mw
    parts.append(
        ellipsoid(
            BodyPart.NOSE,
            (0, -0.3 + mw * 0.42, front - 0.2 + mw * 0.7),
            (nose * 1.2, nose * 0.85, nose * 0.8),
            bias=0.12,
        )
    )
    parts.append(
        ellipsoid(BodyPart.MOUTH, (0, -0.36 - mw * 0.1, front - 0.24 + mw * 0.66), (0.025, mw * 0.45, 0.1), bias=0.02)
    )
    for side in (-1.0, 1.0):
        eye_x = side * (0.4 * width + 0.04)
        parts.append(ellipsoid(BodyPart.EYE_RIM, (eye_x, 0.12, 0.74), (0.205, 0.165, 0.12), bias=0.1))
        parts.append(ellipsoid(BodyPart.EYE, (eye_x, 0.12, 0.76), (0.155, 0.145, 0.15), bias=0.13))
    return parts


def _jaw(build: Build, front: float) -> list[Solid]:
    mw, drop = build.muzzle_width, 0.28 * build.mouth_open
    jaw = chain(
        BodyPart.MUZZLE, [(0, -0.52, 0.4), (0, -0.62 - drop, front - 0.3)], [mw * 0.9, mw * 0.55], blend=0.04, steps=4
    )
    if build.mouth_open:
        jaw.append(
            ellipsoid(
                BodyPart.MOUTH, (0, -0.58 - drop * 0.5, front - 0.34), (mw * 0.62, 0.12 + drop * 0.6, 0.32), bias=0.02
            )
        )
        jaw += [
            Solid(s.part, s.centre, s.axes, bias=0.35)
            for s in chain(
                BodyPart.TONGUE,
                [(0, -0.56, front - 0.4), (0, -0.64 - drop, front - 0.05), (0, -0.86 - drop * 1.4, front)],
                [mw * 0.42, mw * 0.45, mw * 0.36],
                thickness=0.07,
                steps=6,
            )
        ]
    return jaw


class _Strap(NamedTuple):
    """A flat part of a right ear: its path, the half widths along it, and the direction in which it is broad."""

    path: list[Point]
    widths: list[float]
    across: Point = (1, 0, 0)
    part: BodyPart = BodyPart.EAR


_EARS: Final[dict[Ears, list[_Strap]]] = {
    "pricked": [
        _Strap([(0.58, 0.45, 0.05), (0.68, 1.1, 0.05), (0.76, 1.78, 0.08)], [0.46, 0.34, 0.04]),
        _Strap(
            [(0.58, 0.55, 0.17), (0.68, 1.08, 0.16), (0.74, 1.55, 0.13)], [0.26, 0.2, 0.03], part=BodyPart.EAR_INNER
        ),
    ],
    "tipped": [
        _Strap(
            [(0.56, 0.5, 0.0), (0.72, 1.0, 0.0), (0.82, 1.32, 0.1), (0.98, 1.22, 0.42), (1.06, 0.9, 0.52)],
            [0.4, 0.34, 0.29, 0.24, 0.05],
        ),
        _Strap([(0.56, 0.6, 0.12), (0.7, 0.95, 0.12), (0.78, 1.15, 0.14)], [0.22, 0.18, 0.1], part=BodyPart.EAR_INNER),
    ],
    "button": [
        _Strap(
            [(0.62, 0.55, 0.1), (0.78, 0.88, 0.12), (0.86, 0.86, 0.42), (0.84, 0.42, 0.62)], [0.36, 0.38, 0.36, 0.06]
        ),
    ],
    "rose": [
        _Strap(
            [(0.66, 0.58, -0.1), (0.9, 0.72, -0.45), (1.14, 0.52, -0.85), (1.28, 0.22, -1.0)],
            [0.26, 0.27, 0.2, 0.04],
            (0.3, 1, 0.2),
        ),
    ],
    "drop": [
        _Strap(
            [(0.72, 0.55, 0.0), (1.02, 0.5, 0.08), (1.16, 0.05, 0.15), (1.1, -0.42, 0.22)],
            [0.3, 0.36, 0.4, 0.16],
            (0.4, 0, 1),
        ),
    ],
    "long": [
        _Strap(
            [(0.78, 0.3, 0.0), (1.02, 0.0, 0.05), (1.14, -0.8, 0.15), (1.08, -1.45, 0.28)],
            [0.26, 0.34, 0.46, 0.26],
            (0.5, 0, 1),
        ),
    ],
}


def _ear(build: Build, side: float) -> list[Solid]:
    """The ear on one side: lengthened, turned about its root and mirrored as this dog's is."""
    length, tilt = build.ear_length, build.ear_tilt[0 if side < 0 else 1]
    c, s = np.cos(tilt), np.sin(tilt)
    solids = []
    for strap in _EARS[build.breed.ears]:
        root = strap.path[0]
        turned = []
        for point in strap.path:
            dx, dy, dz = ((point[axis] - root[axis]) * length for axis in range(3))
            x, y = root[0] * build.skull_width + c * dx - s * dy, root[1] + s * dx + c * dy
            turned.append((side * x, y, root[2] + dz))
        across = (strap.across[0], strap.across[1] * side, strap.across[2] * side)
        thickness = 0.1 if strap.part is BodyPart.EAR else 0.05
        widths = [width * build.ear_width for width in strap.widths]
        solids += chain(strap.part, turned, widths, thickness, across, blend=0.06, steps=7)
    return solids
