"""How often the account is asked how far something has come."""

import os
from typing import Final

_POLL_S: Final = 10.0


def poll_seconds() -> float:
    """Seconds between two questions; KENNEL_POLL_S sets others."""
    return float(os.environ.get("KENNEL_POLL_S") or _POLL_S)
