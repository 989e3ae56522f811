"""tune: a search for the best hyperparameters, as trials in run folders or as one job."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.context import Context
from cli.options import Name, Set

if TYPE_CHECKING:
    from backends.runs import Run
    from backends.search.request import SearchOptions

_TRIALS = 20


def tune(  # noqa: PLR0913, PLR0917 - each is an option
    context: Context,
    data: Annotated[Path | None, typer.Option("--data", help="the photos, as for train")] = None,
    trials: Annotated[int | None, typer.Option("--trials", help=f"trainings to try [default: {_TRIALS}]")] = None,
    space: Annotated[
        str | None, typer.Option("--space", metavar="FILE|default|wide", help="what is searched: a TOML file or preset")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=RANGE", help="as in lr=0.001:0.1:log or batch_size=16,32; repeatable"),
    ] = None,
    objective: Annotated[
        str | None, typer.Option("--objective", help="metrics to improve [default: validation_accuracy]")
    ] = None,
    sampler: Annotated[str | None, typer.Option("--sampler", help="tpe or random [default: tpe]")] = None,
    pruner: Annotated[
        str | None, typer.Option("--pruner", help="ends poor trials early: median, hyperband or none [default: median]")
    ] = None,
    parallel: Annotated[
        int | None, typer.Option("--parallel", help="trials at a time; 0: one a GPU, else one for every 4 cores")
    ] = None,
    minutes: Annotated[int | None, typer.Option("--minutes", help="after which no trial is begun; 0: no limit")] = None,
    name: Name = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="go on with a search")] = None,
    one_job: Annotated[bool, typer.Option("--one-job", help="the whole search in one training job")] = False,
    settings: Set = None,
) -> None:  # fmt: skip
    """Search for the best hyperparameters: RUNS/NAME/ with the search, RUNS/NAME-trial-001/ ... with its trials."""
    from backends.errors import BackendError
    from backends.search.request import SearchOptions

    changes = {
        f"tune_{key}": value
        for key, value in (("trials", trials), ("parallel", parallel), ("minutes", minutes))
        if value is not None
    }
    others = {"--data": data, "--space": space, "--param": param, "--objective": objective, "--sampler": sampler,
              "--pruner": pruner, "--name": name, "--one-job": one_job or None, "--set": settings}  # fmt: skip
    if resume is not None:
        if refused := [option for option, value in others.items() if value is not None and value != []]:
            raise BackendError(
                f"--resume goes on with what the search was begun with, so {', '.join(refused)} can't be given; "
                "--trials, --minutes and --parallel can"
            )
        go_on(context, resume, changes)
        return
    if data is None:
        raise BackendError("--data is missing: give it the photos' folder, or --resume a search")
    search = {"trials": _TRIALS if trials is None else trials, "objective": objective or "validation_accuracy",
              "sampler": sampler or "tpe", "pruner": pruner or "median", "parallel": parallel or 0,
              "minutes": minutes or 0}  # fmt: skip
    options = SearchOptions(data, settings or [], param or [], space, search)
    _start(context, options, name, one_job)


def _start(context: Context, options: "SearchOptions", name: str | None, one_job: bool) -> None:
    from backends.console import say
    from backends.search.one_job import create_job, search_in_job
    from backends.search.request import parse_search_options
    from backends.search.tune import create_tuning, search_in

    request, backend, runs = parse_search_options(options), context.backend(), context.runs.resolve()
    if not one_job and (off := request.switched_off()):
        say(f"trials are trained with {', '.join(off)}; train --from-tuning leaves these on")
    run = (create_job if one_job else create_tuning)(backend, runs, request, name)
    with _results_printed(run):
        (search_in_job if one_job else search_in)(backend, run, request)


def go_on(context: Context, name: str, changes: dict[str, int]) -> None:
    """Go on with a search, and print its results at its end. Raises BackendError."""
    from backends.errors import BackendError
    from backends.runs import find_run
    from backends.search.one_job import is_one_job, reopen_job, search_in_job
    from backends.search.tune import reopen_tuning, search_in

    run = find_run(context.runs.resolve(), name)
    if run.kind != "tuning" and not is_one_job(run):
        raise BackendError(f"run {run.name} is no search (it is a {run.kind}), so there is none to go on with")
    backend = context.backend_of(run)
    request = reopen_tuning(run, changes) if run.kind == "tuning" else reopen_job(backend, run, changes)
    with _results_printed(run):
        (search_in if run.kind == "tuning" else search_in_job)(backend, run, request)


@contextmanager
def _results_printed(run: "Run") -> Iterator[None]:
    """Prints the results, however the search ends."""
    from backends.console import say
    from backends.search.results import best_trial, print_search, read_search
    from cli.reports import print_pages

    try:
        yield
    finally:
        if document := read_search(run):
            print_search(run)
            print_pages(run)
            if best_trial(document):
                say(f"train with them: python deploy.py train --from-tuning {run.name}")
