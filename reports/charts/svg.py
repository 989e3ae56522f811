"""SVG, element by element; every attribute and text is escaped."""

from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup, escape

from reports.page import visible

Point = tuple[float, float]
WIDTH: Final = 960  # pixels of a drawing that is as wide as the page
HALF: Final = 484  # of one that stands beside another


def element(name: str, content: str | Markup = "", title: str = "", **attributes: object) -> Markup:
    """`<name attributes>content</name>`; attributes' underscores become hyphens, `class_` becomes class.

    title: shown when the pointer rests on the element.
    """
    parts = [name]
    for key, value in attributes.items():
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(visible(value))
        parts.append(f'{key.rstrip("_").replace("_", "-")}="{escape(text)}"')
    note = element("title", title) if title else ""
    return Markup("<{}>{}{}</{}>").format(Markup(" ".join(parts)), note, visible(content), Markup(name))  # noqa: S704


def picture(width: float, height: float, label: str, content: Iterable[Markup]) -> Markup:
    """A whole drawing that scales with its surroundings; `label` is what a screen reader says."""
    return element(
        "svg",
        Markup("").join(content),
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        role="img",
        aria_label=label,
    )


def group(content: Iterable[Markup], class_: str, title: str = "", **attributes: object) -> Markup:
    """Elements that share a class."""
    return element("g", Markup("").join(content), title, class_=class_, **attributes)


def line(start: Point, end: Point, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def polyline(points: Sequence[Point], class_: str) -> Markup:
    """A line through the points."""
    return element("polyline", points=_coordinates(points), class_=class_)


def polygon(points: Sequence[Point], class_: str) -> Markup:
    """An area with the points as its corners."""
    return element("polygon", points=_coordinates(points), class_=class_)


def _coordinates(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def rectangle(corner: Point, width: float, height: float, class_: str, title: str = "", **attributes: object) -> Markup:
    """A rectangle; corner: its upper left one."""
    return element("rect", "", title, x=corner[0], y=corner[1], width=width, height=height, class_=class_, **attributes)


def circle(centre: Point, radius: float, class_: str, title: str = "") -> Markup:
    """A circle."""
    return element("circle", "", title, cx=centre[0], cy=centre[1], r=radius, class_=class_)


def path(d: str, class_: str, title: str = "", **attributes: object) -> Markup:
    """A path of SVG's commands."""
    return element("path", "", title, d=d, class_=class_, **attributes)


def diamond(centre: Point, across: int, up: int, class_: str, title: str = "") -> Markup:
    """A diamond whose corners are `across` beside and `up` above and below its centre."""
    x, y = centre
    return path(f"M{x:.1f} {y - up:.1f}l{across} {up}l-{across} {up}l-{across} -{up}z", class_, title)


def text(place: Point, words: str, class_: str = "tick", anchor: str = "middle") -> Markup:
    """Words at a place; anchor: start, middle or end."""
    return element("text", words, x=place[0], y=place[1], class_=class_, text_anchor=anchor)
