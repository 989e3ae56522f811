"""The model card's figures: the summary at its head, and its section on evaluation."""

from collections.abc import Sequence
from typing import Any, Final

from train.card.facts import ROLES, Facts, number, percent
from train.card.markdown import escape, table
from train.evaluation.metrics import wilson_interval

EXTREMES: Final = 5  # classes shown from each end, of more than twice as many


def headline(facts: Facts) -> str:
    """The title, what happened if training was stopped, and the figures that count."""
    parts = [f"# {escape(facts.name)}: an image classifier for {len(facts.classes)} classes"]
    if not facts.completed:
        planned = facts.hyperparameters.get("epochs")
        trained = f" after {len(facts.epochs)} of {planned} epochs" if planned and facts.epochs else ""
        parts.append(
            f"> **Not completed.** A signal stopped this training{trained}. "
            "The weights are those of the best epoch until then; no test was made."
        )
    if figures := [_sentence(facts, role) for role in ("test", "valid") if _accuracy(facts, role) is not None]:
        parts.append(" ".join(figures))
    return "\n\n".join(parts)


def _sentence(facts: Facts, role: str) -> str:
    accuracy, n = _accuracy(facts, role), facts.images.get(role)
    assert accuracy is not None
    if not n:
        return f"**{percent(accuracy)}** accuracy on {ROLES[role]} images."
    return f"**{percent(accuracy)}** accuracy on {n} {ROLES[role]} images (95 % interval {_span(facts, role)})."


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {percent(high)}"


def _accuracy(facts: Facts, role: str) -> float | None:
    return facts.metrics.get(f"{ROLES[role]}_accuracy")


def evaluation(facts: Facts) -> str:
    """All figures with their n, what to make of them, and the classes that are hardest and easiest."""
    parts = [_figures(facts), _reading(facts), _classes(facts)]
    if facts.calibration:
        rows = [[escape(name.replace("_", " ")), escape(number(value))] for name, value in facts.calibration.items()]
        parts += ["### Calibration", table(["", ""], rows)]
    if forms := _forms(facts):
        parts += ["### Forms", forms]
    elif reason := facts.manifest.get("forms_error"):
        parts += ["### Forms", f"No other form than torch's was made: {escape(str(reason))}"]
    return "\n\n".join(part for part in parts if part)


def _figures(facts: Facts) -> str:
    roles = [role for role in ("valid", "test") if _accuracy(facts, role) is not None]
    if not roles:
        return "No figures."
    rows = [["Images", *(number(facts.images.get(role)) for role in roles)]]

    def add(title: str, cells: Sequence[str | None]) -> None:
        if any(cell is not None for cell in cells):
            rows.append([title, *("-" if cell is None else cell for cell in cells)])

    add("Accuracy (top-1)", [_share(facts, role, "accuracy") for role in roles])
    add("95 % interval (Wilson)", [_span(facts, role) for role in roles])
    add("The same answer always, at best", [_constant(facts, role) for role in roles])
    if len(facts.classes) > 5:  # else the right class is always one of the five
        add("Accuracy (top-5)", [_share(facts, role, "top5_accuracy") for role in roles])
    for title, name in (("Macro F1", "macro_f1"), ("Loss (cross entropy, nats)", "loss")):
        values = [facts.metrics.get(f"{ROLES[role]}_{name}") for role in roles]
        add(title, [None if value is None else f"{value:.4f}" for value in values])
    return table(["", *(ROLES[role] for role in roles)], rows)


def _share(facts: Facts, role: str, name: str) -> str | None:
    value = facts.metrics.get(f"{ROLES[role]}_{name}")
    return None if value is None else percent(value)


def _span(facts: Facts, role: str) -> str | None:
    accuracy, n = _accuracy(facts, role), facts.images.get(role)
    return None if accuracy is None or not n else _interval(*wilson_interval(round(accuracy * n), n))


def _constant(facts: Facts, role: str) -> str | None:
    """The accuracy of giving the split's most frequent class to every image: what has to be beaten."""
    counts = facts.counts.get(role)
    return percent(max(counts) / sum(counts)) if counts and sum(counts) else None


def _reading(facts: Facts) -> str:
    tested = _accuracy(facts, "test") is not None
    epochs = f" of {len(facts.epochs)}" if facts.epochs else ""
    chosen = f"The validation figures chose the best epoch{epochs}, so they are optimistic"
    return f"{chosen}; the test images had no part in that choice." if tested else f"{chosen}. No test was made."


def _classes(facts: Facts) -> str:
    """Validation accuracy by class, lowest first: all classes, or the ends of the list."""
    shares = facts.best.get("validation_class_accuracy") or []
    ranked = sorted((share, place) for place, share in enumerate(shares) if share is not None)
    if len(ranked) < 2:
        return ""
    few = len(ranked) <= 2 * EXTREMES
    counts = facts.counts.get("valid")

    def row(share: float, place: int) -> list[str]:
        return [facts.label(place), percent(share), *([str(counts[place])] if counts else [])]

    header = ["class", "validation accuracy", *(["images"] if counts else [])]
    shown = ranked if few else [*ranked[:EXTREMES], *ranked[-EXTREMES:]]
    cells = [row(share, place) for share, place in shown]
    if not few:
        cells.insert(EXTREMES, [f"... {len(ranked) - 2 * EXTREMES} more", *([""] * (len(header) - 1))])
    title = "By class, the lowest first:" if few else f"By class, the {EXTREMES} lowest and the {EXTREMES} highest:"
    return f"{title}\n\n{table(header, cells)}"


def _forms(facts: Facts) -> str:
    """The network's forms for serving, with what each scored on the validation images."""
    default = facts.manifest.get("default_form")
    rows = []
    for name, form in dict(facts.manifest.get("forms") or {}).items():
        size = sum(int(file["bytes"]) for file in form.get("files", {}).values())
        shown = escape(name) + (" (default)" if name == default else "")
        for precision, score in form.get("validation", {}).items():
            rows.append([shown, escape(precision), *_score(score), f"{size / 1e6:.1f} MB" if size else "-"])
    return table(["form", "precision", "validation accuracy", "loss", "images", "files"], rows, 2) if rows else ""


def _score(score: dict[str, Any] | None) -> list[str]:
    if score is None:
        return ["not measured", "-", "-"]
    return [percent(float(score["accuracy"])), number(score.get("loss")), number(score.get("n"))]
