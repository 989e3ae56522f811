"""Everything that Kennel has in the account."""

from backends.cloud.account import Account
from backends.cloud.holdings import hosting, jobs, storage
from backends.cloud.holdings.tags import Tags
from backends.cloud.holdings.things import Thing, in_order
from backends.cloud.money.api import prices_of
from backends.cloud.money.prices import Prices


class Inventory:
    """What there is, found once. notes: what wasn't looked at, and where the prices are from."""

    def __init__(self, account: Account, prices: Prices | None = None) -> None:
        asked = prices or prices_of(account)
        tags = Tags(account)
        endpoints = list(hosting.endpoints(account, tags, asked))
        whose = {each.name: each.run for each in endpoints}
        models = list(hosting.models(account, tags))
        packages = list(storage.packages(account, tags))
        users: dict[str, set[str]] = {}
        for each in (*models, *packages):
            users.setdefault(each.detail, set()).add(each.run)
        self.things = in_order([
            *endpoints,
            *hosting.scaling(account, whose),
            *jobs.running_jobs(account, tags, asked),
            *jobs.warm_pools(account, tags, asked),
            *hosting.configurations(account, tags),
            *models,
            *hosting.alarms(account, tags, asked),
            *packages,
            *storage.log_groups(account, asked),
            *storage.objects(account, asked, users),
        ])  # fmt: skip
        self.notes = [note for note in (tags.note, f"prices: {asked.note}") if note]

    @property
    def usd_per_day(self) -> float:
        """Of all that has a known price."""
        return sum(each.usd_per_day or 0.0 for each in self.things)


def everything(account: Account) -> list[Thing]:
    """Every thing that Kennel has in the account, in the order in which things are removed."""
    return Inventory(account).things
