"""report, status, delete: the runs in the run folders."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.context import Context

if TYPE_CHECKING:
    from backends.runs import Run


def report(
    context: Context, run: Annotated[str, typer.Argument(help="a run's name or folder")],
    browse: Annotated[bool, typer.Option("--open", help="open them in the browser")] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="first bring a SageMaker job's tensors, profiler files and artifact")
    ] = False,
) -> None:  # fmt: skip
    """What the rules found in a run, or what a search found, and where its pages are."""
    from cli.reports import show_reports

    if fetch:
        from backends.cancel import CancelOnSignals
        from backends.console import show_progress
        from backends.sagemaker.jobs.report import fetch_report

        with CancelOnSignals() as cancel, show_progress("fetching") as watch:
            run = fetch_report(context.account, run, context.runs.resolve(), watch, cancel).name
    show_reports(context.runs, run, browse)


def status(
    context: Context, everything: Annotated[bool, typer.Option("--all", help="ended deployments too")] = False
) -> None:
    """The runs and deployments in the run folder, and which are up; on sagemaker also all that is in the account."""
    _show_runs(context, everything)
    if context.on == "sagemaker":
        from cli.resources import show_account

        show_account(context.account)


def _show_runs(context: Context, everything: bool) -> None:
    from backends.console import print_table, say
    from backends.jobs import describe
    from backends.runs import all_runs, short_time

    runs = [_refreshed(context, run) for run in all_runs(context.runs)]
    shown = [run for run in runs if everything or run.kind != "deployment" or run.status == "running"]
    if not shown:
        say(f"no deployment is up; {len(runs)} ended (--all lists them)" if runs else f"no runs in {context.runs}")
        return
    columns = ("name", "kind", "on", "status", "since", "")
    print_table(columns, [
        (run.name, run.kind, run.record["backend"], run.status, short_time(run), describe(run)) for run in shown
    ])  # fmt: skip


def delete(
    context: Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="deployments (or running trainings and tunings) to end")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="every deployment that is up; on sagemaker: all of Kennel's in the account")
    ] = False,
    with_data: Annotated[
        bool, typer.Option("--with-data", help="on sagemaker: what they have left in S3 and in logs, too, for good")
    ] = False,
) -> None:  # fmt: skip
    """End deployments, or trainings and tunings that run. Run folders and artifacts are kept."""
    from backends.console import say
    from backends.errors import BackendError
    from backends.runs import all_runs

    if everything and context.on == "sagemaker":
        from cli.resources import delete_all

        delete_all(context, with_data)
    elif everything:
        up = [run for run in all_runs(context.runs) if run.kind == "deployment" and run.status == "running"]
        for run in up:
            _end(context, run.name, with_data)
        if not up:
            say("no deployment is up")
    elif names:
        for name in names:
            _end(context, name, with_data)
    else:
        raise BackendError("name what to delete, or give --all for every deployment; deploy.py status lists them")


def _end(context: Context, name: str, with_data: bool) -> None:
    """End one by name: a run of the folder; on sagemaker, also what has lost its run folder."""
    from backends.console import say
    from backends.errors import BackendError
    from backends.jobs import stop_run
    from backends.runs import load_run

    folder = context.runs / name
    lost = context.on == "sagemaker" and not (folder / "run.json").is_file()
    run = None if lost else load_run(folder)
    if run is None or run.record["backend"] == "sagemaker":
        from cli.resources import delete_named

        delete_named(context, name, run, with_data)
        return
    if with_data:
        raise BackendError(f"{name} has nothing in S3: it is on {run.record['backend']}; leave --with-data out")
    if _refreshed(context, run).status != "running":
        say(f"{name} isn't running (it is {run.status}); its folder {run.path} is kept")
        return
    stop_run(context.backend_of(run), run)
    say(f"{name} ended; its log is {run.log}")


def _refreshed(context: Context, run: "Run") -> "Run":
    """The run with its record refreshed; unchanged where its backend can't be reached now (Docker is off, say)."""
    from backends.errors import BackendError
    from backends.jobs import refresh

    if run.status == "running":
        try:
            refresh(context.backend_of(run), run)
        except BackendError as error:
            typer.echo(f"{run.name}: {error}", err=True)
    return run
