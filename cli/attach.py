"""attach, logs, upload: jobs, endpoints and data sets in the account."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.context import Context

if TYPE_CHECKING:
    from backends.runs import Run
    from backends.sagemaker.account import Account
    from backends.sagemaker.storage.datasets import UploadPlan


def attach(
    context: Context, name: Annotated[str, typer.Argument(help="a run, or a training job or endpoint in the account")]
) -> None:
    """Follow a job that runs in the account and fetch its results; or give an endpoint that is there a run folder."""
    from backends.console import say
    from backends.errors import BackendError
    from backends.sagemaker.jobs.attach import attach as adopt

    run = adopt(context.account, name, context.runs.resolve())
    if run.record["backend"] != "sagemaker":
        raise BackendError(
            f"{run.name} is no run of an account (it is on {run.record['backend']}); python deploy.py logs "
            f"{run.name} --follow shows what it prints"
        )
    if run.kind == "deployment":
        say(f"{run.name} is the endpoint {run.record['sagemaker']['endpoint']}; its run folder is {run.path}")
        say(str(run.record["url"]))
    elif run.kind == "training":
        _follow(context.account_of(run), run)
    elif run.kind == "tuning":
        from cli.tune import go_on

        go_on(context, run.name, {})
    elif run.kind == "evaluation":
        from backends.console import show_progress
        from backends.sagemaker.jobs.evaluation import resume
        from cli.reports import print_report

        with show_progress("evaluating") as watch:
            report = resume(context.account_of(run), run, watch)
        print_report(report)
    else:
        raise BackendError(f"{run.name} is a {run.kind}; the command that began it goes on with it")


def _follow(account: "Account", run: "Run") -> None:
    from backends.console import show_progress
    from backends.runs import recorded
    from backends.sagemaker.jobs.training import finish
    from cli.reports import print_training

    run.reopen()
    with recorded(run), show_progress("training") as watch:
        finish(account, run, watch)
    print_training(run)


def logs(
    context: Context, name: Annotated[str, typer.Argument(help="a run, or a job or endpoint in the account")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="show what comes, until it ends")] = False,
) -> None:  # fmt: skip
    """Print the log of a run: of a job's hosts, an endpoint's server or a process of this machine."""
    from backends.sagemaker.jobs.attach import find_known_run

    run = find_known_run(context.runs.resolve(), name)
    if run is None or run.record["backend"] == "sagemaker":
        _cloud_log(context, name, run, follow)
    else:
        from backends.child import tail
        from backends.jobs import refresh

        def goes_on() -> bool:
            refresh(context.backend_of(run), run)
            return run.status == "running"

        tail(run.log, goes_on if follow else None, _print)


def _cloud_log(context: Context, name: str, run: "Run | None", follow: bool) -> None:
    from backends.child import tail
    from backends.errors import BackendError
    from backends.sagemaker.logs import find_log, log_of
    from backends.sagemaker.logs import follow_log as show

    if run is None:
        account = context.account
        # Until Ctrl-C: what has no run folder here may be of any kind.
        log, goes_on = find_log(account, name), lambda: True
    else:
        account, backend = context.account_of(run), context.backend_of(run)
        log, goes_on = log_of(account, run), lambda: backend.is_alive(run)
    if log is None and run is not None and run.log.is_file():
        tail(run.log, None, _print)
        return
    if log is None:
        raise BackendError(
            f"there is no log of {name} in {account.region} and no run of that name in {context.runs}; a job has none "
            "before its container starts"
        )
    show(log, goes_on, _print, follow)


def upload(
    context: Context, data: Annotated[Path, typer.Option("--data", help="the photos, as for train")],
    dry: Annotated[bool, typer.Option("--dry-run", help="only say what would be sent, and what it costs")] = False,
) -> None:  # fmt: skip
    """Check a data set and send it to S3, as training there does: only what changed."""
    from backends.cancel import CancelOnSignals
    from backends.console import say, show_progress
    from backends.local import LocalBackend
    from backends.sagemaker.storage.datasets import open_dataset

    account = context.account
    with CancelOnSignals() as cancel, show_progress("uploading") as watch:
        LocalBackend().check_data(data, context.runs.resolve() / "data.json", watch)
        with open_dataset(account, data, watch, cancel) as data_set:
            plan = data_set.plan
            say(_describe(account, plan))
            if dry:
                return
            account.consent([plan.item])
            sent = data_set.send(watch, cancel)
    say(f"{sent.files} files in {sent.location.url}")
    for channel, url in sent.channels.items():
        say(f"  channel {channel}: {url}")


def _describe(account: "Account", plan: "UploadPlan") -> str:
    from backends.sagemaker.billing.estimate import estimate, money
    from backends.sagemaker.billing.prices import MONTH_DAYS, prices_of

    day = estimate([plan.item], account.region, prices_of(account)).per_day_usd
    cost = (
        "its price isn't known here" if day is None else f"{money(day * MONTH_DAYS)} a month as long as it lies there"
    )
    return (
        f"{plan.files} files, {plan.bytes / 1e6:.1f} MB for {plan.location.url}: {plan.send} to send "
        f"({plan.send_bytes / 1e6:.1f} MB), {plan.obsolete} to remove; {cost}"
    )


def _print(line: str) -> None:
    print(line, flush=True)
