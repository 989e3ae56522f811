"""The invented breeds, one dog's deviations from them, and the coat colours they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Ears = Literal["pricked", "drop", "long", "button", "tipped", "rose"]
Tail = Literal["curl", "whip", "brush", "stub"]
Pattern = Literal["spotted", "cap", "saddle", "brindle", "patched", "topknot"]


@dataclass(frozen=True)
class Breed:
    """One class.

    Lengths are in head radii; `neck` is added to the usual neck, `fluff` is the length of the coat.
    """

    folder: str
    ears: Ears
    pattern: Pattern
    tail: Tail
    muzzle_length: float
    muzzle_width: float
    skull_width: float
    neck: float
    leg_length: float
    body_length: float
    girth: float
    head: float
    fluff: float

    @property
    def name(self) -> str:
        """The folder's name without its number: `Harbour_spotter`."""
        return self.folder.split(".", 1)[1]


BREEDS: tuple[Breed, ...] = (
    Breed("001.Harbour_spotter", "drop", "spotted", "whip", 0.78, 0.46, 0.93, 0.0, 1.9, 1.75, 0.95, 0.95, 0.35),
    Breed("002.Lantern_spitz", "pricked", "cap", "curl", 0.55, 0.38, 0.98, 0.0, 1.45, 1.35, 1.12, 1.02, 1.0),
    Breed("003.Marsh_longear", "long", "saddle", "whip", 0.92, 0.50, 0.90, 0.0, 0.9, 2.0, 1.05, 1.05, 0.4),
    Breed("004.Ember_bulldog", "button", "brindle", "stub", 0.36, 0.60, 1.06, -0.15, 1.2, 1.45, 1.15, 1.10, 0.3),
    Breed("005.Quilt_shepherd", "tipped", "patched", "brush", 0.84, 0.40, 0.90, 0.1, 1.7, 1.7, 1.0, 0.95, 0.9),
    Breed("006.Dune_topknot", "rose", "topknot", "whip", 1.2, 0.32, 0.76, 0.75, 2.2, 1.8, 0.80, 0.86, 0.25),
)

Colour = tuple[int, int, int]

# Every breed draws from these two lists, so that colour says little about the class.
DARK: tuple[Colour, ...] = ((38, 35, 37), (86, 54, 37), (128, 70, 38), (78, 83, 94), (58, 44, 38))
LIGHT: tuple[Colour, ...] = ((238, 233, 225), (228, 205, 168), (206, 164, 112), (196, 138, 74), (178, 177, 178))


@dataclass(frozen=True)
class Build:
    """One dog of a breed: the breed's measures with this dog's own deviations."""

    breed: Breed
    muzzle_length: float
    muzzle_width: float
    skull_width: float
    ear_length: float
    ear_width: float
    ear_tilt: tuple[float, float]
    leg_length: float
    girth: float
    mouth_open: float
    collar: bool

    @staticmethod
    def of(breed: Breed, rng: np.random.Generator) -> Build:
        """Draw one dog of the breed."""

        def vary(value: float, by: float) -> float:
            return value * float(rng.uniform(1 - by, 1 + by))

        return Build(
            breed=breed,
            muzzle_length=vary(breed.muzzle_length, 0.12),
            muzzle_width=vary(breed.muzzle_width, 0.08),
            skull_width=vary(breed.skull_width, 0.05),
            ear_length=vary(1.0, 0.13),
            ear_width=vary(1.0, 0.12),
            ear_tilt=(float(rng.normal(0, 0.09)), float(rng.normal(0, 0.09))),
            leg_length=vary(breed.leg_length, 0.12),
            girth=vary(breed.girth, 0.08),
            mouth_open=float(rng.choice([0.0, rng.uniform(0.5, 1.0)], p=[0.55, 0.45])),
            collar=bool(rng.random() < 0.45),
        )
