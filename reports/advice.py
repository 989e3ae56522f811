"""What to look at first: plain sentences made from the figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reports.units import count, percent

_PAIRS: Final = 3
_CONFIDENT: Final = 0.9
_WIDE: Final = 0.05  # half of the accuracy's interval
_GAP: Final = 0.15  # between training and validation accuracy


@dataclass(frozen=True)
class Hint:
    """A sentence, and the section of the page that shows it."""

    text: str
    anchor: str


def advice(report: Mapping[str, Any]) -> list[Hint]:
    """Sentences on an evaluation report, what matters most first."""
    makers = (_mistakes, _pairs, _weakest, _too_readily, _confident, _trust, _learning, _small, _missing)
    return [hint for maker in makers for hint in maker(report)]


def _mistakes(report: Mapping[str, Any]) -> Iterator[Hint]:
    if not report["mistakes_count"]:
        low = percent(report["accuracy_interval"][0])
        yield Hint(
            f"No mistake among {count(report['n'], 'image')}. Of images like these, at least {low} are classified "
            "right (lower end of the 95 % interval).",
            "figures",
        )


def _pairs(report: Mapping[str, Any]) -> Iterator[Hint]:
    for number, pair in enumerate(report["confused_pairs"][:_PAIRS]):
        first, back = pair["directions"]
        if number and pair["count"] == 1:
            return
        text = f"{first['true_label']} is taken for {first['label']} in {first['count']} of {_of(first)}"
        if back["count"]:
            text += f", and the other way round in {back['count']} of {back['of']}"
        yield Hint(f"{text}.", "pairs")


def _of(direction: Mapping[str, Any]) -> str:
    return count(direction["of"], "image")


def _weakest(report: Mapping[str, Any]) -> Iterator[Hint]:
    rows = [row for row in report["per_class"] if row["n"]]
    worst = min(rows, key=lambda row: row["recall"])
    if worst["recall"] < report["accuracy"] - 0.1:
        yield Hint(
            f"{worst['label']} is recognised least: {worst['correct']} of {count(worst['n'], 'image')} "
            f"({percent(worst['recall'], 0)}), against {percent(report['accuracy'], 0)} overall.",
            "classes",
        )


def _too_readily(report: Mapping[str, Any]) -> Iterator[Hint]:
    most = max(report["per_class"], key=lambda row: row["predicted"] - row["n"])
    if most["predicted"] - most["n"] >= 3 and most["predicted"] >= 1.25 * most["n"]:
        yield Hint(
            f"{most['label']} is answered too readily: {most['predicted']} times for {count(most['n'], 'image')}.",
            "classes",
        )


def _confident(report: Mapping[str, Any]) -> Iterator[Hint]:
    rows = report["predictions"].values()
    sure = sum(1 for row in rows if not row["correct"] and row["probability"] >= _CONFIDENT)
    if sure:
        verb = "comes" if sure == 1 else "come"
        yield Hint(
            f"{sure} of {count(report['mistakes_count'], 'mistake')} {verb} with a probability of at least "
            f"{percent(_CONFIDENT, 0)}: look whether the labels of those files are right.",
            "mistakes",
        )


def _trust(report: Mapping[str, Any]) -> Iterator[Hint]:
    after = report["calibration"]["after"]
    gap = after["mean_confidence"] - report["accuracy"]
    low, high = report["accuracy_interval"]
    if not low <= after["mean_confidence"] <= high:
        word = "higher" if gap > 0 else "lower"
        yield Hint(
            f"Probabilities are {word} than they should be, by {abs(100 * gap):.1f} points on average: "
            f"{percent(after['mean_confidence'])} is claimed, {percent(report['accuracy'])} is right.",
            "calibration",
        )


def _learning(report: Mapping[str, Any]) -> Iterator[Hint]:
    learning = report["learning"]
    if learning is None:
        return
    epochs = learning["epochs"]
    last, best = epochs[-1], report["model"]["best_epoch"]
    if len(epochs) >= 3 and best == last["epoch"]:
        yield Hint(f"The last of {len(epochs)} epochs was the best: more epochs may help.", "learning")
    if {"train_accuracy", "validation_accuracy"} <= set(last):
        gap = last["train_accuracy"] - last["validation_accuracy"]
        if gap > _GAP:
            yield Hint(
                f"Training accuracy ended at {percent(last['train_accuracy'], 0)}, validation accuracy at "
                f"{percent(last['validation_accuracy'], 0)}: it learns its images by heart; more images or stronger "
                "augmentation may help.",
                "learning",
            )
    slow = [row for row in learning["slowest_classes"] if row["learned_epoch"] is None]
    if slow and len(epochs) >= 3:
        more = f" ({count(len(slow) - 1, 'more class', 'more classes')} like it)" if len(slow) > 1 else ""
        yield Hint(
            f"{slow[0]['label']} did not end training with half of its validation images right{more}.", "slowest"
        )


def _small(report: Mapping[str, Any]) -> Iterator[Hint]:
    low, high = report["accuracy_interval"]
    if (high - low) / 2 > _WIDE:
        yield Hint(
            f"{count(report['n'], 'image')} pin the accuracy down to between {percent(low)} and {percent(high)} only: "
            "a smaller difference between two models says nothing here.",
            "figures",
        )


def _missing(report: Mapping[str, Any]) -> Iterator[Hint]:
    without = [row["label"] for row in report["per_class"] if not row["n"]]
    if without:
        names = ", ".join(without[:3]) + (" and others" if len(without) > 3 else "")
        verb = "has" if len(without) == 1 else "have"
        yield Hint(
            f"{len(without)} of {count(len(report['classes']), 'class', 'classes')} {verb} no image "
            f"here ({names}), so nothing is known of {'it' if len(without) == 1 else 'them'}.",
            "classes",
        )
    if report["skipped"]:
        files = len(report["skipped"])
        yield Hint(f"{count(files, 'file')} can't be read and {'was' if files == 1 else 'were'} left out.", "data")
