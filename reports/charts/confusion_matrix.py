"""The confusion matrix as a heat map: whole, or its most confused part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WHOLE: Final = 30  # classes that a page can show whole
PART: Final = 20  # classes that are shown of more
_SHADES: Final = 9


@dataclass(frozen=True)
class Cell:
    """How many images of a truth got a prediction; `style` names the shade: 0, right, or e1 (few) to e9 (most)."""

    count: int
    style: str


@dataclass(frozen=True)
class Row:
    """The images of one class, by prediction; `others` counts the predictions that have no column."""

    label: str
    cells: tuple[Cell, ...]
    others: int
    n: int


@dataclass(frozen=True)
class HeatMap:
    """`labels` are the columns' classes, the same as the rows'; `whole` says that these are all there are."""

    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    whole: bool


def heat_map(report: Mapping[str, Any]) -> HeatMap:
    """The heat map of an evaluation report: all classes up to WHOLE, else the PART that are confused most often."""
    matrix, labels = report["confusion_matrix"], report["labels"]
    whole = len(labels) <= WHOLE
    chosen = list(range(len(labels))) if whole else _most_confused(report["confused_pairs"])
    rows = []
    for truth in chosen:
        n = sum(matrix[truth])
        cells = tuple(Cell(matrix[truth][k], _style(matrix[truth][k], n, truth == k)) for k in chosen)
        rows.append(Row(labels[truth], cells, n - sum(cell.count for cell in cells), n))
    return HeatMap(tuple(labels[k] for k in chosen), tuple(rows), whole)


def _most_confused(pairs: Sequence[Mapping[str, Any]]) -> list[int]:
    """Classes of the most confused pairs, neighbours beside each other, PART at most."""
    chosen: list[int] = []
    for pair in pairs:
        first = pair["directions"][0]
        new = [k for k in (first["true_index"], first["index"]) if k not in chosen]
        if len(chosen) + len(new) > PART:
            break
        chosen += new
    return chosen


def _style(count: int, n: int, right: bool) -> str:
    if not count:
        return "0"
    if right:
        return "right"
    # From two fifths of the class's images on the shade is full: more than that is rare, and as bad.
    return f"e{max(1, min(_SHADES, round(_SHADES * min(1.0, 2.5 * count / n))))}"
