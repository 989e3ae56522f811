"""report, status, delete: what there is in the run folders; what commands say at their end."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.context import Where
from cli.options import sentences

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
        from cli.reports import show_reports

        if fetch:
            from backends.cancel import CancelOnSignals
            from backends.console import watching
            from backends.sagemaker.jobs.report import fetch_report

            with CancelOnSignals() as cancel, watching("fetching") as watch:
                run = fetch_report(where.account, run, where.runs.resolve(), watch, cancel).name
        show_reports(where.runs, run, browse)


def status(
    where: Where, everything: Annotated[bool, typer.Option("--all", help="ended deployments too")] = False
) -> None:
    """The runs and deployments in the run folder, and which are up; on sagemaker also all that is in the account."""
    with sentences():
        from cli.resources import show_account

        _show_runs(where, everything)
        if where.on == "sagemaker":
            show_account(where.account)


def _show_runs(where: Where, everything: bool) -> None:
    from backends.console import print_table, say
    from backends.jobs import describe
    from backends.runs import all_runs, short_time

    found = [_refreshed(where, each) for each in all_runs(where.runs)]
    shown = [each for each in found if everything or each.kind != "deployment" or each.status == "running"]
    if not shown:
        say(f"no deployment is up; {len(found)} ended (--all lists them)" if found else f"no runs in {where.runs}")
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
    everything: Annotated[
        bool, typer.Option("--all", help="every deployment that is up; on sagemaker: all of Kennel's in the account")
    ] = False,
    with_data: Annotated[
        bool, typer.Option("--with-data", help="on sagemaker: what they have left in S3 and in logs, too, for good")
    ] = False,
) -> None:  # fmt: skip
    """End deployments, or trainings and tunings that run. Run folders and artifacts are kept."""
    with sentences():
        from backends.console import say
        from backends.errors import BackendError
        from backends.runs import all_runs
        from cli.resources import delete_all

        if everything and where.on == "sagemaker":
            delete_all(where, with_data)
        elif everything:
            up = [each for each in all_runs(where.runs) if each.kind == "deployment" and each.status == "running"]
            for each in up:
                _end(where, each.name, with_data)
            if not up:
                say("no deployment is up")
        elif names:
            for name in names:
                _end(where, name, with_data)
        else:
            raise BackendError("name what to delete, or give --all for every deployment; deploy.py status lists them")


def _end(where: Where, name: str, with_data: bool) -> None:
    """End one by name: a run of the folder; on sagemaker, also what has lost its run folder."""
    from backends.console import say
    from backends.errors import BackendError
    from backends.jobs import stop_run
    from backends.runs import load_run
    from cli.resources import delete_named

    folder = where.runs / name
    there = (folder / "run.json").is_file()
    if not there and where.on == "sagemaker":
        delete_named(where, name, None, with_data)
        return
    run = load_run(folder)
    if run.record["backend"] == "sagemaker":
        delete_named(where, name, run, with_data)
        return
    if with_data:
        raise BackendError(f"{name} has nothing in S3: it is on {run.record['backend']}; leave --with-data out")
    if _refreshed(where, run).status != "running":
        say(f"{name} isn't running (it is {run.status}); its folder {run.path} is kept")
        return
    stop_run(where.backend_of(run), run)
    say(f"{name} ended; its log is {run.log}")


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


if TYPE_CHECKING:
    from backends.runs import Run


def tell_training(run: "Run") -> None:
    """What a training found, its rules' table, where its pages and its artifact are."""
    from backends.console import say
    from backends.jobs import describe
    from backends.search.results import print_found
    from cli.reports import pages, print_rules, run_documents

    print_found(run)
    print_rules(run_documents(run))
    for what, page in pages(run.ml):
        say(f"{what:<10}  {page}")
    say(f"{run.name}: {describe(run)}")
    say(str(run.artifact))
