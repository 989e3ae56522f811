"""`deploy.py run`: data -> trials -> the best artifact -> one prediction over HTTP -> summary."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from backends import client
from backends.base import Backend
from backends.console import print_predictions, print_summary, say, watching
from backends.errors import BackendError, Stopped
from backends.example import example_image
from backends.inputs import parse_hyperparameters
from backends.jobs import deploy_artifact, stop_run, train_run
from backends.reports import pages, print_rules, run_documents
from backends.runs import Run
from train.config import Hyperparameters

ROOT: Final = Path(__file__).resolve().parents[1]
SAMPLE: Final = ROOT / "local_test" / "data"
# Small pictures drawn here need small inputs, and no pretrained weights, which a machine may not be able to get.
SAMPLE_DEFAULTS: Final = {"pretrained": "none", "image_size": "64", "epochs": "18", "batch_size": "32"}
# Until there is a search: two learning rates, of which the better one is kept.
TRIAL_FACTORS: Final = (1.0, 0.5)


def make_sample_data(folder: Path) -> None:
    """Draw the sample data set, or find it drawn already. Raises BackendError when that fails."""
    command = [sys.executable, "-m", "local_test.sample_data", str(folder)]
    # Its progress bar and its complaints go straight to the terminal.
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        if code == 130:
            raise Stopped("stopped while drawing the sample data; the same command goes on from here")
        raise BackendError(f"the sample data can't be made in {folder}, for the reason above")


def run_all(backend: Backend, runs: Path, data: Path | None, given: Mapping[str, str], port: int, keep: bool) -> None:
    """The main job, end to end. given: hyperparameters by name, over the defaults; keep: leave the endpoint up."""
    sample = data is None
    folder = data or SAMPLE
    chosen = parse_hyperparameters({**(SAMPLE_DEFAULTS if sample else {}), **given})
    if sample:
        say("1/4 sample data")
        make_sample_data(folder)
    else:
        say(f"1/4 data in {folder}")
    report = _check(backend, runs, folder)
    say(f"2/4 training {len(TRIAL_FACTORS)} trials on {backend.name}")
    trials = _trials(backend, runs, folder, chosen)
    best = max(trials, key=_rank)
    say("3/4 serving the best artifact")
    endpoint = deploy_artifact(backend, runs, best.artifact, client.choose_free_port(port), None)
    try:
        say("4/4 one prediction over HTTP")
        tested = list(best.read_json("ml/output/data/evaluation.json").get("predictions", {}))
        image = example_image(folder, tested, best.path)
        answer = client.predict(endpoint.record["url"], image)
        print_predictions([{**answer, "file": str(image)}])
    finally:
        if not keep:
            stop_run(backend, endpoint)
    _summarise(report, trials, best, endpoint, image, answer, keep)


def _check(backend: Backend, runs: Path, data: Path) -> dict[str, Any]:
    file = runs / "data.json"
    with watching("checking data") as watch:
        backend.check_data(data, file, watch)
    report: dict[str, Any] = json.loads(file.read_text())
    return {**report, "file": str(file)}


def _trials(backend: Backend, runs: Path, data: Path, chosen: Hyperparameters) -> list[Run]:
    trials = []
    for number, factor in enumerate(TRIAL_FACTORS, 1):
        trial = replace(chosen, lr=min(10.0, chosen.lr * factor))
        title = f"trial {number} (lr {trial.lr:g})"
        trials.append(train_run(backend, runs, data, trial, None, title))
    return trials


def _rank(run: Run) -> tuple[float, float]:
    metrics = run.record["metrics"]
    return (metrics["validation_accuracy"], -metrics["validation_loss"])


def _summarise(
    report: Mapping[str, Any],
    trials: list[Run],
    best: Run,
    endpoint: Run,
    image: Path,
    answer: Mapping[str, Any],
    keep: bool,
) -> None:
    metrics = best.record["metrics"]
    counts = ", ".join(f"{count} {role}" for role, count in report["images"].items())
    skipped = f"; {report['skipped_count']} unreadable files skipped" if report["skipped_count"] else ""
    first = answer["predictions"][0]
    lr = best.record["hyperparameters"]["lr"]
    rows = [
        ("data", f"{len(report['classes'])} classes; {counts} images{skipped}"),
        (
            "best trial",
            f"{best.name} of {len(trials)}: lr {lr}, validation accuracy {metrics['validation_accuracy']:.1%}",
        ),
        ("test accuracy", f"{metrics['test_accuracy']:.1%}" if "test_accuracy" in metrics else "no test data"),
        ("artifact", _relative(best.artifact)),
        (
            "reports",
            f"{_relative(best.ml / 'output' / 'data')} (JSON of all pages, metrics.jsonl, data.json)",
        ),
        *((f"{name} page", _relative(page)) for name, page in pages(best.ml)),
        ("prediction", f"{image.name}: {first['label']} ({first['probability']:.1%})"),
    ]
    serve = f"python deploy.py deploy --artifact {_relative(best.artifact)} --port 8080"
    photo = _relative(image)
    commands = [
        ("classify with no server", f"python deploy.py predict --artifact {_relative(best.artifact)} {photo}"),
        ("serve it, and ask", serve),
        ("", f"curl --data-binary @{photo} -H 'Content-Type: image/jpeg' localhost:8080/invocations"),
        ("train on your own photos", "python deploy.py run --data YOUR_FOLDER"),
        ("what there is, and what is up", "python deploy.py status"),
    ]
    if keep:
        rows.append(("endpoint", f"{endpoint.record['url']} is up (python deploy.py delete {endpoint.name})"))
        commands.pop(1)
    say(f"\nrules of the best trial, {best.name}")
    print_rules(run_documents(best))
    print_summary(rows, commands)


def _relative(path: Path) -> str:
    """The path from here where that is shorter."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
