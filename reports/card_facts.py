"""What a model card can say: the facts of a manifest and a learning history, and Markdown to say them in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

ROLES: Final = {"train": "training", "valid": "validation", "test": "test"}
# Beyond that many classes a table of all of them is folded away.
MANY: Final = 30


@dataclass(frozen=True)
class Facts:
    """images: by role. counts: by role the images of each class, in the classes' order; empty where unknown.

    best: the best epoch's entry of the learning history, empty where there is none.
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
    def read(cls, manifest: Mapping[str, Any], history: Mapping[str, Any]) -> "Facts":
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
            images={role: int(count) for role, count in provenance.get("images", {}).items()},
            counts={role: [int(count[name]) for name in names] for role, count in by_class.items()},
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

    def label(self, number: int) -> str:
        """The class's readable name, for Markdown."""
        return escape(self.labels[number])

    def listed(self, numbers: Sequence[int], most: int = 10) -> str:
        """The classes' readable names; of more than `most` the first ones and how many more there are."""
        shown = ", ".join(self.label(number) for number in numbers[:most])
        return shown if len(numbers) <= most else f"{shown} and {len(numbers) - most} more"

    def without_images(self, role: str) -> list[int]:
        """The classes that have no image in that split, where there is such a split."""
        return [number for number, count in enumerate(self.counts.get(role, [])) if count == 0]


def percent(share: float) -> str:
    """`98.3 %`."""
    return f"{100 * share:.1f} %"


def number(value: object) -> str:
    """A figure or a setting as text: floats in six significant digits, None as a dash."""
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# Every ASCII punctuation mark may have a backslash (CommonMark 0.31, section 2.4); these can mean something in a line.
_SPECIAL = frozenset("\\`*_[]<>|~&#$!@")


def escape(text: str) -> str:
    """`text` as it is, within one line or table cell: nothing in it is markup, HTML or a line break."""
    line = visible(" ".join(text.split()))
    return "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in line)


def visible(text: str) -> str:
    """`text` with control characters, lone surrogates and marks of writing direction as numbers, `u202e` say."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int | None = None) -> str:
    """A table. The cells are Markdown already. Columns from `numbers` on (all but the first) are set to the right."""
    first = 1 if numbers is None else numbers
    rule = ["---" if column < first else "---:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def details(summary: str, body: str) -> str:
    """`body`, Markdown, folded away below `summary`, plain text. Viewers without HTML show both."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def bullets(lines: Sequence[str]) -> str:
    """A list; the lines are Markdown already."""
    return "\n".join(f"- {line}" for line in lines)


def yaml_string(text: str) -> str:
    """`text` as a double-quoted scalar of YAML 1.1 and 1.2, in ASCII; a lone surrogate becomes U+FFFD."""
    return '"' + "".join(_yaml_letter(letter) for letter in text) + '"'


def _yaml_letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter.isascii() and letter.isprintable():
        return letter
    # YAML has no surrogates, alone or in pairs.
    number = 0xFFFD if 0xD800 <= ord(letter) <= 0xDFFF else ord(letter)
    return f"\\U{number:08x}"
