"""boto3, imported when something is asked of it: for libraries that import it in case a path is in S3."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# What smdebug and tensorboardX import of it.
_NAMES = ("boto3", "boto3.s3.transfer")


class _OnDemand(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "TransferConfig":
            # Imported by name, and called where there is something to transfer.
            return lambda *arguments, **named: self._real().TransferConfig(*arguments, **named)
        return getattr(self._real(), name)

    def _real(self) -> Any:
        _remove()
        return importlib.import_module(self.__name__)


@contextmanager
def boto3_on_demand() -> Iterator[None]:
    """Inside, importing boto3 gives a stand-in for it, which goes on to work; afterwards nobody has imported it."""
    if "boto3" in sys.modules or importlib.util.find_spec("boto3") is None:
        yield
        return
    sys.modules.update({name: _OnDemand(name) for name in _NAMES})
    try:
        yield
    finally:
        _remove()


def _remove() -> None:
    for name in _NAMES:
        if isinstance(sys.modules.get(name), _OnDemand):
            del sys.modules[name]
