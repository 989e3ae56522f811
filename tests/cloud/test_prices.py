"""The price table, and AWS's own prices in its place."""

import json
import re
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from backends.sagemaker.billing.prices import ApiPrices, TablePrices, read_table
from backends.settings.sections import Settings
from tests.backends.sagemaker_requests import service_model


def test_the_table_says_of_when_it_is_and_how_it_was_made() -> None:
    table = read_table()
    assert re.fullmatch(r"20\d\d-\d\d", table["as_of"])
    assert "not read from AWS" in table["checked"]
    assert table["regions"][table["region"]] == 1.0
    assert min(table["regions"].values()) == 1.0


def test_every_type_of_the_table_is_one_that_sagemaker_has() -> None:
    shapes = ("TrainingInstanceType", "ProductionVariantInstanceType", "ProcessingInstanceType")
    known = {name for shape in shapes for name in service_model().shape_for(shape).metadata["enum"]}
    names = read_table()["instance_hour"]
    assert len(names) == 121
    assert sorted(set(names) - known) == []
    assert all(0.05 < price < 100 for price in names.values())


def test_a_larger_size_of_a_family_of_cpus_never_costs_less() -> None:
    sizes = ["large", "xlarge", *(f"{n}xlarge" for n in (2, 4, 8, 9, 12, 16, 18, 24, 32, 48))]
    table = read_table()["instance_hour"]
    compared = 0
    for family in ("m5", "m5d", "m6i", "m7i", "c5", "c6i", "c7i", "r5", "r6i", "r7i"):
        prices = [table[name] for size in sizes if (name := f"ml.{family}.{size}") in table]
        compared += len(prices)
        assert prices == sorted(prices)
    assert compared == 80


def test_what_is_chosen_unless_told_otherwise_has_a_price() -> None:
    chosen = Settings()
    types = {each.instance_type for each in (chosen.train, chosen.deploy, chosen.transform, chosen.evaluate)}
    assert types == {"ml.g4dn.xlarge", "ml.m5.large", "ml.m5.xlarge"}
    assert types <= set(read_table()["instance_hour"])


def test_a_price_of_the_tables_own_region() -> None:
    prices = TablePrices("us-east-1")
    assert prices.instance_hour("ml.m5.large", "hosting") == 0.115
    assert prices.instance_hour("ml.g4dn.xlarge", "training") == 0.7364
    assert prices.serverless_gb_second() == 0.00002
    assert prices.month("s3") == 0.023
    assert prices.note == (
        "AWS's list prices of us-east-1 as of 2026-09, from the table that comes along; "
        'to be checked: prices = "api" in [sagemaker] asks AWS'
    )


def test_another_region_has_so_many_times_the_price_at_most_and_says_so() -> None:
    prices = TablePrices("eu-central-1")
    assert prices.instance_hour("ml.m5.large", "hosting") == pytest.approx(0.115 * 1.3)
    assert "times 1.3, which those of eu-central-1 are at most" in prices.note


def test_a_type_or_region_that_the_table_lacks_has_no_price() -> None:
    assert TablePrices("us-east-1").instance_hour("ml.g7.2xlarge", "training") is None
    elsewhere = TablePrices("mx-central-1")
    assert elsewhere.instance_hour("ml.m5.large", "hosting") is None
    assert elsewhere.month("s3") is None
    assert elsewhere.note == 'the table has no prices for mx-central-1; prices = "api" in [sagemaker] asks AWS'


def product(usage: str, usd: str) -> str:
    """As the Pricing API tells one, in short."""
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": usd}}
    return json.dumps({
        "product": {"attributes": {"usagetype": usage, "regionCode": "eu-west-1"}},
        "terms": {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": dimension}}}},
    })  # fmt: skip


def asked(field: str, value: str) -> dict[str, Any]:
    filters = [("regionCode", "eu-west-1"), (field, value)]
    return {
        "ServiceCode": "AmazonSageMaker",
        "Filters": [{"Type": "TERM_MATCH", "Field": name, "Value": text} for name, text in filters],
    }


@pytest.fixture
def api() -> tuple[ApiPrices, Stubber]:
    client = boto3.client("pricing", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    stub = Stubber(client)
    stub.activate()
    return ApiPrices("eu-west-1", client), stub


def test_aws_is_asked_once_a_type_for_all_its_uses(api: tuple[ApiPrices, Stubber]) -> None:
    prices, stub = api
    products = [
        product("EU-Notebk:ml.m5.large", "0.5"),
        product("EU-Host:ml.m5.large", "0.0000000000"),  # the free tier's
        product("EU-Host:ml.m5.large", "0.1280000000"),
        product("EU-Train:ml.m5.large", "0.1290000000"),
        product("EU-Tsform:ml.m5.large", "0.1300000000"),
        product("EU-Processing:ml.m5.large", "0.1310000000"),
    ]
    stub.add_response("get_products", {"PriceList": products}, asked("instanceName", "ml.m5.large"))
    found = [prices.instance_hour("ml.m5.large", kind) for kind in ("hosting", "training", "transform", "processing")]
    assert found == [0.128, 0.129, 0.13, 0.131]
    # Spot capacity never costs more than capacity on demand.
    assert prices.instance_hour("ml.m5.large", "spot") == 0.129
    assert prices.note == "AWS's list prices of eu-west-1, asked of its Pricing API now"
    stub.assert_no_pending_responses()


def test_memory_of_serverless_endpoints_is_asked_too(api: tuple[ApiPrices, Stubber]) -> None:
    prices, stub = api
    products = [
        product("EU-ServerlessInf:Mem-6GB", "0.000138"),
        product("EU-ServerlessInf:Mem-1GB", "0.000023"),
        product("EU-ProvisionedConcurrency:Mem-1GB", "0.0000058"),
    ]
    stub.add_response("get_products", {"PriceList": products}, asked("productFamily", "ML Serverless"))
    assert (prices.serverless_gb_second(), prices.provisioned_gb_second()) == (0.000023, 0.0000058)


def test_what_aws_does_not_tell_is_the_tables_and_said_to_be(api: tuple[ApiPrices, Stubber]) -> None:
    prices, stub = api
    stub.add_response("get_products", {"PriceList": []}, asked("instanceName", "ml.m5.large"))
    assert prices.instance_hour("ml.m5.large", "hosting") == pytest.approx(0.115 * 1.15)
    assert prices.note.startswith(
        "AWS's list prices of eu-west-1, asked of its Pricing API now; what it doesn't have: AWS's list prices of us-"
    )


def test_an_api_that_may_not_be_asked_is_asked_once_and_the_table_stands_in(api: tuple[ApiPrices, Stubber]) -> None:
    prices, stub = api
    stub.add_client_error("get_products", "AccessDeniedException", "no", 400)
    assert prices.instance_hour("ml.m5.large", "hosting") == pytest.approx(0.115 * 1.15)
    assert prices.instance_hour("ml.m5.xlarge", "hosting") == pytest.approx(0.23 * 1.15)
    assert prices.note.startswith("the Pricing API can't be asked (AccessDeniedException); AWS's list prices of us-")
