"""`python -m train.debug_tensors PATH`: judge tensors that smdebug saved, in any training, by rules.

Or a profiler's files: Kennel's output/profiler, or the profiler-output of a SageMaker job.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contract.command import page_beside, run_command
from contract.errors import UserError
from contract.files import read_object
from contract.hyperparameters import Hyperparameters
from contract.progress import Progress
from contract.rules.request import RuleRequest, parse_rules
from contract.rules.verdict import Outcome
from monitor.debugger.engine import Background, TensorRuleEngine
from monitor.output import write_report
from monitor.profiler.engine import analyse, is_profile
from monitor.watch import read_epochs
from reports.debugger_page import debugger_page
from reports.profiler_page import profiler_page


def main() -> None:
    """Judge, print the rules' status lines, write report and page. Raises UserError for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m train.debug_tensors", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", help="folder of tensors, or s3://BUCKET/PREFIX; or a folder of profiler files")
    parser.add_argument("--rules", default="default", help="as the hyperparameter rules; default: the default set")
    parser.add_argument("--json", type=Path, help="where the report goes; the page goes beside it")
    parser.add_argument("--progress", type=Path, help="file to which the progress is written")
    arguments = parser.parse_args()
    page_file = None if arguments.json is None else page_beside(arguments.json)
    requested = parse_rules(Hyperparameters.parse({"rules": arguments.rules}).rules)
    for note in requested.notes:
        print(f"rules: {note}")
    progress = Progress(arguments.progress)
    progress.update("judging", 0, 1, "folders")
    if "://" not in arguments.path and is_profile(Path(arguments.path)):
        document, page = judge_profile(Path(arguments.path), requested.profiler), profiler_page
    else:
        document, page = judge_tensors(arguments.path, requested.tensor), debugger_page
    if page_file is not None:
        write_report(arguments.json, page_file, document, page)
        print(page_file)
    progress.update("judging", 1, 1, "folders")


def judge_tensors(path: str, requests: Sequence[RuleRequest]) -> dict[str, Any]:
    """The debugger's document. Raises UserError for what is no folder of tensors."""
    judge = TensorRuleEngine(path, requests, print)
    outcome, background = read_background(path)
    judge.last()
    return judge.finish(outcome, background)


def judge_profile(folder: Path, requests: Sequence[RuleRequest]) -> dict[str, Any]:
    """The profiler's document, with the outcome of a run of Kennel's own. Raises UserError."""
    earlier = read_object(folder.resolve().parent / "data" / "profiler-report.json").get("job") or {}
    document = analyse(folder, requests, {name: earlier.get(name) for name in ("completed", "reason")})
    for rule in document["rules"]:
        print(f"{rule['name']}: {rule['status']}")
    return document


def read_background(path: str) -> tuple[Outcome, Background]:
    """Outcome and settings of a run of Kennel's own, whose tensors lie in ml/output/tensors; empty for others."""
    output = Path(path).resolve().parent
    config = output.parent / "input" / "config" / "hyperparameters.json"
    earlier = read_object(output / "data" / "debugger-report.json")
    if "://" in path or not config.is_file() or not (output / "data" / "metrics.jsonl").is_file():
        return Outcome(), Background()
    try:
        hyperparameters = Hyperparameters.parse(read_object(config))
    except UserError:
        return Outcome(), Background()
    ended = earlier.get("outcome") or {}
    return (
        Outcome(ended.get("completed"), ended.get("reason")),
        Background(
            asdict(hyperparameters), read_epochs(output / "data" / "metrics.jsonl"), earlier.get("steps_per_epoch")
        ),
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
