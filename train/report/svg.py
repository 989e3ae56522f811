"""Inline SVG, element by element; every attribute and text is escaped."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from train.report.page import visible

Point = tuple[float, float]


def element(name: str, content: str | Markup = "", **attributes: object) -> Markup:
    """`<name attributes>content</name>`; attributes' underscores become hyphens, `class_` becomes class."""
    parts = [name]
    for key, value in attributes.items():
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(visible(value))
        parts.append(f'{key.rstrip("_").replace("_", "-")}="{escape(text)}"')
    return Markup("<{}>{}</{}>").format(Markup(" ".join(parts)), visible(content), Markup(name))  # noqa: S704


def picture(width: float, height: float, label: str, content: Sequence[Markup]) -> Markup:
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


def line(start: Point, end: Point, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def polyline(points: Sequence[Point], class_: str) -> Markup:
    """A line through the points."""
    return element("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=class_)


def text(place: Point, words: str, class_: str = "tick", anchor: str = "middle") -> Markup:
    """Words at a place; anchor: start, middle or end."""
    return element("text", words, x=place[0], y=place[1], class_=class_, text_anchor=anchor)
