"""What a run has in the account, noted in its run.json before it is made."""

from typing import Any

from backends.cloud.account import Account
from backends.cloud.names import resource_name
from backends.runs import Run


def made(run: Run) -> dict[str, Any]:
    """What was noted; empty when nothing was."""
    found: dict[str, Any] = run.record.get("sagemaker") or {}
    return found


def note(account: Account, run: Run, **values: Any) -> None:
    """Add to it: `job`, `endpoint`, ... with the names in the account; and where that is."""
    where = {
        "name": resource_name(run),
        "region": account.region,
        "account": account.identity["Account"],
        "bucket": account.bucket,
        "prefix": account.settings.sagemaker.prefix,
    }
    run.update(sagemaker={**made(run), **where, **values})
