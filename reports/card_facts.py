"""What a model card can say: the facts of an artifact's manifest and learning history."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from markupsafe import Markup

from contract.hyperparameters import Hyperparameters, without_defaults
from model.artifact import WEIGHTS
from model.metrics import wilson_interval
from reports.markdown import code, escape, percent

SPLITS: Final = {"train": "training", "valid": "validation", "test": "test"}
EXTREMES: Final = 5  # classes shown from each end, of more than twice as many
# As train.data.splits notes it in the data report.
_SET_APART: Final = "no validation data was given"


@dataclass(frozen=True)
class SplitFigures:
    """How well the artifact did on a split. images: None where their number is unknown, as any other figure.

    interval: the accuracy's 95 % interval. majority: the share of the split's most frequent class, which an answer
    that is always the same would get right.
    """

    split: str
    images: int | None
    accuracy: float
    interval: str | None
    majority: float | None
    top5_accuracy: float | None
    macro_f1: float | None
    loss: float | None

    @property
    def name(self) -> str:
        """The split's name: validation or test."""
        return SPLITS[self.split]

    @property
    def hub_metrics(self) -> list[dict[str, Any]]:
        """type, name and value of the figures that the Hugging Face Hub knows."""
        metrics = [{"type": "accuracy", "name": f"{self.name} accuracy", "value": self.accuracy}]
        if self.macro_f1 is not None:
            metrics.append({"type": "f1", "name": f"{self.name} macro f1", "value": self.macro_f1})
        return metrics


