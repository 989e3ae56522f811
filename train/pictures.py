"""Contact sheets: small pictures in rows and columns, each with a caption of a few lines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.preprocess import UInt8Array

COLUMNS: Final = 4
GAP: Final = 8  # pixels around each tile
LINE: Final = 18  # a caption line's height in pixels
_FONT_SIZE: Final = 14
_SMALLEST, _LARGEST = 128, 256
BLACK: Final = (24, 24, 24)
RED: Final = (178, 24, 24)

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Tile:
    """pixels: uint8 (H, W, 3), square, the same size in all tiles of a sheet. caption: lines of (text, colour)."""

    pixels: UInt8Array
    caption: tuple[tuple[str, Colour], ...]


def contact_sheet(tiles: Sequence[Tile]) -> UInt8Array:
    """The tiles on white, four a row. Returns uint8 (height, width, 3); see `sheet_size`."""
    side = tile_side(len(tiles[0].pixels))
    lines = max(len(tile.caption) for tile in tiles)
    sheet = Image.new("RGB", sheet_size(len(tiles), side, lines), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        left = GAP + column * (side + GAP)
        top = GAP + row * (side + lines * LINE + GAP)
        # Whole multiples of small images keep their pixels visible: that is what the network sees.
        method = Image.Resampling.NEAREST if side >= len(tile.pixels) else Image.Resampling.LANCZOS
        sheet.paste(Image.fromarray(tile.pixels).resize((side, side), method), (left, top))
        for line, (text, colour) in enumerate(tile.caption):
            draw.text((left, top + side + line * LINE + 1), _fitted(text, side, font), colour, font)
    return np.asarray(sheet)


def tile_side(size: int) -> int:
    """Pixels that an image of `size` pixels gets: itself, a multiple of at least 128, or 256 for larger ones."""
    return min(_LARGEST, size * math.ceil(_SMALLEST / size))


def sheet_size(count: int, side: int, lines: int) -> tuple[int, int]:
    """(width, height) in pixels of a sheet of `count` tiles, each `side` wide with `lines` of caption."""
    columns, rows = min(count, COLUMNS), math.ceil(count / COLUMNS)
    return GAP + columns * (side + GAP), GAP + rows * (side + lines * LINE + GAP)


def _fitted(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """`text`, cut with dots where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."
