"""The confusion matrix as a table of shaded cells: whole, or its most confused part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

WHOLE: Final = 30  # classes that a page can show whole
PART: Final = 20  # classes that are shown of more
_SHADES: Final = 9


@dataclass(frozen=True)
class ConfusionCell:
    """How many images of a truth got a prediction; `style` names the shade: 0, right, or e1 (few) to e9 (most)."""

    count: int
    style: str


@dataclass(frozen=True)
class ConfusionRow:
    """The images of one class, by prediction; `others` counts the predictions that have no column."""

    label: str
    cells: tuple[ConfusionCell, ...]
    others: int
    n: int


@dataclass(frozen=True)
class ConfusionMatrix:
    """`labels` are the columns' classes, the same as the rows'; `whole` says that these are all there are."""

    labels: tuple[str, ...]
    rows: tuple[ConfusionRow, ...]
    whole: bool


def confusion_matrix(report: Mapping[str, Any]) -> ConfusionMatrix:
    """The matrix of an evaluation report: all classes up to WHOLE, else the PART that are confused most often."""
    counts, labels = report["confusion_matrix"], report["labels"]
    whole = len(labels) <= WHOLE
    classes = list(range(len(labels))) if whole else _most_confused(report["confused_pairs"])
    rows = []
    for truth in classes:
        n = sum(counts[truth])
        cells = tuple(ConfusionCell(counts[truth][k], _style(counts[truth][k], n, truth == k)) for k in classes)
        rows.append(ConfusionRow(labels[truth], cells, n - sum(cell.count for cell in cells), n))
    return ConfusionMatrix(tuple(labels[k] for k in classes), tuple(rows), whole)


def _most_confused(pairs: Sequence[Mapping[str, Any]]) -> list[int]:
    """Classes of the most confused pairs, neighbours beside each other, PART at most."""
    classes: list[int] = []
    for pair in pairs:
        first = pair["directions"][0]
        new = [k for k in (first["true_index"], first["index"]) if k not in classes]
        if len(classes) + len(new) > PART:
            break
        classes += new
    return classes


def _style(count: int, n: int, right: bool) -> str:
    if not count:
        return "0"
    if right:
        return "right"
    # From two fifths of the class's images on the shade is full: more than that is rare, and as bad.
    return f"e{max(1, min(_SHADES, round(_SHADES * min(1.0, 2.5 * count / n))))}"
