"""The person's consent to what costs money: shows what is started, for how long and at what price, then asks."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from backends.console import ask, print_table, say
from backends.errors import BackendError, Stopped
from backends.sagemaker.account import Account
from backends.sagemaker.billing.estimate import Estimate, PricedItem, estimate, money, size
from backends.sagemaker.billing.items import Item
from backends.sagemaker.billing.prices import MONTH_DAYS, Prices, prices_of
from backends.settings.sections import Settings

# Storage that costs less a month is shown without a question.
_CENT: Final = 0.01


class ConsentPrompt:
    """Called with items before they are started; raises BackendError or Stopped when they may not be.

    yes: the person has agreed beforehand. In any case, nothing above [sagemaker] max_cost is started.
    """

    def __init__(self, yes: bool, settings: Settings) -> None:
        self._yes = yes
        self._settings = settings
        # What has been agreed to and not been started yet.
        self._confirmed: _ConfirmedCost | None = None

    def __call__(self, items: Sequence[Item]) -> None:
        if not items or (self._confirmed is not None and self._confirmed.use(items)):
            return
        self._ask(items)

    @contextmanager
    def covering(self, items: Sequence[Item]) -> Iterator[None]:
        """Ask once for all that is started within; what goes beyond it is asked for again."""
        self(items)
        outer, self._confirmed = self._confirmed, _ConfirmedCost(items)
        try:
            yield
        finally:
            self._confirmed = outer

    @cached_property
    def prices(self) -> Prices:
        """Of the region in which things are started. Raises BackendError without a region."""
        return prices_of(Account(self._settings, self))

    def _ask(self, items: Sequence[Item]) -> None:
        costs = estimate(items, self.prices.region, self.prices)
        _show_estimate(costs, self.prices.region)
        self._check_limit(costs)
        if self._yes or _is_nothing(costs):
            return
        cost = _cost_text(costs)
        if not sys.stdin.isatty():
            raise BackendError(f"there is no terminal to ask at whether this may be started ({cost}); give --yes")
        if not ask(f"Start it ({cost})?"):
            raise Stopped("not agreed to; nothing was started")

    def _check_limit(self, costs: Estimate) -> None:
        limit = self._settings.sagemaker.max_cost
        if not limit:
            return
        if costs.total_usd is None or costs.per_day_usd is None:
            raise BackendError(
                f"no price is known for {', '.join(costs.unknown)}, so it can't be held to max_cost ({money(limit)}); "
                'set prices = "api" in [sagemaker], choose a type that the table has, or set max_cost to 0'
            )
        cost = costs.total_usd + costs.per_day_usd
        if cost > limit:
            raise BackendError(
                f"it may cost {money(cost)} ({_cost_text(costs)}), above max_cost in [sagemaker], {money(limit)}; "
                "raise that, or choose fewer, smaller or shorter ones"
            )


class _ConfirmedCost:
    """Instance-hours agreed to, by kind and type; and instances (or gigabytes) that may run until they are deleted."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._left = _amounts(items)

    def use(self, items: Sequence[Item]) -> bool:
        """Whether the items are within it; they are taken off it then."""
        wanted = _amounts(items)
        # Sums of the same hours in another order may differ in the last digit.
        if any(amount > self._left.get(key, 0.0) * (1 + 1e-9) for key, amount in wanted.items()):
            return False
        for key, amount in wanted.items():
            self._left[key] -= amount
        return True


def _amounts(items: Sequence[Item]) -> dict[tuple[str, str, bool], float]:
    amounts: dict[tuple[str, str, bool], float] = {}
    for item in items:
        size = item.gigabytes if item.kind in ("storage", "serverless") else 1.0
        key = (item.kind, item.instance_type, item.hours is None)
        amounts[key] = amounts.get(key, 0.0) + item.count * size * (1.0 if item.hours is None else item.hours)
    return amounts


def _is_nothing(cost: Estimate) -> bool:
    """Whether it is storage alone, of less than a cent a month."""
    per_day = cost.per_day_usd
    stored = all(row.item.kind == "storage" for row in cost.rows)
    return stored and not cost.total_usd and per_day is not None and per_day * MONTH_DAYS < _CENT


def _show_estimate(cost: Estimate, region: str) -> None:
    say(f"to be started in {region}:")
    print_table(("what", "on", "price", "at most", "US dollars"), [_columns(row) for row in cost.rows])
    say(f"prices: {cost.note}")
    if cost.unknown:
        say(f"no price is known for {', '.join(cost.unknown)}: what it costs isn't in the sum")


def _columns(row: PricedItem) -> tuple[str, str, str, str, str]:
    item = row.item
    hours = "until deleted" if item.hours is None else f"{item.hours:g} h"
    if not row.known:
        cost = "unknown"
    else:
        cost = f"{money(row.usd_per_day or 0.0)} a day" if row.lasts else money(row.usd or 0.0)
    return item.what, _where(item), row.rate, hours, cost


def _where(item: Item) -> str:
    if item.kind == "storage":
        return f"{size(item.gigabytes * 1e9)} in S3"
    if item.kind == "serverless":
        return f"{item.gigabytes:g} GB of memory" + (f", {item.waits} kept warm" if item.waits else "")
    return f"{item.count} x {item.instance_type}" + (" (spot)" if item.kind == "spot" else "")


def _cost_text(cost: Estimate) -> str:
    """As in "$2.95 at most, and $2.76 a day until it is deleted"."""
    ends = [row for row in cost.rows if not row.lasts]
    parts = []
    if ends:
        parts.append("an unknown amount" if cost.total_usd is None else f"{money(cost.total_usd)} at most")
    if len(ends) < len(cost.rows):
        per_day = "an unknown amount" if cost.per_day_usd is None else money(cost.per_day_usd)
        parts.append(f"{per_day} a day until it is deleted")
    if any(row.item.kind == "serverless" for row in cost.rows):
        parts.append("more as it works")
    return ", and ".join(parts)
