"""Backgrounds: out-of-focus places with a ground for the dog to stand on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from examples.solids import Floats

Rgb = tuple[float, float, float]


class Scene(NamedTuple):
    """A background: pixels (H, W, 3) from 0 to 1, the colour of its light (3), of its grass if any."""

    pixels: Floats
    ambient: Floats
    grass: Rgb | None


class _Canvas:
    """A half-size picture to paint on, later blurred and enlarged."""

    def __init__(self, width: int, height: int, horizon: float, rng: np.random.Generator) -> None:
        self.width, self.height = max(8, width // 2), max(8, height // 2)
        self.horizon = horizon * self.height
        self.rng = rng
        self.image = Image.new("RGB", (self.width, self.height))
        self.draw = ImageDraw.Draw(self.image)

    def shade(self, colour: Rgb, by: float = 0.08) -> Rgb:
        """The colour, a little lighter or darker and a little off in hue."""
        factor = self.rng.uniform(1 - by, 1 + by)
        r, g, b = (c * factor + self.rng.normal(0, by * 40) for c in colour)
        return r, g, b

    def gradient(self, top: float, bottom: float, first: Rgb, last: Rgb) -> None:
        """Fill the rows from top to bottom with a vertical gradient."""
        start, end = int(top), int(np.ceil(bottom))
        if end <= start:
            return
        t = np.linspace(0, 1, end - start)[:, None, None]
        rows = np.array(first) * (1 - t) + np.array(last) * t
        pixels = np.broadcast_to(rows, (end - start, self.width, 3))
        self.image.paste(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), (0, start))

    def blobs(self, count: int, low: float, high: float, size: float, colours: list[Rgb]) -> None:
        """Ellipses of about `size` (share of the width), centred between two heights (rows)."""
        for _ in range(count):
            x, y = self.rng.uniform(-0.05, 1.05) * self.width, self.rng.uniform(low, high)
            rx = self.width * size * self.rng.uniform(0.5, 1.5)
            ry = rx * self.rng.uniform(0.7, 1.2)
            self.draw.ellipse(
                [x - rx, y - ry, x + rx, y + ry], fill=_fill(self.shade(colours[self.rng.integers(len(colours))], 0.12))
            )

    def box(self, left: float, top: float, right: float, bottom: float, colour: Rgb) -> None:
        """A filled rectangle; the sides are shares of the width, top and bottom are rows."""
        x0, x1, y0, y1 = left * self.width, right * self.width, top, bottom
        if x1 > x0 and y1 > y0:
            self.draw.rectangle([x0, y0, x1, y1], fill=_fill(colour))

    def blur(self, share: float) -> None:
        """Blur what is painted so far, by a share of the width."""
        self.image = self.image.filter(ImageFilter.BoxBlur(max(0.5, share * self.width)))
        self.image = self.image.filter(ImageFilter.BoxBlur(max(0.5, share * self.width)))
        self.draw = ImageDraw.Draw(self.image)


def _fill(colour: Rgb) -> tuple[int, int, int]:
    r, g, b = (int(min(255, max(0, c))) for c in colour)
    return r, g, b


def _scaled(colour: Rgb, red: float, green: float | None = None, blue: float | None = None) -> Rgb:
    """The colour times a factor, or one for each channel."""
    return colour[0] * red, colour[1] * (green or red), colour[2] * (blue or red)


def smooth_noise(rng: np.random.Generator, width: int, height: int, cell: float) -> Floats:
    """Noise (H, W), about -1 to 1, with features of about `cell` pixels."""
    w, h = max(2, int(width / cell) + 2), max(2, int(height / cell) + 2)
    field = Image.fromarray(rng.uniform(-1, 1, (h, w)).astype(np.float32))
    return np.asarray(field.resize((width, height), Image.Resampling.BICUBIC), np.float32)


SKIES: list[tuple[Rgb, Rgb]] = [
    ((118, 168, 214), (206, 226, 238)),
    ((150, 178, 200), (228, 228, 222)),
    ((170, 176, 184), (214, 216, 218)),
    ((196, 160, 150), (246, 214, 170)),
    ((92, 132, 190), (188, 206, 226)),
]
GREENS: list[Rgb] = [(58, 92, 44), (84, 118, 52), (46, 74, 44), (108, 132, 62), (70, 98, 66)]
WALLS: list[Rgb] = [
    (214, 204, 188),
    (176, 192, 196),
    (198, 176, 158),
    (150, 162, 142),
    (206, 196, 206),
    (120, 130, 146),
    (226, 214, 176),
    (168, 110, 92),
]
FLOORS: list[Rgb] = [(152, 106, 66), (186, 150, 108), (110, 78, 56), (140, 134, 128), (176, 160, 146)]


def _pick(rng: np.random.Generator, colours: list[Rgb]) -> Rgb:
    return colours[int(rng.integers(len(colours)))]


def _sky(c: _Canvas) -> None:
    top, low = SKIES[int(c.rng.integers(len(SKIES)))]
    c.gradient(0, c.horizon, c.shade(top, 0.05), c.shade(low, 0.04))
    c.blobs(int(c.rng.integers(0, 5)), 0, c.horizon * 0.6, 0.16, [(236, 236, 236)])
    c.blur(0.05)


def _meadow(c: _Canvas) -> Rgb:
    _sky(c)
    c.blobs(14, c.horizon * 0.75, c.horizon, 0.11, GREENS)
    green = c.shade(_pick(c.rng, [(112, 146, 62), (92, 128, 56), (140, 152, 80), (124, 132, 58)]))
    c.gradient(c.horizon, c.height, _scaled(green, 0.92), _scaled(green, 0.8))
    c.blobs(12, c.horizon, c.height, 0.05, [green, (156, 164, 92), (190, 180, 96)])
    c.blur(0.02)
    return green


def _garden(c: _Canvas) -> Rgb:
    green = c.shade(_pick(c.rng, GREENS), 0.15)
    c.gradient(0, c.height, c.shade(green, 0.3), green)
    flowers: list[Rgb] = [*GREENS, (196, 90, 110), (226, 190, 90), (150, 110, 180), (230, 226, 210), (206, 110, 66)]
    c.blobs(26, 0, c.height, 0.07, flowers)
    c.blur(0.02)
    c.blobs(7, 0, c.height * 0.8, 0.04, [(236, 236, 190), (200, 220, 160)])
    c.blur(0.015)
    return 96.0, 126.0, 58.0


def _room(c: _Canvas) -> None:
    wall, floor = c.shade(_pick(c.rng, WALLS)), c.shade(_pick(c.rng, FLOORS))
    c.gradient(0, c.horizon, _scaled(wall, 1.05), _scaled(wall, 0.88))
    if c.rng.random() < 0.8:
        x, w = c.rng.uniform(-0.1, 0.8), c.rng.uniform(0.2, 0.4)
        frame, inside = [
            ((240, 238, 230), (190, 216, 236)),
            ((92, 66, 46), c.shade(_pick(c.rng, WALLS), 0.3)),
            ((60, 58, 60), c.shade(_pick(c.rng, GREENS), 0.3)),
        ][int(c.rng.integers(3))]
        c.box(x, c.horizon * 0.08, x + w, c.horizon * 0.62, frame)
        c.box(x + 0.03, c.horizon * 0.08 + c.width * 0.03, x + w - 0.03, c.horizon * 0.62 - c.width * 0.03, inside)
    if c.rng.random() < 0.6:
        x, sofa = c.rng.uniform(-0.3, 0.7), c.shade(_pick(c.rng, WALLS), 0.35)
        c.box(x, c.horizon * 0.66, x + 0.55, c.horizon * 1.04, sofa)
    c.box(0, c.horizon * 0.97, 1, c.horizon, (228, 224, 216))
    c.gradient(c.horizon, c.height, _scaled(floor, 0.85), floor)
    for line in range(1, 7):
        y = c.horizon + (c.height - c.horizon) * (line / 7) ** 1.6
        c.box(0, y, 1, y + 0.8, _scaled(floor, 0.78))
    if c.rng.random() < 0.5:
        middle = c.horizon + (c.height - c.horizon) * 0.65
        rug = c.shade(_pick(c.rng, [*WALLS, (150, 60, 56), (64, 86, 120)]), 0.2)
        c.draw.ellipse(
            [-0.1 * c.width, middle - c.height * 0.13, 1.1 * c.width, middle + c.height * 0.2], fill=_fill(rug)
        )
    c.blur(0.008)


def _beach(c: _Canvas) -> None:
    _sky(c)
    sea = c.shade((92, 142, 164))
    c.gradient(c.horizon * 0.86, c.horizon * 1.03, sea, _scaled(sea, 1.25, 1.2, 1.15))
    c.box(0, c.horizon * 1.0, 1, c.horizon * 1.03, (232, 236, 234))
    sand = c.shade(_pick(c.rng, [(214, 190, 148), (196, 176, 142), (226, 208, 170)]))
    c.gradient(c.horizon * 1.03, c.height, sand, _scaled(sand, 0.9, 0.9, 0.88))
    c.blobs(10, c.horizon * 1.1, c.height, 0.05, [sand])
    c.blur(0.012)


def _snow(c: _Canvas) -> None:
    _sky(c)
    c.blobs(12, c.horizon * 0.7, c.horizon, 0.08, [(84, 104, 104), (120, 140, 146), (66, 84, 80)])
    c.gradient(c.horizon, c.height, c.shade((222, 228, 236), 0.03), c.shade((240, 242, 246), 0.02))
    c.blobs(10, c.horizon, c.height, 0.1, [(226, 232, 242), (210, 220, 234)])
    c.blur(0.02)


def _forest(c: _Canvas) -> None:
    c.gradient(0, c.horizon, c.shade((150, 166, 120), 0.2), c.shade((96, 112, 72), 0.2))
    for _ in range(int(c.rng.integers(5, 11))):
        x, w = c.rng.uniform(0, 1), c.rng.uniform(0.02, 0.07)
        c.box(x, 0, x + w, c.horizon * c.rng.uniform(0.95, 1.05), c.shade((78, 64, 52), 0.25))
    c.blobs(14, 0, c.horizon, 0.06, GREENS)
    litter = c.shade(_pick(c.rng, [(132, 96, 60), (110, 92, 62), (152, 108, 62)]))
    c.gradient(c.horizon, c.height, _scaled(litter, 0.8), litter)
    c.blobs(40, c.horizon, c.height, 0.02, [(176, 122, 60), (112, 76, 48), (96, 104, 56), (190, 150, 84)])
    c.blur(0.014)


def _studio(c: _Canvas) -> None:
    tone = c.shade(_pick(c.rng, [*WALLS, (96, 110, 140), (150, 74, 70), (70, 72, 78), (214, 168, 80)]), 0.15)
    c.gradient(0, c.height, _scaled(tone, 0.85), tone)
    x, y, r = c.rng.uniform(0.2, 0.8) * c.width, c.rng.uniform(0.2, 0.6) * c.height, c.width * 0.5
    c.draw.ellipse([x - r, y - r, x + r, y + r], fill=_fill(_scaled(tone, 1.12)))
    c.blur(0.16)


def _street(c: _Canvas) -> None:
    wall = c.shade(_pick(c.rng, [(164, 96, 76), (150, 146, 140), (196, 182, 158), (112, 116, 124)]))
    c.gradient(0, c.horizon, wall, _scaled(wall, 0.85))
    for row in range(12):
        y = c.horizon * row / 12
        c.box(0, y, 1, y + 1, _scaled(wall, 1.15))
    x = c.rng.uniform(-0.1, 0.8)
    c.box(x, c.horizon * 0.15, x + 0.28, c.horizon, c.shade(_pick(c.rng, [(60, 84, 96), (96, 56, 48), (66, 88, 66)])))
    stone = c.shade((142, 140, 138), 0.12)
    c.gradient(c.horizon, c.height, _scaled(stone, 0.85), stone)
    c.blobs(14, c.horizon, c.height, 0.06, [stone])
    c.blur(0.012)


PLACES: list[Callable[[_Canvas], Rgb | None]] = [
    _meadow,
    _garden,
    _room,
    _room,
    _beach,
    _snow,
    _forest,
    _studio,
    _street,
]


def scene(width: int, height: int, horizon: float, defocus: float, rng: np.random.Generator) -> Scene:
    """Paint a place.

    `horizon` is a share of the height from the top, `defocus` an extra blur as a share of the width.
    """
    canvas = _Canvas(width, height, horizon, rng)
    grass = PLACES[int(rng.integers(len(PLACES)))](canvas)
    if defocus > 0.004:
        canvas.blur(defocus)
    pixels = np.asarray(canvas.image.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    row = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    ground = np.clip((row - np.float32(horizon)) * 4, 0, 1) * np.float32(1 - min(1.0, defocus * 20))
    grain = rng.standard_normal((height, width), dtype=np.float32) * np.float32(0.5) + smooth_noise(
        rng, width, height, 4
    )
    pixels = pixels * (1 + np.float32(0.07) * (ground * grain)[..., None])
    pixels = pixels * (1 + np.float32(0.09) * smooth_noise(rng, width, height, max(width, height) / 3)[..., None])
    return Scene(np.clip(pixels, 0, 1), pixels.mean(axis=(0, 1)), grass)
