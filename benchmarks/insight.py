"""From a badly configured training to a good one, by what the two reports advise and nothing else.

Each round is a real `python -m train` on the sample data. Its debugger and profiler reports carry the settings that
they advise; the next round has them. It ends when no report has anything more to set.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.timing import print_facts
from contract.hyperparameters import Hyperparameters

ROOT: Final = Path(__file__).resolve().parents[1]
# Tiny batches, a learning rate far too high, images decoded anew in every epoch. What is not named is the default.
BAD: Final[dict[str, str]] = {
    "pretrained": "none", "image_size": "64", "epochs": "8", "export": "none", "tensorboard": "off",
    "batch_size": "4", "lr": "0.5", "workers": "0",
}  # fmt: skip
ROUNDS: Final = 4
# Weights to start from are a download: with them the demonstration would be theirs.
LEFT_ALONE: Final = {"pretrained"}
COLUMNS: Final = (
    "round", "changed", "fired", "step ms", "images/s", "waiting for data", "CPU", "training s", "accuracy",
    "precision", "recall",
)  # fmt: skip


def settings_of(*reports: Mapping[str, Any]) -> dict[str, str]:
    """What the reports advise to set, the most severe rule first; of two values for one name the first counts."""
    found: dict[str, str] = {}
    for report in reports:
        for rule in report["rules"]:
            for name, value in rule["settings"].items():
                found.setdefault(name, value)
        for name, value in report.get("settings", {}).items():
            found.setdefault(name, value)
    return found


def train(data: Path, root: Path, settings: Mapping[str, str]) -> str | None:
    """Train below `root`; the failure's first line, or None."""
    config = root / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(settings))
    (root / "input" / "data").symlink_to(data)
    environ = {**os.environ, "KENNEL_ML_ROOT": str(root)}
    with (root / "log.txt").open("w") as log:
        code = subprocess.run(
            [sys.executable, "-m", "train"], cwd=ROOT, env=environ, stdout=log, stderr=log, check=False
        ).returncode
    return (root / "output" / "failure").read_text().splitlines()[0] if code else None


def row(number: int, changed: str, root: Path, failure: str | None) -> tuple[str, ...]:
    """One round's figures, from its reports."""
    output = root / "output" / "data"
    debugger, profiler = (json.loads((output / f"{name}-report.json").read_text()) for name in ("debugger", "profiler"))
    fired = [
        rule["name"] for report in (debugger, profiler) for rule in report["rules"] if rule["status"] == "IssuesFound"
    ]
    steps, system = profiler["steps"], profiler["system"]["statistics"]
    figures = [
        f"{1000 * steps['seconds']['mean']:.0f}", f"{steps['samples_per_second']:.0f}",
        f"{100 * steps['phases']['data']['share']:.0f} %", f"{system['cpu']['mean']:.0f} %",
        f"{profiler['job']['training_s']:.0f}",
    ]  # fmt: skip
    if failure is None:
        report = json.loads((output / "evaluation.json").read_text())
        figures += [f"{100 * report[name]:.1f} %" for name in ("accuracy", "macro_precision", "macro_recall")]
    else:
        figures += ["none: it failed"] * 3
    return (str(number), changed, ", ".join(fired) or "none", *figures)


def main() -> None:
    """Print the rounds as a Markdown table, and what each report said."""
    print_facts("torch", "torchvision", "smdebug")
    data = ROOT / "local_test" / "data"
    subprocess.run([sys.executable, "-m", "examples.sample_data", str(data)], cwd=ROOT, check=True)
    settings, changed = dict(BAD), " ".join(f"{name}={BAD[name]}" for name in ("batch_size", "lr", "workers"))
    rows, lines = [], []
    known = Hyperparameters.__dataclass_fields__
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            root = Path(folder) / str(number)
            failure = train(data, root, settings)
            rows.append(row(number, changed, root, failure))
            print(f"round {number}: {' | '.join(rows[-1][1:])}", flush=True)
            reports = [
                json.loads((root / "output" / "data" / f"{name}-report.json").read_text())
                for name in ("debugger", "profiler")
            ]
            lines += [f"round {number}: {failure}"] if failure else []
            lines += [f"round {number}: {rule['name']}: {rule['advice']}" for each in reports for rule in each["rules"]
                     if rule["advice"]]  # fmt: skip
            lines += [f"round {number}: {sentence}" for sentence in reports[1]["headline"]]
            advised = settings_of(*reports)
            new = {
                name: value
                for name, value in advised.items()
                if name in known and name not in LEFT_ALONE and settings.get(name) != value
            }
            if not new:
                break
            settings.update(new)
            changed = " ".join(f"{name}={value}" for name, value in new.items())
    for cells in (COLUMNS, ["---"] * len(COLUMNS), *rows):
        print("| " + " | ".join(cells) + " |")
    print("\n".join(["", *lines]))


if __name__ == "__main__":
    main()