@dataclass(frozen=True)
class CardFacts:
    """images: by split. counts: by split the images of each class, in the classes' order; empty where unknown.

    best: the best epoch's entry of the learning history, empty where there is none. A class is meant by its number.
    """

    manifest: Mapping[str, Any]
    classes: Sequence[str]
    labels: Sequence[str]
    provenance: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    images: Mapping[str, int]
    counts: Mapping[str, Sequence[int]]
    epochs: Sequence[Mapping[str, Any]]
    best: Mapping[str, Any]

    @classmethod
    def read(cls, manifest: Mapping[str, Any], history: Mapping[str, Any]) -> "CardFacts":
        """Raises KeyError, TypeError or ValueError for what no training has written."""
        provenance = manifest["provenance"]
        names = [str(entry["name"]) for entry in manifest["classes"]]
        epochs = list(history.get("epochs", []))
        best = [epoch for epoch in epochs if epoch["epoch"] == provenance.get("best_epoch")]
        by_class = provenance.get("images_by_class", {})
        return cls(
            manifest=manifest,
            classes=names,
            labels=[str(entry["label"]) for entry in manifest["classes"]],
            provenance=provenance,
            hyperparameters=provenance.get("hyperparameters", {}),
            metrics={name: float(value) for name, value in manifest["metrics"].items()},
            images={split: int(count) for split, count in provenance.get("images", {}).items()},
            counts={split: [int(count[name]) for name in names] for split, count in by_class.items()},
            epochs=epochs,
            best=best[0] if best else {},
        )

    @property
    def sha256(self) -> str:
        return str(self.manifest["weights"]["sha256"])

    @property
    def id(self) -> str:
        """As `model.artifact.Artifact.id`."""
        return self.sha256[:12]

    @property
    def name(self) -> str:
        """The training job's name; without one, architecture and id."""
        return str(self.provenance.get("training_job_name") or f"{self.manifest['architecture']}-{self.id}")

    @property
    def completed(self) -> bool:
        return self.provenance.get("completed") is not False

    @property
    def calibration(self) -> Mapping[str, Any]:
        """What the artifact's probabilities were calibrated by; empty where they weren't."""
        return dict(self.manifest.get("calibration") or {})

    @property
    def image_size(self) -> int:
        """Pixels along each side of what the network gets."""
        return int(self.manifest["preprocessing"]["image_size"])

    @property
    def resize_size(self) -> int:
        """Pixels of the shorter side of which `image_size` are cut out."""
        return int(self.manifest["preprocessing"]["resize_size"])

    def labels_of(self, classes: Sequence[int], most: int = 10) -> Markup:
        """The classes' labels; of more than `most` the first ones and how many more there are."""
        names = ", ".join(escape(self.labels[number]) for number in classes[:most])
        return Markup(names if len(classes) <= most else f"{names} and {len(classes) - most} more")  # noqa: S704

    def classes_with(self, split: str, images: int) -> list[int]:
        """The classes with exactly that many images in the split."""
        return [number for number, count in enumerate(self.counts.get(split, [])) if count == images]

    @property
    def evaluated(self) -> list[SplitFigures]:
        """The figures of the validation and the test images, as far as there are any."""
        return [self._figures(split) for split in ("valid", "test") if f"{SPLITS[split]}_accuracy" in self.metrics]

    def _figures(self, split: str) -> SplitFigures:
        figures = {name: self.metrics.get(f"{SPLITS[split]}_{name}") for name in ("top5_accuracy", "macro_f1", "loss")}
        accuracy, n = self.metrics[f"{SPLITS[split]}_accuracy"], self.images.get(split)
        interval = None
        if n:
            low, high = wilson_interval(round(accuracy * n), n)
            interval = f"{100 * low:.1f} to {percent(high)}"
        counts = self.counts.get(split)
        majority = max(counts) / sum(counts) if counts and sum(counts) else None
        return SplitFigures(split, n, accuracy, interval, majority, **figures)

    @property
    def figure_rows(self) -> list[list[Any]]:
        """The table of `evaluated`: a title and the splits' cells; rows without any figure are left out."""
        splits = self.evaluated
        rows: list[list[Any]] = [
            ["Accuracy (top-1)", *(percent(split.accuracy) for split in splits)],
            ["95 % interval (Wilson)", *(split.interval for split in splits)],
            ["The same answer always, at best", *(percent(split.majority) for split in splits)],
            ["Macro F1", *(_four_digits(split.macro_f1) for split in splits)],
            ["Loss (cross entropy, nats)", *(_four_digits(split.loss) for split in splits)],
        ]
        if len(self.classes) > 5:  # else the right class is always one of the five
            rows.insert(3, ["Accuracy (top-5)", *(percent(split.top5_accuracy) for split in splits)])
        measured = [row for row in rows if any(cell is not None for cell in row[1:])]
        return [["Images", *(split.images for split in splits)], *measured]

    @property
    def splits(self) -> dict[str, str]:
        """The splits that the artifact was made from, with their names."""
        return {split: name for split, name in SPLITS.items() if split in self.images}

    @property
    def count_rows(self) -> list[list[Any]]:
        """A class's label, its folder and its images in each split."""
        return [
            [self.labels[number], name, *(self.counts[split][number] for split in self.splits)]
            for number, name in enumerate(self.classes)
        ]

    @property
    def class_accuracy(self) -> list[float | None]:
        """The validation accuracy of each class in the best epoch."""
        return self.best.get("validation_class_accuracy") or []

    @property
    def never_right(self) -> list[int]:
        """The classes of which no validation image was recognised."""
        return [number for number, share in enumerate(self.class_accuracy) if share == 0]

    @property
    def class_rows(self) -> list[list[Any]]:
        """A class's label, accuracy and number of validation images, lowest first: all, or the ends of the list."""
        ranked = sorted((share, number) for number, share in enumerate(self.class_accuracy) if share is not None)
        counts = self.counts.get("valid")
        rows: list[list[Any]] = [
            [self.labels[number], percent(share), *([counts[number]] if counts else [])] for share, number in ranked
        ]
        if len(rows) <= 2 * EXTREMES:
            return rows
        gap = [f"... {len(rows) - 2 * EXTREMES} more", *([""] * (len(rows[0]) - 1))]
        return [*rows[:EXTREMES], gap, *rows[-EXTREMES:]]

    @property
    def data_notes(self) -> list[str]:
        """Sentences on the data."""
        notes = [str(note) for note in self.provenance.get("data_notes", [])]
        sentences = [f"{note[:1].upper()}{note[1:]}." for note in notes]
        if "data_notes" in self.provenance and not any(note.startswith(_SET_APART) for note in notes):
            sentences.insert(0, "The validation images were given, not set apart from the training images.")
        if skipped := self.provenance.get("skipped_files"):
            sentences.append(f"Files left out because they can't be read as images: {int(skipped)}.")
        return sentences

    @property
    def hyperparameter_rows(self) -> list[tuple[Any, Any]]:
        """Name and value of every hyperparameter."""
        return [(code(name), value) for name, value in self.hyperparameters.items()]

    @property
    def changed_hyperparameters(self) -> list[tuple[Any, Any, Any]]:
        """Those that differ from their defaults: (name, value, default), None for the default of an unknown one."""
        defaults = asdict(Hyperparameters())
        changed = without_defaults(self.hyperparameters)
        return [(code(name), value, defaults.get(name)) for name, value in changed.items()]

    @property
    def epoch_columns(self) -> list[str]:
        """The quantities of the learning history that are one figure an epoch."""
        return [name for name in self.epochs[0] if name not in ("epoch", "validation_class_accuracy")]

    @property
    def epoch_rows(self) -> list[list[Any]]:
        """Each epoch's number and its figures in the order of `epoch_columns`."""
        return [[epoch["epoch"], *(epoch.get(name) for name in self.epoch_columns)] for epoch in self.epochs]

    @property
    def form_rows(self) -> list[list[Any]]:
        """The forms for serving: name, precision, validation accuracy, loss and images, and the files' size."""
        default, rows = self.manifest.get("default_form"), []
        for name, form in dict(self.manifest.get("forms") or {}).items():
            size = sum(int(file["bytes"]) for file in form.get("files", {}).values())
            title = f"{name} (default)" if name == default else name
            for precision, score in form.get("validation", {}).items():
                figures = ["not measured", None, None]
                if score is not None:
                    figures = [percent(float(score["accuracy"])), score.get("loss"), score.get("n")]
                rows.append([title, precision, *figures, f"{size / 1e6:.1f} MB" if size else None])
        return rows

    @property
    def origin(self) -> list[tuple[str, Any]]:
        """Where the artifact comes from, for whoever has to find out later; without what isn't known."""
        provenance = self.provenance
        seconds = provenance.get("seconds")
        rows = [
            ("Artifact", self.id),
            (f"SHA-256 of {WEIGHTS}", self.sha256),
            ("Training job", provenance.get("training_job_name")),
            ("Completed", "yes" if self.completed else "no, stopped by a signal"),
            ("Started", provenance.get("started_at")),
            ("Finished", provenance.get("finished_at")),
            ("Duration (h:mm:ss)", None if seconds is None else timedelta(seconds=round(float(seconds)))),
            ("Device", provenance.get("device")),
            ("Kennel", provenance.get("kennel")),
            ("torch", provenance.get("torch")),
            ("Python", provenance.get("python")),
        ]
        return [(name, str(value)) for name, value in rows if value is not None]


def _four_digits(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
