"""Prices as AWS's Pricing API tells them, and the table's where it doesn't."""

import json
from collections.abc import Iterator
from typing import Any, Final

from backends.cloud.account import Account
from backends.cloud.errors import told
from backends.cloud.money.items import Kind
from backends.cloud.money.prices import Prices, TablePrices

# It answers for all regions, in three of them.
PRICING_REGION: Final = "us-east-1"
# In a product's usage type, as in EU-Train:ml.m5.large.
_USAGE: Final[dict[Kind, str]] = {
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
        said = f"AWS's list prices of {self.region}, asked of its Pricing API now"
        if self._fault:
            return f"the Pricing API can't be asked ({self._fault}); {self._table.note}"
        return f"{said}; what it doesn't tell: {self._table.note}" if self._from_table else said

    def instance_hour(self, instance_type: str, kind: Kind) -> float | None:
        asked = self._usages("instanceName", instance_type)
        end = f"{_USAGE.get(kind, kind)}:{instance_type}"
        found = next((usd for usage, usd in asked.items() if usage.rpartition("-")[2] == end), None)
        return found if found is not None else self._fall_back(self._table.instance_hour(instance_type, kind))

    def serverless_gb_second(self) -> float | None:
        asked = self._usages("productFamily", "ML Serverless")
        # A price a size of memory, all the same for a gigabyte.
        found = next((usd for usage, usd in asked.items() if usage.endswith("ServerlessInf:Mem-1GB")), None)
        return found if found is not None else self._fall_back(self._table.serverless_gb_second())

    def provisioned_gb_second(self) -> float | None:
        asked = self._usages("productFamily", "ML Serverless")
        found = next((usd for usage, usd in asked.items() if usage.endswith("ProvisionedConcurrency:Mem-1GB")), None)
        return found if found is not None else self._fall_back(self._table.provisioned_gb_second())

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
        with told("opening pricing"):
            return ApiPrices(account.region, account.boto.client("pricing", region_name=PRICING_REGION))
    return TablePrices(account.region)


def _on_demand(product: dict[str, Any]) -> Iterator[float]:
    """US dollars for a unit, of each price above nothing: a free allowance is a product, too."""
    for offer in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in offer["priceDimensions"].values():
            usd = float(dimension["pricePerUnit"].get("USD", 0))
            if usd > 0:
                yield usd
