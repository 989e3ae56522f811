"""`deploy.py run`: data -> trials -> the best artifact -> one prediction over HTTP -> summary."""

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from backends import client
from backends.base import Backend, Billable
from backends.console import print_predictions, print_summary, say, show_progress
from backends.errors import BackendError, Stopped
from backends.inputs import parse_hyperparameters
from backends.jobs import deploy_artifact, stop_run
from backends.runs import Run, load_run
from backends.search.request import ONLY_FOR_THE_BEST, SearchRequest
from backends.search.results import read_search
from backends.search.tune import create_tuning, search_in
from backends.transform.inputs import IMAGE_SUFFIXES
from cli.reports import pages, print_rules, run_documents
from tuning.space import Continuous, Space

ROOT: Final = Path(__file__).resolve().parents[1]
SAMPLE: Final = ROOT / "local_test" / "data"
# Small pictures drawn here need small inputs, and no pretrained weights, which a machine may not be able to get.
SAMPLE_DEFAULTS: Final = {
    "pretrained": "none", "image_size": "64", "epochs": "18", "batch_size": "32", "lr": "0.0005",
}  # fmt: skip
# The search is around the learning rate of the settings, which the first trial has; `train` takes none above 10.
LR_FACTOR: Final = 3.0
LR_LIMIT: Final = 10.0


@dataclass(frozen=True)
class RunOptions:
    """The options of `run`. data: None for the sample. hyperparameters: by name, over the defaults. keep: leave the
    endpoint up.
    """

    data: Path | None
    hyperparameters: Mapping[str, str]
    trials: int
    port: int
    keep: bool


def make_sample_data(folder: Path) -> None:
    """Draw the sample data set, or find it drawn already. Raises BackendError when that fails."""
    command = [sys.executable, "-m", "examples.sample_data", str(folder)]
    # Its progress bar and its errors go straight to the terminal.
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        if code == 130:
            raise Stopped("stopped while drawing the sample data; the same command goes on from here")
        raise BackendError(f"the sample data can't be made in {folder}, for the reason above")


def run_all(backend: Backend, runs: Path, options: RunOptions) -> None:
    """The main job, end to end."""
    sample = options.data is None
    folder = options.data or SAMPLE
    request = _request(folder, {**(SAMPLE_DEFAULTS if sample else {}), **options.hyperparameters}, options.trials)
    if sample:
        say("1/4 sample data")
        make_sample_data(folder)
    else:
        say(f"1/4 data in {folder}")
    report = _check(backend, runs, folder)
    with backend.confirm_cost(request) if isinstance(backend, Billable) else nullcontext():
        outcome = _work(backend, runs, request, options, report)
    _summarise(backend, outcome, options.keep)


def _work(
    backend: Backend, runs: Path, request: SearchRequest, options: RunOptions, report: Mapping[str, Any]
) -> "RunResult":
    """Search, serve, ask; without `keep` the endpoint is gone afterwards, however it ends."""
    say(f"2/4 training: {options.trials} trials on {backend.name}")
    tuning = create_tuning(backend, runs, request, None)
    search_in(backend, tuning, request)
    best = load_run(runs / tuning.record["best"])
    say("3/4 serving the best artifact")
    endpoint = deploy_artifact(backend, runs, best.artifact, client.choose_free_port(options.port), None)
    try:
        say("4/4 one prediction over HTTP")
        tested = list(best.read_json("ml/output/data/evaluation.json").get("predictions", {}))
        image = example_image(request.data, tested, best.path)
        answer = backend.ask(endpoint, image)
        print_predictions([{**answer, "file": str(image)}])
    finally:
        if not options.keep:
            stop_run(backend, endpoint)
    return RunResult(report, tuning, best, endpoint, image, answer)


def _request(data: Path, values: Mapping[str, str], trials: int) -> SearchRequest:
    """A search for the learning rate alone; its trials are trained with everything on, for one of them is served."""
    if own := [name for name in values if name.replace("-", "_").startswith("tune_")]:
        raise BackendError(f"--set {own[0]}: run searches for lr alone; python deploy.py tune has all of a search")
    hyperparameters = parse_hyperparameters(values)
    low, high = hyperparameters.lr / LR_FACTOR, min(LR_LIMIT, hyperparameters.lr * LR_FACTOR)
    space = Space((Continuous("lr", low, high, "log"),))
    # One at a time, each with the whole machine: the profiler's page is of the machine.
    search = replace(hyperparameters, tune_trials=trials, tune_space=space.to_json(), tune_parallel=1)
    return SearchRequest(data.absolute(), search, tuple(ONLY_FOR_THE_BEST))


def _check(backend: Backend, runs: Path, data: Path) -> dict[str, Any]:
    file = runs / "data.json"
    with show_progress("checking data") as watch:
        backend.check_data(data, file, watch)
    report: dict[str, Any] = json.loads(file.read_text())
    return {**report, "file": str(file)}


@dataclass(frozen=True)
class RunResult:
    """What the summary is made of. report: of the data; answer: to the image."""

    report: Mapping[str, Any]
    tuning: Run
    best: Run
    endpoint: Run
    image: Path
    answer: Mapping[str, Any]


