"""What items cost at most, or a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backends.sagemaker.billing.items import Item
from backends.sagemaker.billing.prices import MONTH_DAYS, Prices, TablePrices

_DAY_HOURS: Final = 24.0
_HOUR_S: Final = 3600.0
_WORK_S: Final = 1000.0


@dataclass(frozen=True)
class PricedItem:
    """One item's price. usd: at most, of what ends by itself; usd_per_day: of what runs until it is deleted. Both are
    None where the price isn't known, and `known` is False then. rate: in words, as in "$0.736 an hour".
    """

    item: Item
    known: bool
    usd: float | None
    usd_per_day: float | None
    rate: str

    @property
    def lasts(self) -> bool:
        """Whether it costs until it is deleted."""
        return self.item.hours is None


@dataclass(frozen=True)
class Estimate:
    """total_usd: at most, of all that ends by itself; usd_per_day: of all that runs until it is deleted. None: some of
    it has no known price. note: where the prices are from.
    """

    rows: tuple[PricedItem, ...]
    total_usd: float | None
    per_day_usd: float | None
    note: str

    @property
    def unknown(self) -> list[str]:
        """What has no known price, in the words of its item's type."""
        return sorted({row.item.instance_type or row.item.kind for row in self.rows if not row.known})


def estimate(items: Sequence[Item], region: str, prices: Prices | None = None) -> Estimate:
    """What the items cost in a region. prices: else the table that comes along."""
    prices = prices or TablePrices(region)
    rows = tuple(_row(item, prices) for item in items)
    total = _sum([row.usd for row in rows if not row.lasts])
    per_day = _sum([row.usd_per_day for row in rows if row.lasts])
    # The note last: what had to be asked decides what it says.
    return Estimate(rows, total, per_day, prices.note)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _row(item: Item, prices: Prices) -> PricedItem:
    hourly, rate = _hourly(item, prices)
    if hourly is None:
        return PricedItem(item, False, None, None, "unknown")
    if item.hours is None:
        return PricedItem(item, True, None, hourly * _DAY_HOURS, rate)
    return PricedItem(item, True, hourly * item.hours, None, rate)


def _hourly(item: Item, prices: Prices) -> tuple[float | None, str]:
    """US dollars an hour of the whole item, and its price in words."""
    if item.kind == "storage":
        month = prices.month("s3")
        if month is None:
            return None, ""
        return item.gigabytes * month / (MONTH_DAYS * _DAY_HOURS), f"{money(month)} a GB and month"
    if item.kind == "serverless":
        return _serverless(item, prices)
    price, disk = prices.instance_hour(item.instance_type, item.kind), prices.month("disk")
    if price is None or disk is None:
        return None, ""
    rate = f"{money(price)} an hour{', or less' if item.kind == 'spot' else ''}"
    return item.count * (price + item.gigabytes * disk / (MONTH_DAYS * _DAY_HOURS)), rate


def _serverless(item: Item, prices: Prices) -> tuple[float | None, str]:
    """Memory that is kept warm costs by the hour; work costs as it comes, which nobody knows beforehand."""
    working, warm = prices.serverless_gb_second(), prices.provisioned_gb_second()
    if working is None or (warm is None and item.waits):
        return None, ""
    kept = item.waits * item.gigabytes * (warm or 0.0) * _HOUR_S
    return kept, f"{money(item.gigabytes * working * _WORK_S)} for {_WORK_S:.0f} s of work"


def money(usd: float) -> str:
    """As in $1,234.50, $0.736 or $0.0002: what is below a cent isn't nothing."""
    if usd < 0.0001:
        return "$0" if usd == 0 else "under $0.0001"
    if usd >= 1:
        return f"${usd:,.2f}"
    return f"${usd:.2g}" if usd < 0.01 else f"${usd:.3g}"


def size(count: float) -> str:
    """Bytes, as in 1.5 GB or 12 kB."""
    if count >= 1e12:
        return f"{count / 1e9:,.0f} GB"
    for unit, divisor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= divisor:
            return f"{count / divisor:.3g} {unit}"
    return f"{count:.0f} bytes"
