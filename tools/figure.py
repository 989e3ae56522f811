"""`make figure`: the house, docs/house.svg: the rooms on floors, and arrows to the rooms that each imports.

Drawn from the imports in the source. A room stands one floor above the highest room that it imports. An arrow that
follows from others isn't drawn: where a leads to b and b to c, a may import c as well.
"""

import ast
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FIGURE: Final = ROOT / "docs" / "house.svg"
ROOMS: Final = ("deploy.py", "cli", "backends", "train", "serve", "monitor", "reports", "tuning", "model", "contract")

_WIDTH, _HEIGHT, _GAP, _FLOOR = 130, 40, 40, 90  # pixels
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="15"'


def arrows(root: Path = ROOT) -> dict[str, set[str]]:
    """Room -> the rooms that its modules import, at any depth of their code."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for room in ROOMS:
        for file in [root / room] if room.endswith(".py") else sorted((root / room).rglob("*.py")):
            found[room] |= {name for name in _imported(file) if name in found and name != room}
    return found


def _imported(file: Path) -> Iterator[str]:
    """The first part of the name of each module that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def floors(imported: Mapping[str, set[str]]) -> dict[str, int]:
    """Room -> its floor, 0 at the bottom. Rooms that import each other raise RecursionError."""
    return {room: _floor(room, imported) for room in imported}


def _floor(room: str, imported: Mapping[str, set[str]]) -> int:
    return max((1 + _floor(below, imported) for below in imported[room]), default=0)


def nearest(imported: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Room -> those rooms that it imports and that none of the others it imports leads to."""
    return {
        room: {each for each in below if not any(each in _reached(other, imported) for other in below - {each})}
        for room, below in imported.items()
    }


def _reached(room: str, imported: Mapping[str, set[str]]) -> set[str]:
    return imported[room].union(*(_reached(below, imported) for below in imported[room]))


def draw(imported: Mapping[str, set[str]]) -> str:
    """The figure as SVG."""
    floor = floors(imported)
    storeys = [[room for room in imported if floor[room] == level] for level in range(max(floor.values()) + 1)]
    width = max(len(storey) for storey in storeys) * (_WIDTH + _GAP) + _GAP
    height = (len(storeys) - 1) * _FLOOR + _HEIGHT + _GAP
    # (middle, top) of each room.
    places = {
        room: (width * (2 * column + 1) / (2 * len(storey)), height - _GAP / 2 - _HEIGHT - level * _FLOOR)
        for level, storey in enumerate(storeys)
        for column, room in enumerate(storey)
    }
    lines = [
        _arrow(*places[room], *places[below])
        for room, below_it in nearest(imported).items()
        for below in sorted(below_it)
    ]
    rooms = [_room(room, *places[room]) for room in imported]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{_words(imported)}">'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#667"/></marker></defs>'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([head, ground, *lines, *rooms, "</svg>", ""])


def _words(imported: Mapping[str, set[str]]) -> str:
    """The figure for those who don't see it."""
    return escape("; ".join(
        f"{room} imports {', '.join(sorted(below)) or 'no other room'}" for room, below in imported.items()
    ))  # fmt: skip


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    """From the foot of a room to the head of one below."""
    return (
        f'<path d="M{x:.0f} {y + _HEIGHT:.0f} L{to_x:.0f} {to_y - 2:.0f}" fill="none" stroke="#667" '
        'stroke-width="1.2" marker-end="url(#head)"/>'
    )


def _room(name: str, x: float, y: float) -> str:
    label = name if name.endswith(".py") else f"{name}/"
    return (
        f'<rect x="{x - _WIDTH / 2:.0f}" y="{y:.0f}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#eef3fb" '
        f'stroke="#3a5a8c"/><text x="{x:.0f}" y="{y + 25:.0f}" text-anchor="middle" fill="#123" {_FONT}>{label}</text>'
    )


if __name__ == "__main__":
    FIGURE.write_text(draw(arrows()), encoding="utf-8")
