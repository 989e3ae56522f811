"""The model card: what an artifact is, from what it was made and how good it is, as Markdown for people.

Everything in it comes from the artifact's manifest and learning history; nothing is measured or guessed here.

Structure: M. Mitchell et al., "Model Cards for Model Reporting", 2019, doi:10.1145/3287560.3287596; the front matter is
the Hugging Face Hub's (https://huggingface.co/docs/hub/model-cards).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2

from contract.errors import ArtifactError
from contract.files import write_atomic
from model.artifact import MANIFEST, Artifact
from reports.card_facts import EXTREMES, CardFacts
from reports.markdown import markdown, percent, yaml_string
from reports.page import environment

CARD: Final = "model_card.md"


def model_card(manifest: Mapping[str, Any], history: Mapping[str, Any] | None = None) -> str:
    """The card of the artifact with this manifest (kennel.json) and learning history (history.json), if there is one.

    A part whose facts are missing, in artifacts of other makers say, is left out. Raises ArtifactError when the facts
    aren't of the form that training gives them.
    """
    try:
        facts = CardFacts.read(manifest, history or {})
        template = environment(markdown, percent=percent, yaml=yaml_string).get_template("model_card.md.j2")
        return template.render(facts=facts, extremes=EXTREMES) + "\n"
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, jinja2.UndefinedError) as error:
        raise ArtifactError(
            f"no card can be made: {MANIFEST} or history.json isn't as training writes it "
            f"({type(error).__name__}: {error}); copy the artifact's folder again"
        ) from error


def read_card(folder: Path) -> str:
    """The card of the artifact in `folder`. Raises ArtifactError when that holds none."""
    Artifact.load(folder, verify=False)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    try:
        history = json.loads((folder / "history.json").read_bytes())
    except FileNotFoundError:
        history = {}
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{folder / 'history.json'} is not valid JSON ({error}); copy the artifact's folder again"
        ) from error
    return model_card(manifest, history)


def write_card(folder: Path) -> None:
    """Write the card of the artifact in `folder` beside its manifest, which is complete by then."""
    write_atomic(folder / CARD, read_card(folder).encode("utf-8"))
