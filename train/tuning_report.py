"""`python -m train.tuning_report --json tuning.json`: the page of a search, beside its document."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from contract.command import page_beside, run_command
from contract.errors import ConfigError
from contract.progress import Progress
from reports.tuning_page import write_tuning_page
from tuning.results import FORMAT

_ADVICE: Final = "give --json the tuning.json that a search wrote"
_NUMBER: Final = (int, float)
_NONE: Final = type(None)
# Every key of a document but format, and what it holds.
KEYS: Final[dict[str, tuple[type, ...]]] = {
    "kennel": (str,), "state": (str,), "reason": (str, _NONE), "objectives": (list,), "sampler": (str,),
    "pruner": (str,), "seed": _NUMBER, "parallel": _NUMBER, "trials_wanted": _NUMBER, "space": (list,),
    "base": (dict,), "started": _NUMBER, "seconds": _NUMBER, "interruptions": _NUMBER, "counts": (dict,),
    "best": (int, _NONE), "front": (list,), "hyperparameters": (dict, _NONE), "trials": (list,),
    "importance": (dict, _NONE), "winner": (dict, _NONE), "notes": (list,),
}  # fmt: skip


def main() -> None:
    """Read the document, write the page. Raises ConfigError for a file that is none."""
    parser = argparse.ArgumentParser(prog="python -m train.tuning_report", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="tuning.json of a search; the page goes beside it")
    parser.add_argument("--progress", type=Path, help="file to which the progress is written")
    arguments = parser.parse_args()
    progress = Progress(arguments.progress)
    progress.update("page", 0, 1, "pages")
    document = read_document(arguments.json)
    page_beside(arguments.json)
    page = write_tuning_page(arguments.json, document)
    progress.update("page", 1, 1, "pages")
    print(page)


def read_document(file: Path) -> dict[str, Any]:
    """The tuning document. Raises ConfigError for a file that can't be read or holds something else."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no file {file}; {_ADVICE}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ConfigError(f"{file} is no JSON; {_ADVICE}") from None
    if not isinstance(document, dict) or "format" not in document:
        raise ConfigError(f"{file} is no tuning document; {_ADVICE}")
    if document["format"] != FORMAT:
        raise ConfigError(
            f"{file} has format {document['format']!r}, and this version reads {FORMAT}; use the version that wrote it"
        )
    if missing := [key for key in KEYS if key not in document]:
        raise ConfigError(f"{file} lacks {', '.join(missing)}; {_ADVICE}")
    if wrong := [key for key, types in KEYS.items() if not isinstance(document[key], types)]:
        raise ConfigError(f"{file} holds no proper {', '.join(wrong)}; {_ADVICE}")
    return document


if __name__ == "__main__":
    sys.exit(run_command(main))
