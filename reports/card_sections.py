"""The model card's sections, and the figures in its summary and its section on evaluation."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from contract.hyperparameters import Hyperparameters
from model.artifact import WEIGHTS
from model.metrics import wilson_interval
from reports.card_facts import MANY, ROLES, Facts, bullets, escape, number, percent, table, yaml_string
from reports.card_facts import details as folded

_HEADS = {"linear": "a linear head", "mlp": "a head of 512 ReLU units"}
# As train.data.splits notes it in the data report.
_SET_APART = "no validation data was given"


def front_matter(facts: Facts) -> str:
    """YAML as the Hugging Face Hub reads it; `model-index` holds the test's figures, else the validation's."""
    role = "test" if "test_accuracy" in facts.metrics else "valid"
    n = facts.images.get(role)
    about = f"{len(facts.classes)} classes" + (f", {n} {ROLES[role]} images" if n else "")
    lines = [
        "library_name: kennel",
        "pipeline_tag: image-classification",
        f"tags:\n- image-classification\n- {yaml_string(str(facts.manifest['architecture']))}",
    ]
    kinds = (("accuracy", "accuracy"), ("macro_f1", "f1"))
    measured = [(f"{ROLES[role]}_{name}", kind) for name, kind in kinds if f"{ROLES[role]}_{name}" in facts.metrics]
    if measured:
        lines.append("metrics:\n" + "\n".join(f"- {kind}" for _, kind in measured))
        lines += [
            f"model-index:\n- name: {yaml_string(facts.name)}\n  results:",
            "  - task:\n      type: image-classification\n      name: Image classification",
            f"    dataset:\n      type: imagefolder\n      name: {yaml_string(about)}\n      split: {ROLES[role]}",
            "    metrics:",
            *(
                f"    - type: {kind}\n      value: {facts.metrics[name]:.6f}\n      name: {name.replace('_', ' ')}"
                for name, kind in measured
            ),
        ]
    return "\n".join(["---", *lines, "---"])


def details(facts: Facts) -> str:
    """What the network is, what goes in and what comes out."""
    shape = facts.manifest["preprocessing"]
    size, resize = int(shape["image_size"]), int(shape["resize_size"])
    head = str(facts.manifest["head"])
    kind = (
        f"torchvision's {escape(str(facts.manifest['architecture']))} with {_HEADS.get(head) or escape(head) + ' head'}"
    )
    goes_in = (
        f"one image, upright and as RGB. Its shorter side is resized to {resize} pixels "
        f"({escape(str(shape['interpolation']))}) and the centre of {size} x {size} pixels is used"
    )
    lines = [
        f"**Architecture:** {kind}",
        f"**Input:** {goes_in}",
        f"**Output:** a probability for each of {len(facts.classes)} classes; together they are 1",
    ]
    if source := facts.provenance.get("pretrained"):
        start = "none, the network was trained from random weights" if source == "none" else escape(str(source))
        lines.append(f"**Pretrained weights:** {start}")
    if version := facts.provenance.get("kennel"):
        lines.append(f"**Made by:** Kennel {escape(str(version))}")
    return bullets(lines)


def use(facts: Facts) -> str:
    """What the facts allow to say of its use, and no more."""
    shape = facts.manifest["preprocessing"]
    seen = 100 * int(shape["image_size"]) / int(shape["resize_size"])
    everyone = range(len(facts.classes))
    always = (
        "Every image gets one of these labels, also one that shows something else, and it may get a high probability. "
        "There is no answer for none of them."
    )
    centre = (
        f"Only a square around the image's centre is seen, {seen:.0f} % of its shorter side wide; what lies "
        "outside has no influence."
    )
    scope = (
        "The figures below hold for images like those in the data described here. Training measures neither other "
        "sources of images, nor differences between groups of people or places, nor images made to deceive."
    )
    lines = [always, centre, *_balance(facts), *_never_right(facts), scope]
    if not facts.calibration:
        lines.append(
            "The probabilities are the network's own and were not calibrated: of answers at 90 % more or fewer than "
            "nine in ten may be right."
        )
    intended = f"Meant for images that show one of {len(everyone)} classes: {facts.listed(everyone)}."
    return f"{intended}\n\n{bullets(lines)}"


def _never_right(facts: Facts) -> list[str]:
    shares = facts.best.get("validation_class_accuracy") or []
    missed = [place for place, share in enumerate(shares) if share == 0]
    return [f"Not one validation image was recognised of: {facts.listed(missed)}."] if missed else []


def _balance(facts: Facts) -> list[str]:
    lines = []
    if counts := facts.counts.get("train"):
        least, most = min(counts), max(counts)
        smallest = facts.listed([place for place, count in enumerate(counts) if count == least], most=3)
        if least == most:
            lines.append(f"All classes have the same number of training images, {least}.")
        else:
            times = f", {most / least:.1f} times the smallest" if least else ""
            largest = facts.listed([place for place, count in enumerate(counts) if count == most], most=3)
            lines.append(
                f"The classes have unequal numbers of training images: from {least} ({smallest}) to {most} "
                f"({largest}){times}. Rare classes are learned from less."
            )
    empty = {role: facts.without_images(role) for role in ("valid", "test")}
    lines += [f"No {ROLES[role]} image shows: {facts.listed(found)}." for role, found in empty.items() if found]
    return lines


def data(facts: Facts) -> str:
    """Images by split and class, and what was noticed about them."""
    roles = [role for role in ROLES if role in facts.images]
    parts = [", ".join(f"{facts.images[role]} {ROLES[role]}" for role in roles) + " images." if roles else ""]
    if facts.counts:
        rows = [
            [facts.label(place), escape(name), *(str(facts.counts[role][place]) for role in roles)]
            for place, name in enumerate(facts.classes)
        ]
        whole = table(["class", "folder", *(ROLES[role] for role in roles)], rows, 2)
        parts.append(whole if len(rows) <= MANY else folded(f"All {len(rows)} classes", whole))
    notes = [str(note) for note in facts.provenance.get("data_notes", [])]
    lines = [escape(f"{note[:1].upper()}{note[1:]}.") for note in notes]
    if "data_notes" in facts.provenance and not any(note.startswith(_SET_APART) for note in notes):
        lines.insert(0, "The validation images were given, not set apart from the training images.")
    if skipped := facts.provenance.get("skipped_files"):
        lines.append(f"Files left out because they can't be read as images: {int(skipped)}.")
    parts.append(bullets(lines))
    return "\n\n".join(part for part in parts if part)


def procedure(facts: Facts) -> str:
    """Epochs, hyperparameters and the course of training."""
    chosen, defaults = facts.hyperparameters, asdict(Hyperparameters())
    parts = [_course(facts)]
    if chosen:
        changed = [[_name(name), escape(number(value)), escape(number(defaults.get(name)))]
                   for name, value in chosen.items() if name not in defaults or value != defaults[name]]  # fmt: skip
        if changed:
            parts += ["Hyperparameters that differ from their defaults:"]
            parts += [table(["hyperparameter", "value", "default"], changed, 3)]
        else:
            parts += ["All hyperparameters have their default values."]
        everything = [[_name(name), escape(number(value))] for name, value in chosen.items()]
        parts.append(folded("All hyperparameters", table(["hyperparameter", "value"], everything, 2)))
    if facts.epochs:
        columns = [name for name in facts.epochs[0] if name not in ("epoch", "validation_class_accuracy")]
        rows = [[str(epoch["epoch"]), *(number(epoch.get(name)) for name in columns)] for epoch in facts.epochs]
        header = ["epoch", *(escape(name.replace("_", " ")) for name in columns)]
        parts.append(folded("Every epoch", table(header, rows)))
    return "\n\n".join(part for part in parts if part)


def _course(facts: Facts) -> str:
    best = facts.provenance.get("best_epoch")
    planned = facts.hyperparameters.get("epochs")
    if best is None:
        return ""
    trained = len(facts.epochs) or planned
    early = f" ({planned} were asked for)" if planned and trained != planned else ""
    return (
        f"Trained for {number(trained)} epochs{early}; the weights are those of epoch {number(best)}, the one with the "
        "highest validation accuracy, among equals the one with the lowest loss."
    )


def _name(name: str) -> str:
    return f"`{name}`" if name.isidentifier() else escape(name)


def how_to_use(_facts: Facts) -> str:
    """The commands, with DIR for wherever the artifact is."""
    return """DIR is the folder that this card lies in.

```bash
# classify images with no server
python deploy.py predict --artifact DIR photo.jpg
# serve it on this machine, and ask
python deploy.py deploy --artifact DIR --port 8080
curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' localhost:8080/invocations
# the same in a container
docker run -p 8080:8080 -v DIR:/opt/ml/model:ro kennel:latest serve
```"""


def provenance(facts: Facts) -> str:
    """Where the artifact comes from, for whoever has to find out later."""
    known = facts.provenance
    seconds = known.get("seconds")
    rows: list[tuple[str, Any]] = [
        ("Artifact", facts.id),
        (f"SHA-256 of {WEIGHTS}", facts.sha256),
        ("Training job", known.get("training_job_name")),
        ("Completed", "yes" if facts.completed else "no, stopped by a signal"),
        ("Started", known.get("started_at")),
        ("Finished", known.get("finished_at")),
        ("Duration (h:mm:ss)", None if seconds is None else timedelta(seconds=round(float(seconds)))),
        ("Device", known.get("device")),
        ("Kennel", known.get("kennel")),
        ("torch", known.get("torch")),
        ("Python", known.get("python")),
    ]
    shown = [[escape(name), escape(str(value))] for name, value in rows if value is not None]
    return table(["", ""], shown, 2)


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
