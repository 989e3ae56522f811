#!/usr/bin/env python3
"""Kennel's one command: data, train, evaluate, debug, report, deploy, predict, status, delete, and `run` for all.

python deploy.py run                       # sample data, this machine, no Docker, no account
python deploy.py run --data DIR            # your photos: DIR/train/CLASS/photo.jpg ...
python deploy.py train --data DIR --on docker
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

try:
    import typer
except ModuleNotFoundError:
    # Started with the system's Python: go on with the environment that `make setup` made, if it is there.
    own = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
    if own.is_file() and Path(sys.prefix) != own.parents[1]:
        os.execv(own, [str(own), *sys.argv])
    sys.exit("error: Kennel's environment isn't there yet; run `make setup` first")

if TYPE_CHECKING:
    from backends.base import Backend
    from backends.runs import Run

# The imports of each command are in it: `--help` must answer at once.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Train, evaluate and serve an image classifier: here, in Docker or on SageMaker.")  # fmt: skip

On = Annotated[str, typer.Option("--on", help="where it runs: local or docker (sagemaker isn't there yet)")]
Image = Annotated[str, typer.Option("--image", help="container image, for --on docker")]
Runs = Annotated[Path, typer.Option("--runs", help="folder of the run folders")]
Name = Annotated[str | None, typer.Option("--name", help="name of the run; else its kind and the time")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="a hyperparameter, repeatable; the table is in docs/training.md"),
]
ArtifactOption = Annotated[
    str | None, typer.Option("--artifact", help="artifact's folder, or a run's name; else the newest completed run's")
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one")]
Data = Annotated[Path, typer.Option("--data", help="folder with train/, valid/, test/ or class folders; or archives")]
DataOrSample = Annotated[
    Path | None, typer.Option("--data", help="your photos, as for train; else the sample data is drawn")
]

RUNS = Path("runs")
IMAGE = "kennel:latest"


@app.command()
def run(
    data: DataOrSample = None, on: On = "local", settings: Settings = None, runs: Runs = RUNS, image: Image = IMAGE,
    port: Port = 8080, keep: Annotated[bool, typer.Option("--keep", help="leave the endpoint up")] = False,
) -> None:  # fmt: skip
    """Everything: check the data, train two trials, serve the better one, ask it, sum up."""
    with _sentences():
        from backends.inputs import parse_settings
        from backends.pipeline import run_all

        run_all(_backend(on, image), runs.resolve(), data, parse_settings(settings or []), port, keep)


@app.command("data")
def check_data(data: DataOrSample = None, on: On = "local", runs: Runs = RUNS, image: Image = IMAGE) -> None:
    """Check a data set as training would: classes, counts, files that can't be read."""
    with _sentences():
        import json

        from backends.console import print_data, watching
        from backends.pipeline import SAMPLE, make_sample_data

        backend = _backend(on, image)
        if data is None:
            make_sample_data(SAMPLE)
        folder, report = data or SAMPLE, runs.resolve() / "data.json"
        with watching("checking data") as watch:
            backend.check_data(folder, report, watch)
        print_data(str(folder), json.loads(report.read_text()), str(report))


@app.command()
def train(
    data: Data, on: On = "local", settings: Settings = None, runs: Runs = RUNS, name: Name = None, image: Image = IMAGE
) -> None:
    """Train in a new run folder: RUNS/NAME/ with ml/model (the artifact), log.txt and run.json."""
    with _sentences():
        from backends.console import say
        from backends.inputs import parse_hyperparameters, parse_settings
        from backends.jobs import describe, train_run
        from backends.reports import pages, print_rules, run_documents

        chosen = parse_hyperparameters(parse_settings(settings or []))
        result = train_run(_backend(on, image), runs.resolve(), data, chosen, name)
        print_rules(run_documents(result))
        for what, page in pages(result.ml):
            say(f"{what:<10}  {page}")
        say(f"{result.name}: {describe(result)}")
        say(str(result.artifact))


@app.command()
def evaluate(
    data: Data, artifact: ArtifactOption = None, on: On = "local", runs: Runs = RUNS, image: Image = IMAGE,
    compare: Annotated[str | None, typer.Option("--compare", help="artifact's folder or run to compare with")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="report; else evaluation.json in RUNS")] = None,
) -> None:  # fmt: skip
    """How good an artifact is on labelled images, or whether it is better than another: as JSON and as a page."""
    with _sentences():
        from backends.reports import evaluate_artifact

        evaluate_artifact(_backend(on, image), runs, artifact, data, compare, report)


@app.command()
def debug(
    tensors: Annotated[str, typer.Argument(help="smdebug's tensors (folder or s3:// URL), or a profiler's files")],
    rules: Annotated[str, typer.Option("--rules", help="as the hyperparameter rules, in docs/debugger.md")] = "default",
    on: On = "local", runs: Runs = RUNS, image: Image = IMAGE,
    report: Annotated[Path | None, typer.Option("--json", help="report; else in RUNS")] = None,
) -> None:  # fmt: skip
    """Judge any training's saved tensors, or profiler files, by rules: a table, a report as JSON and a page."""
    with _sentences():
        from backends.reports import debug_tensors

        debug_tensors(_backend(on, image), runs, tensors, rules, report)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="a run's name or folder")], runs: Runs = RUNS,
    browse: Annotated[bool, typer.Option("--open", help="open them in the browser")] = False,
) -> None:  # fmt: skip
    """What the rules found in a run, and where its pages are."""
    with _sentences():
        from backends.reports import show_reports

        show_reports(runs, run, browse)


