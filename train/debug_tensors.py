"""`python -m train.debug_tensors PATH`: what rules find in tensors that smdebug saved, whoever trained."""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.errors import ConfigError, UserError
from train.cli import run_command
from train.companion.reports import write_report
from train.companion.watch import read_epochs
from train.config import Hyperparameters
from train.debug.judge import Background, Judge
from train.progress import Progress
from train.report.debugger_page import debugger_page
from train.rulebook.request import parse_rules
from train.rulebook.verdict import Outcome


def main() -> None:
    """Judge, print the rules' status lines, write report and page. Raises UserError for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m train.debug_tensors", description=__doc__)
    parser.add_argument("path", help="folder of tensors, or s3://BUCKET/PREFIX")
    parser.add_argument("--rules", default="default", help="as the hyperparameter rules; default: the default set")
    parser.add_argument("--json", type=Path, help="where the report goes; the page goes beside it")
    parser.add_argument("--progress", type=Path, help="file that tells how far it has come")
    arguments = parser.parse_args()
    if arguments.json is not None and arguments.json.suffix == ".html":
        raise ConfigError(f"--json {arguments.json} is where the page would go; give a name that ends in .json")
    requested = parse_rules(Hyperparameters.parse({"rules": arguments.rules}).rules)
    for note in requested.notes:
        print(f"rules: {note}")
    progress = Progress(arguments.progress)
    progress.update("judging tensors", 0, 1, "folders")
    judge = Judge(arguments.path, requested.tensor, print)
    outcome, background = what_is_known(arguments.path)
    judge.last()
    document = judge.finish(outcome, background)
    if arguments.json is not None:
        write_report(arguments.json, arguments.json.with_suffix(".html"), document, debugger_page)
        print(arguments.json.with_suffix(".html"))
    progress.update("judging tensors", 1, 1, "folders")


def what_is_known(path: str) -> tuple[Outcome, Background]:
    """Of a run of Kennel's own, whose tensors lie in ml/output/tensors: how it ended, and with which settings."""
    output = Path(path).resolve().parent
    hyperparameters = output.parent / "input" / "config" / "hyperparameters.json"
    earlier = _read_object(output / "data" / "debugger-report.json")
    if "://" in path or not hyperparameters.is_file() or not (output / "data" / "metrics.jsonl").is_file():
        return Outcome(), Background()
    try:
        chosen = Hyperparameters.parse(_read_object(hyperparameters))
    except UserError:
        return Outcome(), Background()
    ended = earlier.get("outcome") or {}
    return (
        Outcome(ended.get("completed"), ended.get("reason")),
        Background(asdict(chosen), read_epochs(output / "data" / "metrics.jsonl"), earlier.get("steps_per_epoch")),
    )


def _read_object(file: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":
    sys.exit(run_command(main))