def _summarise(backend: Backend, outcome: RunResult, keep: bool) -> None:
    report, best, endpoint, image = outcome.report, outcome.best, outcome.endpoint, outcome.image
    metrics = best.record["metrics"]
    accuracy = metrics["validation_accuracy"]
    trials = read_search(outcome.tuning)["trials"]
    counts = ", ".join(f"{count} {split}" for split, count in report["images"].items())
    skipped = f"; {report['skipped_count']} unreadable files skipped" if report["skipped_count"] else ""
    first = outcome.answer["predictions"][0]
    lr = best.record["hyperparameters"]["lr"]
    rows = [
        ("data", f"{len(report['classes'])} classes; {counts} images{skipped}"),
        ("best trial", f"{best.name} of {len(trials)}: lr {lr:.4g}, validation accuracy {accuracy:.1%}"),
        ("test accuracy", f"{metrics['test_accuracy']:.1%}" if "test_accuracy" in metrics else "no test data"),
        ("artifact", _relative(best.artifact)),
        ("reports", f"{_relative(best.ml / 'output' / 'data')} (JSON of all pages, metrics.jsonl, data.json)"),
        *((f"{name} page", _relative(page)) for ml in (outcome.tuning.ml, best.ml) for name, page in pages(ml)),
        ("prediction", f"{image.name}: {first['label']} ({first['probability']:.1%})"),
    ]
    if keep:
        rows.append(("endpoint", f"{endpoint.record['url']} is up (python deploy.py delete {endpoint.name})"))
    if isinstance(backend, Billable):
        rows.append(("in the account", backend.left()))
    say(f"\nrules of the best trial, {best.name}")
    print_rules(run_documents(best))
    print_summary(rows, _commands(backend, outcome, keep))


def _commands(backend: Backend, outcome: RunResult, keep: bool) -> list[tuple[str, str]]:
    """What to try next."""
    artifact, photo = _relative(outcome.best.artifact), _relative(outcome.image)
    on = f" --on {backend.name}" if isinstance(backend, Billable) else ""
    serve = ("serve it, and ask", f"python deploy.py deploy --artifact {artifact}{on or ' --port 8080'}")
    predict = (
        f"python deploy.py predict --endpoint {outcome.endpoint.name if keep else 'NAME'} {photo}{on}" if on
        else f"curl --data-binary @{photo} -H 'Content-Type: image/jpeg' localhost:8080/invocations"
    )  # fmt: skip
    return [
        ("classify with no server", f"python deploy.py predict --artifact {artifact} {photo}"),
        *([] if keep else [serve]),
        ("ask it" if keep and on else "", predict),
        ("train on your own photos", f"python deploy.py run --data YOUR_FOLDER{on}"),
        ("what there is, and what is up", f"python deploy.py status{on}"),
        *([("remove all that is in the account", f"python deploy.py delete --all --with-data{on}")] if on else []),
    ]


def _relative(path: Path) -> str:
    """The path from here where that is shorter."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def example_image(data: Path, tested: list[str], scratch: Path) -> Path:
    """A test image (a validation or training one, where there are none) as a file.

    data: folder or archive. tested: the evaluation's own file names. An image that lies in an archive is copied into
    the folder `scratch`. Raises BackendError when no file is named like an image.
    """
    files = sorted(data.rglob("*")) if data.is_dir() else []
    images = [data / folder / name for folder in ("test", "testing") for name in tested]
    images += [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if image := next((image for image in images if image.is_file()), None):
        return image
    archives = files if data.is_dir() else [data]
    # Test images first: sorted, a False comes before a True.
    for archive in sorted(archives, key=lambda file: not _is_test(file.relative_to(data.parent).as_posix())):
        if image := _copy_first(archive, scratch):
            return image
    raise BackendError(f"{data} holds no file that is named like an image, so none was asked about")


def _is_test(path: str) -> bool:
    return re.search(r"(^|/)test(ing)?([-_./]|$)", path, re.IGNORECASE) is not None


def _copy_first(archive: Path, scratch: Path) -> Path | None:
    """Copy one image out of a .tar or .zip file; None where there is none, or the file is something else."""
    if archive.suffix.lower() == ".zip":
        with zipfile.ZipFile(archive) as file:
            name = _choose(file.namelist())
            content = file.read(name) if name else b""
    elif archive.suffix.lower() == ".tar":
        with tarfile.open(archive, "r:") as tar:
            name = _choose([member.name for member in tar if member.isreg()])
            member = tar.extractfile(name) if name else None
            content = member.read() if member else b""
    else:
        return None
    if not name:
        return None
    # Only the suffix of the name: an archive may hold any name.
    copy = scratch / f"example{PurePosixPath(name).suffix.lower()}"
    copy.write_bytes(content)
    return copy


def _choose(names: list[str]) -> str:
    visible = [name for name in names if not PurePosixPath(name).name.startswith(".") and "__MACOSX" not in name]
    images = sorted(name for name in visible if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES)
    return min(images, key=lambda name: not _is_test(name), default="")
