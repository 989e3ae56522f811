"""What is in the account, shown and removed: status and delete on sagemaker."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.cloud.account import Account
    from backends.cloud.holdings.things import Thing


def show_account(account: "Account") -> None:
    """What Kennel has in the account, and what it costs a day."""
    from backends.cloud.inventory import Inventory
    from backends.console import print_table, say

    found = Inventory(account)
    where = f"account {account.identity['Account']}, {account.region}"
    if not found.things:
        say(f"Kennel has nothing in {where}")
        for note in found.notes[:-1]:
            say(note)
        return
    print_table(("what", "name", "of", "state", "since", "", "$ a day"), [_row(each) for each in found.things])
    say(f"{where}: {_cost(found.things)}")
    say("what is of one run ends with: python deploy.py delete NAME --on sagemaker (--with-data: what lies in S3, too)")
    for note in found.notes:
        say(note)


def remove_from_account(
    account: "Account", things: Sequence["Thing"], kept: Sequence["Thing"], ask_first: bool
) -> None:
    """Say what goes, remove it, and say what stays. Raises BackendError; Stopped when the person says no."""
    from backends import console
    from backends.cloud.delete import delete
    from backends.errors import BackendError, Stopped

    if things:
        console.say("to be removed:")
        console.print_table(("what", "name", "state", "", "$ a day"), [_short(each) for each in things])
    if things and ask_first:
        if not sys.stdin.isatty():
            raise BackendError("there is no terminal to ask at whether these may be removed; give --yes")
        if not console.ask("Remove them, for good?"):
            raise Stopped("not agreed to; nothing was removed")
    delete(account, things, console.say)
    if kept:
        console.say(f"kept, at {_cost(kept)}; --with-data removes these, too:")
        console.print_table(("what", "name", "state", "", "$ a day"), [_short(each) for each in kept])


def _row(thing: "Thing") -> tuple[str, ...]:
    since = thing.since[:16].replace("T", " ")
    return thing.kind, thing.name, thing.run, thing.state, since, thing.detail, _money(thing.usd_per_day)


def _short(thing: "Thing") -> tuple[str, ...]:
    return thing.kind, thing.name, thing.state, thing.detail, _money(thing.usd_per_day)


def _money(usd: float | None) -> str:
    from backends.cloud.money.estimate import money

    return "unknown" if usd is None else money(usd) if usd else ""


def _cost(things: Sequence["Thing"]) -> str:
    """As in "$6.35 a day"; what has no known price is named."""
    from backends.cloud.money.estimate import money

    said = f"{money(sum(each.usd_per_day or 0.0 for each in things))} a day"
    unknown = sorted({each.detail for each in things if each.usd_per_day is None})
    return f"{said}, and an unknown price for {', '.join(unknown)}" if unknown else said
