"""Whether the account may start as many instances as the settings ask for."""

from collections.abc import Iterator

from backends.doctor.rows import Row
from backends.sagemaker.account import Account
from backends.sagemaker.billing.quotas import Kind, quota_name, quotas
from backends.settings.sections import Settings


def wanted(settings: Settings) -> dict[str, int]:
    """The quotas that the settings need, by name, and how many instances of each."""
    train, deploy, transform = settings.train, settings.deploy, settings.transform
    needs: list[tuple[Kind, str, int]] = [
        ("spot" if train.spot else "training", train.instance_type, train.instance_count),
        ("transform", transform.instance_type, transform.instance_count),
        ("processing", settings.evaluate.instance_type, 1),
    ]
    if train.keep_alive_minutes:
        needs.append(("warm", train.instance_type, train.instance_count))
    if deploy.kind != "serverless":
        needs.append(("hosting", deploy.instance_type, max(deploy.instance_count, deploy.max_instances)))
    return {quota_name(kind, instance_type): count for kind, instance_type, count in needs}


def check_quotas(account: Account) -> Iterator[Row]:
    """A row a quota. Raises BackendError when they can't be had."""
    needed = wanted(account.settings)
    found = quotas(account, set(needed))
    for name, count in needed.items():
        quota = found.get(name)
        if quota is None:
            yield Row(
                "quota", "fault",
                f"{account.region} has no quota {name!r}, so the instance type isn't offered there; set another",
            )  # fmt: skip
        elif quota.instances < count:
            yield Row(
                "quota", "fault",
                f"{name}: {quota.instances}, and {count} needed; {quota.remedy(count, account.region)}",
            )  # fmt: skip
        else:
            yield Row("quota", "ok", f"{name}: {quota.instances}, {count} needed")
