"""boto3, imported when something is asked of it: for libraries that import it in case a path is in S3."""

import importlib.util
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from model._stand_in import StandIn, real_attribute, standing_in

_TRANSFER: Final = "boto3.s3.transfer"


def boto3_on_demand() -> AbstractContextManager[None]:
    """Inside, importing boto3 gives a stand-in for it, which goes on to work; afterwards nobody has imported it."""
    if "boto3" in sys.modules or importlib.util.find_spec("boto3") is None:
        return nullcontext()
    # smdebug and tensorboardX import these two.
    return standing_in(StandIn("boto3"), StandIn(_TRANSFER, TransferConfig=_transfer_config))


def _transfer_config(*arguments: Any, **named: Any) -> Any:
    # Imported by name, and called where there is something to transfer.
    return real_attribute(_TRANSFER, "TransferConfig")(*arguments, **named)
