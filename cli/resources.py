"""Kennel's resources in the account, listed and removed: status and delete on sagemaker."""

import sys
from collections.abc import Sequence

from backends import console
from backends.console import say
from backends.errors import BackendError, Stopped
from backends.runs import Run, all_runs
from backends.sagemaker.account import Account
from backends.sagemaker.billing.estimate import money
from backends.sagemaker.resources.delete import delete_resources, left_behind, resources_of_run
from backends.sagemaker.resources.inventory import Inventory
from backends.sagemaker.resources.resource import Resource
from cli.context import Context


def show_account(account: Account) -> None:
    """Print what Kennel has in the account, and what it costs a day."""
    inventory = Inventory(account)
    place = f"account {account.identity['Account']}, {account.region}"
    if inventory.resources:
        rows = [_row(resource) for resource in inventory.resources]
        console.print_table(("what", "name", "of", "state", "since", "", "$ a day"), rows)
        say(f"{place}: {_cost(inventory.resources)}")
        say("a run's things go with: python deploy.py delete NAME --on sagemaker (--with-data: what is in S3, too)")
        say(inventory.price_note)
    else:
        say(f"{place}: Kennel has nothing there")
    for note in inventory.notes:
        say(note)


def delete_named(context: Context, name: str, run: Run | None, with_data: bool) -> None:
    """Remove the resources of a run, or those of this name, from the account; a run is then recorded as stopped."""
    account = context.account if run is None else context.account_of(run)
    resources = resources_of_run(_inventory(account), run or name)
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
    """Remove all of Kennel's resources from the account, and record the runs of this folder there as stopped."""
    account = context.account
    resources = _inventory(account)
    if not resources:
        say(f"Kennel has nothing in account {account.identity['Account']}, {account.region}")
    _remove(account, resources, with_data, not context.yes)
    for run in all_runs(context.runs):
        recorded = run.record.get("sagemaker") or {}
        here = (recorded.get("account"), recorded.get("region")) == (account.identity["Account"], account.region)
        if run.status == "running" and here:
            run.finish("stopped")


def _inventory(account: Account) -> Sequence[Resource]:
    """All resources; notes about them are printed."""
    inventory = Inventory(account)
    for note in inventory.notes:
        say(note)
    return inventory.resources


def _remove(account: Account, resources: Sequence[Resource], with_data: bool, ask_first: bool) -> None:
    """Remove resources, and list before what goes and after it what stays.

    Raises BackendError; Stopped when the person doesn't agree.
    """
    going = [resource for resource in resources if with_data or not resource.is_data]
    if going:
        say("to be removed:")
        _print(going)
    if going and ask_first:
        if not sys.stdin.isatty():
            raise BackendError("there is no terminal to ask at whether these may be removed; give --yes")
        if not console.ask("Remove them, for good?"):
            raise Stopped("not agreed to; nothing was removed")
    delete_resources(account, going, say)
    if with_data:
        delete_resources(account, left_behind(account, going), say)
    elif kept := [resource for resource in resources if resource.is_data]:
        say(f"kept, at {_cost(kept)}; --with-data removes these, too:")
        _print(kept)


def _row(resource: Resource) -> tuple[str, ...]:
    since, usd = resource.since[:16].replace("T", " "), _money(resource.usd_per_day)
    return resource.kind, resource.name, resource.run, resource.state, since, resource.detail, usd


def _print(resources: Sequence[Resource]) -> None:
    console.print_table(("what", "name", "state", "", "$ a day"), [
        (resource.kind, resource.name, resource.state, resource.detail, _money(resource.usd_per_day))
        for resource in resources
    ])  # fmt: skip


def _money(usd: float | None) -> str:
    return "unknown" if usd is None else money(usd) if usd else ""


def _cost(resources: Sequence[Resource]) -> str:
    """As in "$6.35 a day"; what has no known price is named."""
    cost = f"{money(sum(resource.usd_per_day or 0.0 for resource in resources))} a day"
    unknown = sorted({resource.detail or resource.kind for resource in resources if resource.usd_per_day is None})
    return f"{cost}, and an unknown price for {', '.join(unknown)}" if unknown else cost
