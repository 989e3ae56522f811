"""All checks, in the order in which one needs another."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from backends.sagemaker.account import Account
from backends.settings.sections import Settings
from cli.doctor.account import (
    check_bucket,
    check_identity,
    check_network,
    check_quotas,
    check_rights,
    check_role,
    check_sdk,
    check_service,
)
from cli.doctor.check import CheckResult, note, run_check
from cli.doctor.image import check_image
from cli.doctor.machine import check_docker, check_packages, check_runs


def examine(settings: Settings, runs: Path, account: Account) -> Iterator[CheckResult]:
    """All findings, one after another. The account is asked only where jobs are to run in it."""
    yield from check_packages(settings.kennel)
    yield from check_runs(runs)
    yield from check_docker(settings.kennel)
    if settings.kennel.on != "sagemaker":
        yield note("SageMaker", "not looked at; --on sagemaker, or on in [kennel], does")
        return
    yield from run_check("SageMaker's SDK", check_sdk)
    identity = list(run_check("credentials", lambda: check_identity(account)))
    yield from identity
    if identity[-1].state != "ok":
        yield note("account", "not looked at without credentials and a region")
        return
    yield from run_check("SageMaker", partial(check_service, account), needed=True)
    for subject, check in (
        ("role", check_role), ("role's rights", check_rights), ("bucket", check_bucket),
        ("network", check_network), ("image", check_image), ("quotas", check_quotas),
    ):  # fmt: skip
        yield from run_check(subject, partial(check, account))
