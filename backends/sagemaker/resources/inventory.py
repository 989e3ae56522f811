"""Everything that Kennel has in the account."""

from collections.abc import Callable, Iterable

from backends.sagemaker.account import Account
from backends.sagemaker.billing.prices import Prices, prices_of
from backends.sagemaker.errors import AwsError
from backends.sagemaker.resources import endpoints as hosting
from backends.sagemaker.resources import jobs, storage
from backends.sagemaker.resources.resource import Resource, Tags, in_removal_order


class Inventory:
    """What there is, found once. things: in the order in which they are removed. notes: what couldn't be looked at.

    Raises BackendError when AWS can't be asked.
    """

    def __init__(self, account: Account, prices: Prices | None = None) -> None:
        self._prices = asked = prices or prices_of(account)
        tags = Tags(account)
        self.notes = [tags.note] if tags.note else []
        endpoints = self._look("endpoints", lambda: hosting.endpoints(account, tags, asked))
        whose = {each.name: each.run for each in endpoints}
        models = self._look("models", lambda: hosting.models(account, tags))
        packages = self._look("model packages", lambda: storage.packages(account, tags))
        users: dict[str, set[str]] = {}
        for each in (*models, *packages):
            users.setdefault(each.detail, set()).add(each.run)
        self.resources = in_removal_order([
            *endpoints,
            *self._look("autoscaling", lambda: hosting.scaling(account, whose)),
            *self._look("jobs", lambda: jobs.running_jobs(account, tags, asked)),
            *self._look("warm pools", lambda: jobs.warm_pools(account, tags, asked)),
            *self._look("endpoint configurations", lambda: hosting.configurations(account, tags)),
            *models,
            *self._look("alarms", lambda: hosting.alarms(account, tags, asked)),
            *packages,
            *self._look("endpoints' logs", lambda: storage.log_groups(account, asked)),
            *self._look("objects in S3", lambda: storage.objects(account, asked, users)),
        ])  # fmt: skip

    def _look(self, what: str, find: Callable[[], Iterable[Resource]]) -> list[Resource]:
        """What is found; where that isn't allowed, nothing and a note: the rest can be shown and removed without it."""
        try:
            return list(find())
        except AwsError as refused:
            if not refused.denied:
                raise
            self.notes.append(f"{what} couldn't be looked at: {refused}")
            return []

    @property
    def price_note(self) -> str:
        """Where the prices are from."""
        return f"prices: {self._prices.note}"

    @property
    def usd_per_day(self) -> float:
        """Of all that has a known price."""
        return sum(each.usd_per_day or 0.0 for each in self.resources)


def list_resources(account: Account) -> list[Resource]:
    """Every thing that Kennel has in the account, in the order in which things are removed."""
    return Inventory(account).resources
