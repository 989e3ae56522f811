"""evaluation.html: one evaluation, in the order in which an engineer would act on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from contract.files import write_atomic
from reports.advice import advice
from reports.charts.confusion_matrix import confusion_matrix
from reports.charts.evaluation import class_curve, interval, learning_curve, reliability_diagram
from reports.page import render
from reports.pictures import Pictures
from reports.units import percent

# What keeps a page of any data set below 5 MB: a picture takes some 10 kB.
MISTAKES: Final = 24
PAIRS: Final = 8
PICTURES_A_SIDE: Final = 3
MORE_PAIRS: Final = 30

Picture = Callable[[str], str | None]


@dataclass(frozen=True)
class PictureTile:
    """A picture with the words below it; `source` is a data URI, or None when the file has gone."""

    source: str | None
    alt: str
    file: str
    note: str


@dataclass(frozen=True)
class Side:
    """One direction of a confused pair, with examples; `right` says that these are right answers, to compare with."""

    title: str
    tiles: tuple[PictureTile, ...]
    right: bool


@dataclass(frozen=True)
class Pair:
    """Two classes taken for each other."""

    labels: tuple[str, str]
    count: int
    sides: tuple[Side, Side]


def write_evaluation_page(page: Path, report: Mapping[str, Any], read: Callable[[str], bytes | Path]) -> None:
    """Write the page of an evaluation report; `read` gives an image by its name there."""
    write_atomic(page, evaluation_page(report, Pictures(read)))


def evaluation_page(report: Mapping[str, Any], picture: Picture) -> bytes:
    """The page as UTF-8 HTML. picture: a file's name -> its thumbnail as a data URI, or None."""
    learning, best = report["learning"], report["model"]["best_epoch"]
    pairs = report["confused_pairs"]
    low, high = report["accuracy_interval"]
    return render(
        "evaluation.html",
        report=report,
        advice=advice(report),
        interval=interval(low, report["accuracy"], high),
        matrix=confusion_matrix(report),
        pairs=[_pair(pair, report, picture) for pair in pairs[:PAIRS]],
        more_pairs=pairs[PAIRS : PAIRS + MORE_PAIRS],
        mistakes=[_mistake(mistake, picture) for mistake in report["mistakes"][:MISTAKES]],
        reliability=reliability_diagram(report["calibration"]["before"], report["calibration"]["after"]),
        curves=_curves(learning["epochs"], best) if learning else [],
        slowest=_slowest(learning) if learning else [],
    )


def _curves(epochs: list[Mapping[str, Any]], best: int | None) -> list[Markup]:
    charts = [
        learning_curve(epochs, "accuracy", best, percent=True),
        learning_curve(epochs, "loss", best, percent=False),
    ]
    return [chart for chart in charts if chart is not None]


def _slowest(learning: Mapping[str, Any]) -> list[dict[str, Any]]:
    threshold = learning["learned_threshold"]
    return [
        {**row, "curve": class_curve(row["label"], row["validation_accuracy"], threshold)}
        for row in learning["slowest_classes"]
    ]


def _mistake(mistake: Mapping[str, Any], picture: Picture) -> dict[str, Any]:
    alt = f"Image of {mistake['true_label']}, taken for {mistake['label']}: {mistake['file']}"
    return {
        **mistake,
        "tile": PictureTile(picture(mistake["file"]), alt, mistake["file"], percent(mistake["probability"])),
    }


def _pair(pair: Mapping[str, Any], report: Mapping[str, Any], picture: Picture) -> Pair:
    first, second = pair["directions"]
    sides = (_side(first, report, picture), _side(second, report, picture))
    return Pair((first["true_label"], first["label"]), pair["count"], sides)


def _side(direction: Mapping[str, Any], report: Mapping[str, Any], picture: Picture) -> Side:
    rows = report["predictions"]
    files = direction["files"][:PICTURES_A_SIDE]
    right = not files
    if right:
        files = _right_answers(report, direction["true_index"])
    word = "recognised" if right else f"taken for {direction['label']}"
    tiles = tuple(
        PictureTile(
            picture(file),
            f"Image of {direction['true_label']}, {word}: {file}",
            file,
            percent(rows[file]["probability"]),
        )
        for file in files
    )
    if not right:
        title = f"{direction['true_label']} → {direction['label']}, {direction['count']} of {direction['of']}"
    elif tiles:
        title = f"{direction['true_label']}, recognised (to compare)"
    else:
        title = f"{direction['true_label']}: no image was recognised"
    return Side(title, tiles, right)


def _right_answers(report: Mapping[str, Any], index: int) -> list[str]:
    """The class's most confident right answers."""
    rows = report["predictions"]
    files = [file for file, row in rows.items() if row["correct"] and row["index"] == index]
    return sorted(files, key=lambda file: (-rows[file]["probability"], file))[:PICTURES_A_SIDE]
