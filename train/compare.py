"""`python -m train.compare --artifact DIR --baseline DIR --data DIR --json FILE`: which of two artifacts is better?"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from contract.command import page_beside, run_command
from model.artifact import Artifact
from reports.comparison_page import write_comparison_page
from train.evaluation.command import Measurement, add_options, artifact_folder
from train.evaluation.comparison import column_order, comparison_report
from train.evaluation.document import model_facts


def main() -> None:
    """Compare, write the report and its page. Raises UserError for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m train.compare", description=__doc__)
    add_options(parser)
    parser.add_argument("--baseline", type=Path, required=True, help="the artifact to compare with, likewise")
    arguments = parser.parse_args()
    page_beside(arguments.json)
    with artifact_folder(arguments.artifact) as new, artifact_folder(arguments.baseline) as old:
        _compare(arguments, Artifact.load(new), Artifact.load(old))


def _compare(arguments: argparse.Namespace, artifact: Artifact, baseline: Artifact) -> None:
    order = column_order(artifact, baseline)
    measurement = Measurement.prepare(arguments, artifact)
    new, old = measurement.of(artifact), measurement.of(baseline)
    old = replace(old, logits=old.logits[:, order])
    report = comparison_report(new, old, measurement.files, artifact.classes, artifact.labels)
    for name, each in (("artifact", artifact), ("baseline", baseline)):
        report[name] = {"artifact": each.id, "model": model_facts(each), **report[name]}
    measurement.write({"split": measurement.split.name, **report}, arguments.json, write_comparison_page)
    print(f"{new.n} images: {report['verdict']}")


if __name__ == "__main__":
    sys.exit(run_command(main))
