"""What items cost, by arithmetic."""

import pytest

from backends.sagemaker.billing.estimate import estimate, money, size
from backends.sagemaker.billing.items import Item


def test_a_training_costs_its_hours_of_all_its_hosts() -> None:
    found = estimate([Item("training job", "training", "ml.g4dn.xlarge", 2, 4.0)], "us-east-1")
    # 2 hosts x 4 h x $0.7364
    assert found.total_usd == pytest.approx(5.8912)
    assert found.per_day_usd == 0
    assert found.rows[0].rate == "$0.736 an hour"


def test_spot_is_told_at_its_ceiling() -> None:
    (row,) = estimate([Item("training job", "spot", "ml.g4dn.xlarge", 1, 4.0)], "us-east-1").rows
    assert row.usd == pytest.approx(2.9456)
    assert row.rate == "$0.736 an hour, or less"


def test_disks_of_instances_cost_by_the_month() -> None:
    found = estimate([Item("training job", "training", "ml.m5.large", 2, 7.3, gigabytes=100)], "us-east-1")
    # 2 x 7.3 h x $0.115, and 200 GB x $0.14 a month of 730 h, for 7.3 h
    assert found.total_usd == pytest.approx(1.679 + 0.28)


def test_an_endpoint_costs_by_the_day_until_it_is_deleted() -> None:
    found = estimate([Item("endpoint", "hosting", "ml.m5.large", 3)], "us-east-1")
    # 3 x 24 h x $0.115
    assert found.per_day_usd == pytest.approx(8.28)
    assert found.total_usd == 0
    assert found.rows[0].lasts


def test_a_serverless_endpoint_costs_what_is_kept_warm_and_more_as_it_works() -> None:
    idle, warm = estimate(
        [Item("a", "serverless", gigabytes=3), Item("b", "serverless", gigabytes=3, waits=2)], "us-east-1"
    ).rows
    assert idle.usd_per_day == 0
    # 2 x 3 GB x 86,400 s x $0.000005
    assert warm.usd_per_day == pytest.approx(2.592)
    # 3 GB x 1,000 s x $0.00002
    assert idle.rate == warm.rate == "$0.06 for 1000 s of work"


def test_storage_costs_by_the_month() -> None:
    found = estimate([Item("data", "storage", gigabytes=100)], "us-east-1")
    # 100 GB x $0.023 / (730 / 24) days
    assert found.per_day_usd == pytest.approx(0.0756164, rel=1e-5)


def test_unknown_types_are_unknown_and_so_is_a_sum_with_them() -> None:
    items = [
        Item("one", "training", "ml.m5.large", 1, 1.0),
        Item("two", "training", "ml.g7.2xlarge", 1, 1.0),
        Item("three", "hosting", "ml.m5.large"),
    ]
    found = estimate(items, "us-east-1")
    assert found.total_usd is None
    assert found.per_day_usd == pytest.approx(2.76)
    assert found.unknown == ["ml.g7.2xlarge"]
    assert [row.known for row in found.rows] == [True, False, True]


def test_a_region_that_the_table_lacks_makes_everything_unknown() -> None:
    items = [Item("a", "hosting", "ml.m5.large"), Item("b", "storage", gigabytes=1), Item("c", "serverless")]
    found = estimate(items, "mx-central-1")
    assert found.per_day_usd is None
    assert found.unknown == ["ml.m5.large", "serverless", "storage"]


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0, "$0"), (0.00001, "under $0.0001"), (0.00019, "$0.00019"), (0.0013, "$0.0013"), (0.7364, "$0.736"),
        (1, "$1.00"), (8.28, "$8.28"), (1234.5, "$1,234.50"),
    ],
)  # fmt: skip
def test_money_in_words(usd: float, text: str) -> None:
    assert money(usd) == text


def test_sizes_in_words() -> None:
    assert [size(n) for n in (0, 999, 1500, 2.5e6, 1.234e9, 2e12)] == [
        "0 bytes", "999 bytes", "1.5 kB", "2.5 MB", "1.23 GB", "2,000 GB",
    ]  # fmt: skip
