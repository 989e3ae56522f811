"""Endpoints in the account: predictions by name, updates, and captured requests."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.context import Context

if TYPE_CHECKING:
    from backends.runs import Run


def update(context: Context, name: str, source: Path | str) -> None:
    """Update a deployment on SageMaker to an artifact's folder, or a model package by its ARN, with these settings."""
    from backends.console import say
    from backends.sagemaker.endpoints.rollout import update as roll_out

    run = _deployment(context, name)
    if roll_out(context.account_of(run), run, source):
        run.update(artifact=str(source))
        say(f"{run.name} serves {source} now")
    else:
        say(f"{run.name} serves {source} with these settings already")


def captured(
    context: Context, name: Annotated[str, typer.Argument(help="a deployment on SageMaker")],
    out: Annotated[Path, typer.Option("--out", help="folder for the images and predictions.jsonl")],
) -> None:  # fmt: skip
    """Fetch the requests and answers that an endpoint has captured (deploy.capture_percent)."""
    from backends.console import say
    from backends.sagemaker.endpoints.capture import ROWS, fetch_captured

    run = _deployment(context, name)
    count = fetch_captured(context.account_of(run), run, out)
    if not count:
        say(f"nothing is captured of {run.name}; deploy.capture_percent says how much of it is to be")
        return
    say(f"{count} requests and answers")
    say(str(out / ROWS))


def ask(context: Context, name: str, images: list[Path]) -> list[dict[str, Any]]:
    """For each image {"file", "predictions"} or {"file", "error"}. name: of a deployment, or of an endpoint in the
    account. Raises BackendError when there is neither.
    """
    from backends.sagemaker.endpoints.endpoints import endpoint_of
    from backends.sagemaker.endpoints.invoke import ask_endpoint, kind_of
    from backends.sagemaker.jobs.attach import find_known_run

    run = find_known_run(context.runs.resolve(), name)
    if run is not None and run.record["backend"] != "sagemaker":
        backend = context.backend_of(run)
        return [_answer(image, lambda image: backend.ask(run, image)) for image in images]
    account = context.account if run is None else context.account_of(run)
    endpoint = name if run is None else endpoint_of(run)
    kind = kind_of(account, endpoint)
    return [_answer(image, lambda image: ask_endpoint(account, endpoint, image, kind)) for image in images]


def _answer(image: Path, ask: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    from backends.errors import BackendError

    try:
        return {"file": str(image), **ask(image)}
    except BackendError as error:
        return {"file": str(image), "error": str(error)}


def _deployment(context: Context, name: str) -> "Run":
    from backends.errors import BackendError
    from backends.sagemaker.jobs.attach import find_known_run

    run = find_known_run(context.runs.resolve(), name)
    if run is None:
        raise BackendError(
            f"there is no deployment {name} in {context.runs}; python deploy.py attach {name} makes a run "
            "folder for an endpoint that is in the account"
        )
    if run.kind != "deployment" or run.record["backend"] != "sagemaker":
        raise BackendError(f"{run.name} is no deployment on SageMaker; python deploy.py status lists what is")
    return run
