"""The model card's sections but for its figures."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from contract.hyperparameters import Hyperparameters
from model.artifact import WEIGHTS
from train.card.facts import MANY, ROLES, Facts, number
from train.card.markdown import bullets, escape, table, yaml_string
from train.card.markdown import details as folded

_HEADS = {"linear": "a linear head", "mlp": "a head of 512 ReLU units"}
# As train.split notes it in the data report.
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
