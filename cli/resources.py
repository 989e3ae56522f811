"""What is in the account, shown and removed: status and delete on sagemaker."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.context import Context

if TYPE_CHECKING:
    from backends.runs import Run
    from backends.sagemaker.account import Account
    from backends.sagemaker.resources.resource import Resource


def show_account(account: "Account") -> None:
    """What Kennel has in the account, and what it costs a day."""
    from backends.console import print_table, say
    from backends.sagemaker.resources.inventory import Inventory

    found = Inventory(account)
    place = f"account {account.identity['Account']}, {account.region}"
    if found.resources:
        print_table(("what", "name", "of", "state", "since", "", "$ a day"), [_row(each) for each in found.resources])
        say(f"{place}: {_cost(found.resources)}")
        say("a run's things go with: python deploy.py delete NAME --on sagemaker (--with-data: what is in S3, too)")
        say(found.price_note)
    else:
        say(f"{place}: Kennel has nothing there")
    for note in found.notes:
        say(note)


def delete_named(context: Context, name: str, run: "Run | None", with_data: bool) -> None:
    """End and remove what a run has in the account, or what has this name there; the run's record says so then."""
    from backends.console import say
    from backends.sagemaker.resources.delete import resources_of_run
    from backends.sagemaker.resources.inventory import Inventory

    account = context.account if run is None else context.account_of(run)
    found = Inventory(account)
    resources = resources_of_run(found.resources, run or name)
    for note in found.notes:
        say(note)
    if not resources:
        say(f"there is nothing of {name} in account {account.identity['Account']}, {account.region}")
    _remove(account, resources, with_data, with_data and not context.yes)
    if run is None:
        return
    run.reload()
    if run.status == "running":
        run.finish("stopped")
    say(f"{name} ended; its folder {run.path} is kept")


def delete_all(context: Context, with_data: bool) -> None:
    """End and remove all that Kennel has in the account, whoever began it; of the runs in the folder, note it."""
    from backends.console import say
    from backends.runs import all_runs
    from backends.sagemaker.resources.inventory import Inventory

    account = context.account
    found = Inventory(account)
    for note in found.notes:
        say(note)
    if not found.resources:
        say(f"Kennel has nothing in account {account.identity['Account']}, {account.region}")
    _remove(account, found.resources, with_data, not context.yes)
    for run in all_runs(context.runs):
        noted = run.record.get("sagemaker") or {}
        here = (noted.get("account"), noted.get("region")) == (account.identity["Account"], account.region)
        if run.status == "running" and here:
            run.finish("stopped")


def _remove(account: "Account", resources: Sequence["Resource"], with_data: bool, ask_first: bool) -> None:
    """Say what goes, remove it, and say what stays. Raises BackendError; Stopped when the person says no."""
    from backends import console
    from backends.errors import BackendError, Stopped
    from backends.sagemaker.resources.delete import delete_resources, left_behind

    going = [each for each in resources if with_data or not each.is_data]
    if going:
        console.say("to be removed:")
        console.print_table(("what", "name", "state", "", "$ a day"), [_short(each) for each in going])
    if going and ask_first:
        if not sys.stdin.isatty():
            raise BackendError("there is no terminal to ask at whether these may be removed; give --yes")
        if not console.ask("Remove them, for good?"):
            raise Stopped("not agreed to; nothing was removed")
    delete_resources(account, going, console.say)
    if with_data:
        delete_resources(account, left_behind(account, going), console.say)
    kept = [each for each in resources if each.is_data and not with_data]
    if kept:
        console.say(f"kept, at {_cost(kept)}; --with-data removes these, too:")
        console.print_table(("what", "name", "state", "", "$ a day"), [_short(each) for each in kept])


def _row(resource: "Resource") -> tuple[str, ...]:
    since = resource.since[:16].replace("T", " ")
    return (
        resource.kind,
        resource.name,
        resource.run,
        resource.state,
        since,
        resource.detail,
        _money(resource.usd_per_day),
    )


def _short(resource: "Resource") -> tuple[str, ...]:
    return resource.kind, resource.name, resource.state, resource.detail, _money(resource.usd_per_day)


def _money(usd: float | None) -> str:
    from backends.sagemaker.billing.estimate import money

    return "unknown" if usd is None else money(usd) if usd else ""


def _cost(resources: Sequence["Resource"]) -> str:
    """As in "$6.35 a day"; what has no known price is named."""
    from backends.sagemaker.billing.estimate import money

    cost = f"{money(sum(each.usd_per_day or 0.0 for each in resources))} a day"
    unknown = sorted({each.detail or each.kind for each in resources if each.usd_per_day is None})
    return f"{cost}, and an unknown price for {', '.join(unknown)}" if unknown else cost