@app.command()
def deploy(
    artifact: ArtifactOption = None, port: Port = 8080, on: On = "local", runs: Runs = RUNS, name: Name = None,
    image: Image = IMAGE,
    foreground: Annotated[bool, typer.Option("--foreground", help="serve in this terminal until Ctrl-C")] = False,
) -> None:  # fmt: skip
    """Serve an artifact over HTTP, in the background until `delete`."""
    with _sentences():
        from backends.client import choose_port
        from backends.console import say
        from backends.jobs import deploy_artifact
        from backends.runs import find_artifact

        backend, folder, free = _backend(on, image), find_artifact(runs, artifact), choose_port(port)
        if foreground:
            raise typer.Exit(backend.serve(folder, free))
        endpoint = deploy_artifact(backend, runs.resolve(), folder, free, name)
        say(f"{endpoint.name} serves {folder}; end it with: python deploy.py delete {endpoint.name}")
        say(endpoint.record["url"])


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="image files")],
    url: Annotated[str | None, typer.Option("--url", help="of a server, like http://localhost:8080")] = None,
    artifact: ArtifactOption = None, on: On = "local", runs: Runs = RUNS, image: Image = IMAGE,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:  # fmt: skip
    """Classify images: by a server (--url) or without one (--artifact)."""
    with _sentences():
        import json

        from backends import client
        from backends.console import print_predictions
        from backends.errors import BackendError
        from backends.runs import find_artifact

        if url is not None and artifact is not None:
            raise BackendError("--url and --artifact can't both answer; give one of them")
        if url is not None:
            answers = [client.ask(url, each) for each in images]
        else:
            answers = _backend(on, image).predict(find_artifact(runs, artifact), images)
        if as_json:
            print("\n".join(json.dumps(answer) for answer in answers))
        else:
            print_predictions(answers)
        if any("error" in answer for answer in answers):
            raise typer.Exit(1)


@app.command()
def status(
    runs: Runs = RUNS, everything: Annotated[bool, typer.Option("--all", help="ended deployments too")] = False
) -> None:
    """The runs and deployments in the run folder, and which are up."""
    with _sentences():
        from backends.console import print_table, say
        from backends.jobs import describe
        from backends.runs import all_runs, short_time

        found = [_refreshed(each) for each in all_runs(runs)]
        shown = [each for each in found if everything or each.kind == "training" or each.status == "running"]
        if not shown:
            say(f"no runs in {runs}" if not found else f"no deployment is up; {len(found)} ended (--all lists them)")
            return
        columns = ("name", "kind", "on", "status", "since", "")
        print_table(columns, [
            (each.name, each.kind, each.record["backend"], each.status, short_time(each), describe(each))
            for each in shown
        ])  # fmt: skip


@app.command()
def delete(
    names: Annotated[list[str] | None, typer.Argument(help="deployments (or running trainings) to end")] = None,
    runs: Runs = RUNS, everything: Annotated[bool, typer.Option("--all", help="every deployment that is up")] = False,
) -> None:  # fmt: skip
    """End deployments, or trainings that run. Run folders and artifacts are kept."""
    with _sentences():
        from backends.console import say
        from backends.errors import BackendError
        from backends.jobs import stop_run
        from backends.runs import all_runs, load_run

        if everything:
            chosen = [each for each in all_runs(runs) if each.kind == "deployment" and each.status == "running"]
        elif names:
            chosen = [load_run(runs / each) for each in names]
        else:
            raise BackendError("name what to delete, or give --all for every deployment; deploy.py status lists them")
        for each in chosen:
            if _refreshed(each).status != "running":
                say(f"{each.name} isn't running (it is {each.status}); its folder {each.path} is kept")
                continue
            stop_run(_backend_of(each), each)
            say(f"{each.name} ended; its log is {each.log}")
        if not chosen:
            say("no deployment is up")


def _backend(on: str, image: str) -> "Backend":
    from backends.base import create

    return create(on, image)


def _backend_of(run: "Run") -> "Backend":
    return _backend(run.record["backend"], run.record.get("image", IMAGE))


def _refreshed(run: "Run") -> "Run":
    """The run with its record made true; left alone where its backend can't be asked now (Docker is off, say)."""
    from backends.errors import BackendError
    from backends.jobs import refresh

    if run.status == "running":
        try:
            refresh(_backend_of(run), run)
        except BackendError as error:
            typer.echo(f"{run.name}: {error}", err=True)
    return run


@contextmanager
def _sentences() -> Iterator[None]:
    """Faults the person can mend end in one sentence on stderr: exit code 2, or 130 after Ctrl-C."""
    from backends.console import complain
    from backends.errors import BackendError, Stopped

    try:
        yield
    except Stopped as error:
        complain(str(error))
        raise typer.Exit(130) from None
    except BackendError as error:
        complain(str(error))
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


if __name__ == "__main__":
    app()
