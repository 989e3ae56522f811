"""What an hour or a gigabyte costs: the dated table that comes along, or AWS's Pricing API.

The API's prices, and the table's for what it doesn't have.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

from backends.sagemaker.account import Account
from backends.sagemaker.billing.items import PriceKind
from backends.sagemaker.errors import translate_aws_errors

_FILE: Final = Path(__file__).with_name("prices.json")
# As AWS counts them: 730 hours.
MONTH_DAYS: Final = 730 / 24


class Prices(Protocol):
    """US dollars in one region; None for what isn't known."""

    region: str

    @property
    def note(self) -> str:
        """Where the prices are from, and of when, in one sentence."""

    def instance_hour(self, instance_type: str, kind: PriceKind) -> float | None:
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
        text = f"AWS's list prices of {home} as of {as_of}, from the table that comes along"
        if self._factor is None:
            return f'the table has no prices for {self.region}; prices = "api" in [sagemaker] asks AWS'
        if self._factor != 1:
            text += f", times {self._factor:g}, which those of {self.region} are at most"
        return f'{text}; to be checked: prices = "api" in [sagemaker] asks AWS'

    def instance_hour(self, instance_type: str, kind: PriceKind) -> float | None:
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


# It answers for all regions, in three of them.
PRICING_REGION: Final = "us-east-1"
# In a product's usage type, as in EU-Train:ml.m5.large.
_USAGE: Final[dict[PriceKind, str]] = {
    "training": "Train", "spot": "Train", "processing": "Processing", "transform": "Tsform", "hosting": "Host",
}  # fmt: skip


class ApiPrices:
    """Asks once for each instance type. client: boto3's of "pricing"."""

    def __init__(self, region: str, client: Any) -> None:
        self.region = region
        self._client = client
        self._table = TablePrices(region)
        self._products: dict[tuple[str, str], dict[str, float]] = {}
        self._fault = ""
        self._from_table = False

    @property
    def note(self) -> str:
        text = f"AWS's list prices of {self.region}, asked of its Pricing API now"
        if self._fault:
            return f"the Pricing API can't be asked ({self._fault}); {self._table.note}"
        return f"{text}; what it doesn't have: {self._table.note}" if self._from_table else text

    def instance_hour(self, instance_type: str, kind: PriceKind) -> float | None:
        usages = self._usages("instanceName", instance_type)
        end = f"{_USAGE.get(kind, kind)}:{instance_type}"
        usd = next((usd for usage, usd in usages.items() if usage.rpartition("-")[2] == end), None)
        return usd if usd is not None else self._fall_back(self._table.instance_hour(instance_type, kind))

    def serverless_gb_second(self) -> float | None:
        usages = self._usages("productFamily", "ML Serverless")
        # A price a size of memory, all the same for a gigabyte.
        usd = next((usd for usage, usd in usages.items() if usage.endswith("ServerlessInf:Mem-1GB")), None)
        return usd if usd is not None else self._fall_back(self._table.serverless_gb_second())

    def provisioned_gb_second(self) -> float | None:
        usages = self._usages("productFamily", "ML Serverless")
        usd = next((usd for usage, usd in usages.items() if usage.endswith("ProvisionedConcurrency:Mem-1GB")), None)
        return usd if usd is not None else self._fall_back(self._table.provisioned_gb_second())

    def month(self, of: str) -> float | None:
        return self._fall_back(self._table.month(of))

    def _fall_back(self, price: float | None) -> float | None:
        self._from_table = True
        return price

    def _usages(self, field: str, value: str) -> dict[str, float]:
        """{usage type: US dollars a unit} of the products whose `field` is `value`; empty when it can't be asked."""
        from botocore.exceptions import BotoCoreError, ClientError

        key = (field, value)
        if key not in self._products and not self._fault:
            try:
                self._products[key] = dict(self._ask(field, value))
            except ClientError as error:
                self._fault = error.response.get("Error", {}).get("Code", "an error")
            except BotoCoreError as error:
                self._fault = type(error).__name__
        return self._products.get(key, {})

    def _ask(self, field: str, value: str) -> Iterator[tuple[str, float]]:
        wanted = {"regionCode": self.region, field: value}
        pages = self._client.get_paginator("get_products").paginate(
            ServiceCode="AmazonSageMaker",
            Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": text} for name, text in wanted.items()],
        )
        for page in pages:
            for text in page["PriceList"]:
                product = json.loads(text)
                usage = product["product"]["attributes"].get("usagetype", "")
                yield from ((usage, usd) for usd in _on_demand(product))


def prices_of(account: Account) -> Prices:
    """The prices that [sagemaker] prices chooses, of the account's region."""
    if account.settings.sagemaker.prices == "api":
        with translate_aws_errors("opening pricing"):
            return ApiPrices(account.region, account.boto.client("pricing", region_name=PRICING_REGION))
    return TablePrices(account.region)


def _on_demand(product: dict[str, Any]) -> Iterator[float]:
    """US dollars for a unit, of each price above nothing: a free allowance is a product, too."""
    for offer in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in offer["priceDimensions"].values():
            usd = float(dimension["pricePerUnit"].get("USD", 0))
            if usd > 0:
                yield usd
