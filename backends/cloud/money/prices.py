"""What an hour or a gigabyte costs: the dated table that comes along, or AWS's Pricing API."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

from backends.cloud.money.items import Kind

_FILE: Final = Path(__file__).with_name("prices.json")
# As AWS counts them: 730 hours.
MONTH_DAYS: Final = 730 / 24


class Prices(Protocol):
    """US dollars in one region; None for what isn't known."""

    region: str

    @property
    def note(self) -> str:
        """Where the prices are from, and of when, in one sentence."""

    def instance_hour(self, instance_type: str, kind: Kind) -> float | None:
        """Of one instance; of spot capacity, the price on demand, which it never exceeds."""

    def serverless_gb_second(self) -> float | None:
        """Of an endpoint's memory, while it works."""

    def provisioned_gb_second(self) -> float | None:
        """Of memory that is kept warm."""

    def month(self, of: str) -> float | None:
        """A month of a gigabyte in "s3", "disk" or "logs", or of one "alarm"."""


@cache
def read_table() -> dict[str, Any]:
    """The table: {"as_of", "region", "regions", "instance_hour", ...}."""
    table: dict[str, Any] = json.loads(_FILE.read_text())
    return table


class TablePrices:
    """From prices.json: one region's list prices; another's are so many times as much at most, where it says so."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._table = read_table()
        self._factor: float | None = self._table["regions"].get(region)

    @property
    def note(self) -> str:
        home, as_of = self._table["region"], self._table["as_of"]
        said = f"AWS's list prices of {home} as of {as_of}, from the table that comes along"
        if self._factor is None:
            return f'the table has no prices for {self.region}; prices = "api" in [sagemaker] asks AWS'
        if self._factor != 1:
            said += f", times {self._factor:g}, which those of {self.region} are at most"
        return f'{said}; to be checked: prices = "api" in [sagemaker] asks AWS'

    def instance_hour(self, instance_type: str, kind: Kind) -> float | None:
        del kind  # one price a type: they agree to the cent
        return self._times(self._table["instance_hour"].get(instance_type))

    def serverless_gb_second(self) -> float | None:
        return self._times(self._table["serverless_gb_second"])

    def provisioned_gb_second(self) -> float | None:
        return self._times(self._table["provisioned_gb_second"])

    def month(self, of: str) -> float | None:
        return self._times(self._table[f"{of}_month"])

    def _times(self, price: float | None) -> float | None:
        return None if price is None or self._factor is None else price * self._factor
