"""report, status, delete: what there is in the run folders."""

from typing import TYPE_CHECKING, Annotated

import typer

from backends.commands.options import sentences
from backends.commands.where import Where

if TYPE_CHECKING:
    from backends.runs import Run


def report(
    where: Where, run: Annotated[str, typer.Argument(help="a run's name or folder")],
    browse: Annotated[bool, typer.Option("--open", help="open them in the browser")] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="first bring a SageMaker job's tensors, profiler files and artifact")
    ] = False,
) -> None:  # fmt: skip
    """What the rules found in a run, or what a search found, and where its pages are."""
    with sentences():
        from backends.reports import show_reports

        if fetch:
            from backends.cloud.report import fetch_report
            from backends.console import watching
            from backends.stop import StopSignals

            with StopSignals() as stop, watching("fetching") as watch:
                run = fetch_report(where.account, run, where.runs.resolve(), watch, stop).name
        show_reports(where.runs, run, browse)


def status(
    where: Where, everything: Annotated[bool, typer.Option("--all", help="ended deployments too")] = False
) -> None:
    """The runs and deployments in the run folder, and which are up."""
    with sentences():
        from backends.console import print_table, say
        from backends.jobs import describe
        from backends.runs import all_runs, short_time

        found = [_refreshed(where, each) for each in all_runs(where.runs)]
        shown = [each for each in found if everything or each.kind != "deployment" or each.status == "running"]
        if not shown:
            say(
                f"no runs in {where.runs}"
                if not found
                else f"no deployment is up; {len(found)} ended (--all lists them)"
            )
            return
        columns = ("name", "kind", "on", "status", "since", "")
        print_table(columns, [
            (each.name, each.kind, each.record["backend"], each.status, short_time(each), describe(each))
            for each in shown
        ])  # fmt: skip


def delete(
    where: Where,
    names: Annotated[
        list[str] | None, typer.Argument(help="deployments (or running trainings and tunings) to end")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="every deployment that is up")] = False,
) -> None:  # fmt: skip
    """End deployments, or trainings and tunings that run. Run folders and artifacts are kept."""
    with sentences():
        from backends.console import say
        from backends.errors import BackendError
        from backends.jobs import stop_run
        from backends.runs import all_runs, load_run

        if everything:
            chosen = [each for each in all_runs(where.runs) if each.kind == "deployment" and each.status == "running"]
        elif names:
            chosen = [load_run(where.runs / each) for each in names]
        else:
            raise BackendError("name what to delete, or give --all for every deployment; deploy.py status lists them")
        for each in chosen:
            if _refreshed(where, each).status != "running":
                say(f"{each.name} isn't running (it is {each.status}); its folder {each.path} is kept")
                continue
            stop_run(where.backend_of(each), each)
            say(f"{each.name} ended; its log is {each.log}")
        if not chosen:
            say("no deployment is up")


def _refreshed(where: Where, run: "Run") -> "Run":
    """The run with its record made true; left alone where its backend can't be asked now (Docker is off, say)."""
    from backends.errors import BackendError
    from backends.jobs import refresh

    if run.status == "running":
        try:
            refresh(where.backend_of(run), run)
        except BackendError as error:
            typer.echo(f"{run.name}: {error}", err=True)
    return run
