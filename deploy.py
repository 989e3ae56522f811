#!/usr/bin/env python3
"""Kennel: data, train, tune, evaluate, debug, report, deploy, predict, transform, status, logs, delete; `run` does all.

python deploy.py run                       # sample data, this machine, no Docker, no account
python deploy.py run --data DIR            # your photos: DIR/train/CLASS/photo.jpg ...
python deploy.py train --data DIR --on docker
python deploy.py init                      # a file with all settings; then: python deploy.py doctor
"""

import os
import sys
from pathlib import Path
from typing import Annotated

try:
    import typer
except ModuleNotFoundError:
    # Started with the system's Python: go on with the environment that `make setup` made, if it is there.
    own = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
    if own.is_file() and Path(sys.prefix) != own.parents[1]:
        os.execv(own, [str(own), *sys.argv])
    sys.exit("error: Kennel's environment isn't there yet; run `make setup` first")

from cli.attach import attach, logs, upload
from cli.context import Context, configured
from cli.endpoints import captured
from cli.options import ArtifactOption, Data, DataOrSample, DataOrTuning, Name, Port, Set
from cli.registry import app as registry
from cli.runs import delete, report, status
from cli.setup import doctor, init
from cli.transform import transform
from cli.tune import tune

# The imports of each command are in it: `--help` must answer at once.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Train, evaluate and serve an image classifier: here, in Docker or on SageMaker.")  # fmt: skip


@app.command()
@configured
def run(
    context: Context, data: DataOrSample = None, settings: Set = None, port: Port = 8080,
    keep: Annotated[bool, typer.Option("--keep", help="leave the endpoint up")] = False,
    trials: Annotated[int, typer.Option("--trials", min=1, max=1000, help="learning rates to try")] = 3,
) -> None:  # fmt: skip
    """Everything: check the data, search for a learning rate, serve the best trial, ask it, sum up."""
    from backends.inputs import parse_settings
    from cli.run import RunOptions, run_all

    options = RunOptions(data, parse_settings(settings or []), trials, port, keep)
    run_all(context.backend(), context.runs.resolve(), options)


@app.command("data")
@configured
def check_data(context: Context, data: DataOrSample = None) -> None:
    """Check a data set as training would: classes, counts, files that can't be read."""
    import json

    from backends.console import print_data, show_progress
    from cli.run import SAMPLE, make_sample_data

    backend = context.backend()
    if data is None:
        make_sample_data(SAMPLE)
    folder, report = data or SAMPLE, context.runs.resolve() / "data.json"
    with show_progress("checking data") as watch:
        backend.check_data(folder, report, watch)
    print_data(str(folder), json.loads(report.read_text()), str(report))


@app.command()
@configured
def train(
    context: Context, data: DataOrTuning = None, settings: Set = None, name: Name = None,
    from_tuning: Annotated[
        str | None, typer.Option("--from-tuning", metavar="RUN", help="start from a search's best hyperparameters")
    ] = None,
) -> None:  # fmt: skip
    """Train in a new run folder: RUNS/NAME/ with ml/model (the artifact), log.txt and run.json."""
    from backends.inputs import parse_settings
    from backends.jobs import train_run
    from backends.search.results import resolve_training_request
    from cli.reports import print_training

    folder, hyperparameters = resolve_training_request(context.runs, data, parse_settings(settings or []), from_tuning)
    print_training(train_run(context.backend(), context.runs.resolve(), folder, hyperparameters, name))


app.command()(configured(tune))


@app.command()
@configured
def evaluate(
    context: Context, data: Data, artifact: ArtifactOption = None,
    compare: Annotated[str | None, typer.Option("--compare", help="artifact's folder or run to compare with")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="report; else evaluation.json in RUNS")] = None,
) -> None:  # fmt: skip
    """How good an artifact is on labelled images, or whether it is better than another: as JSON and as a page."""
    from cli.reports import evaluate_artifact

    evaluate_artifact(context.backend(), context.runs, artifact, data, compare, report)


@app.command()
@configured
def debug(
    context: Context,
    tensors: Annotated[str, typer.Argument(help="smdebug's tensors (folder or s3:// URL), or a profiler's files")],
    rules: Annotated[str, typer.Option("--rules", help="as the hyperparameter rules, in docs/debugger.md")] = "default",
    report: Annotated[Path | None, typer.Option("--json", help="report; else in RUNS")] = None,
) -> None:  # fmt: skip
    """Judge any training's saved tensors, or profiler files, by rules: a table, a report as JSON and a page."""
    from cli.reports import debug_tensors

    debug_tensors(context.backend(), context.runs, tensors, rules, report)


app.command()(configured(report, jobs=False))


@app.command()
@configured
def deploy(
    context: Context, artifact: ArtifactOption = None, port: Port = 8080, name: Name = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="serve in this terminal until Ctrl-C")] = False,
    update: Annotated[
        str | None, typer.Option("--update", metavar="NAME", help="let this deployment on SageMaker serve it instead")
    ] = None,
) -> None:  # fmt: skip
    """Serve an artifact over HTTP, in the background until `delete`."""
    from backends.client import choose_port
    from backends.console import say
    from backends.jobs import deploy_artifact
    from backends.runs import find_artifact
    from cli import endpoints

    if update is not None:
        endpoints.update(context, update, find_artifact(context.runs, artifact))
        return
    backend, folder = context.backend(), find_artifact(context.runs, artifact)
    # An endpoint in the account has no port of this machine.
    free = port if context.on == "sagemaker" else choose_port(port)
    if foreground:
        raise typer.Exit(backend.serve(folder, free))
    endpoint = deploy_artifact(backend, context.runs.resolve(), folder, free, name)
    say(f"{endpoint.name} serves {folder}; end it with: python deploy.py delete {endpoint.name}")
    say(endpoint.record["url"])


@app.command()
@configured
def predict(
    context: Context,
    images: Annotated[list[Path], typer.Argument(help="image files")],
    url: Annotated[str | None, typer.Option("--url", help="of a server, like http://localhost:8080")] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="NAME", help="a deployment, or an endpoint in the account")
    ] = None,
    artifact: ArtifactOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:  # fmt: skip
    """Classify images: by a server (--url, --endpoint) or without one (--artifact)."""
    import json

    from backends import client
    from backends.console import print_predictions
    from backends.errors import BackendError
    from backends.runs import find_artifact
    from cli import endpoints

    sources = {"--url": url, "--endpoint": endpoint, "--artifact": artifact}
    if len(named := [option for option, value in sources.items() if value is not None]) > 1:
        raise BackendError(f"{' and '.join(named)} can't all answer; give one of them")
    if url is not None:
        answers = [client.ask(url, image) for image in images]
    elif endpoint is not None:
        answers = endpoints.ask(context, endpoint, images)
    else:
        answers = context.backend().predict(find_artifact(context.runs, artifact), images)
    if as_json:
        print("\n".join(json.dumps(answer) for answer in answers))
    else:
        print_predictions(answers)
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


app.command()(configured(transform))
app.command()(configured(attach))
app.command()(configured(logs, jobs=False))
app.command()(configured(upload))
app.command()(configured(captured, jobs=False))
app.add_typer(registry, name="registry")
app.command()(configured(status))
app.command()(configured(delete))
app.command()(init)
app.command()(configured(doctor))


if __name__ == "__main__":
    app()
