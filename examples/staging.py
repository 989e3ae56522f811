"""Where the dog is in the picture: pose, gaze, framing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.bodies import Pose, body
from examples.breeds import Build
from examples.heads import head
from examples.solids import HARD_PARTS, Floats, Solid, Vector, turn


@dataclass(frozen=True)
class Placement:
    """A rigid motion with scaling, dog to picture: `scale * rotation @ p + offset`, in oversampled pixels."""

    rotation: Vector
    scale: float
    offset: Vector

    def inverse(self, points: Floats) -> Floats:
        """Picture coordinates (3, N) back to head radii."""
        back = (self.rotation.T / self.scale).astype(np.float32)
        x, y, z = points - self.offset.astype(np.float32)[:, None]
        return np.stack([row[0] * x + row[1] * y + row[2] * z for row in back])


@dataclass(frozen=True)
class Staging:
    """The dog's solids in picture coordinates and how to get back from there."""

    solids: list[Solid]
    head: Placement
    body: Placement
    pose: Pose
    portrait: bool
    ground: float


def stage(build: Build, w: int, h: int, rng: np.random.Generator) -> Staging:
    """Choose pose, gaze and framing for a picture of w by h oversampled pixels."""
    portrait = bool(rng.random() < 0.62)
    poses: list[Pose] = ["sit", "stand", "lie"]
    pose = "sit" if portrait else poses[int(rng.choice(3, p=[0.45, 0.42, 0.13]))]
    trunk, crown = body(build, pose)
    way = float(rng.choice([-1.0, 1.0]))
    yaw = way * float(rng.uniform(0.55, 1.25) if pose == "stand" else rng.uniform(0.0, 0.75))
    view = turn(0, float(rng.uniform(0.05, 0.3)), float(rng.normal(0, 0.05)))
    body_rotation = view @ turn(yaw, 0, 0)
    gaze = float(np.clip(yaw * rng.uniform(0.0, 0.8) + rng.normal(0, 0.22), -0.68, 0.68))
    head_rotation = view @ turn(gaze, float(rng.normal(-0.02, 0.12)), float(rng.normal(0, 0.12)))
    size = build.breed.head * (1.0 if portrait else 1.32)
    skull = head(build)
    shift = body_rotation @ np.array(crown)
    loose = [s.moved(body_rotation, 1.0, np.zeros(3)) for s in trunk]
    skull = [s.moved(head_rotation, size, shift) for s in skull]
    box = _bounds(skull + ([] if portrait else loose))
    extent = max((box[1] - box[0]) / w, (box[3] - box[2]) / h)
    scale = float(rng.uniform(0.64, 0.86) if portrait else rng.uniform(0.85, 1.0)) / extent
    middle_x = w * (0.5 + float(rng.normal(0, 0.05)))
    middle_y = h * ((0.56 if portrait else 0.5) + float(rng.normal(0, 0.03)))
    offset = np.array([middle_x - scale * (box[0] + box[1]) / 2, middle_y - scale * (box[2] + box[3]) / 2, 0.0])
    solids = [s.moved(np.eye(3), scale, offset) for s in loose + skull]
    solids.sort(key=lambda s: s.part in HARD_PARTS)
    low = _bounds(loose)[2] * scale + offset[1]
    return Staging(
        solids,
        Placement(head_rotation, scale * size, scale * shift + offset),
        Placement(body_rotation, scale, offset),
        pose,
        portrait,
        float(low),
    )


def _bounds(solids: list[Solid]) -> tuple[float, float, float, float]:
    reach = np.array([np.sqrt((s.axes**2).sum(axis=1)) for s in solids])
    centre = np.array([s.centre for s in solids])
    low, high = (centre - reach).min(axis=0), (centre + reach).max(axis=0)
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])
