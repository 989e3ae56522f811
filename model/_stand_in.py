"""Modules that stand for others, slow to import, until somebody asks them for more than they know."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType
from typing import Any


class StandIn(ModuleType):
    """Stands for the module `name` and knows a few of its attributes; asked for another, it imports the real one.

    functions: names of those that are imported when they are called.
    """

    def __init__(self, name: str, *functions: str, **attributes: object) -> None:
        super().__init__(name)
        vars(self).update(attributes, **{function: _when_called(name, function) for function in functions})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return real_attribute(self.__name__, name)


def real_attribute(module: str, name: str) -> Any:
    """An attribute of the real module, imported in the place of the stand-ins for its package."""
    remove_stand_ins(module.partition(".")[0])
    return getattr(importlib.import_module(module), name)


def _when_called(module: str, name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        return real_attribute(module, name)(*arguments, **named)

    return call


@contextmanager
def standing_in(*modules: StandIn) -> Iterator[None]:
    """Inside, these are imported, unless one of the real ones has been; afterwards it is as if nobody had."""
    if any(module.__name__ in sys.modules for module in modules):
        yield
        return
    sys.modules.update({module.__name__: module for module in modules})
    try:
        yield
    finally:
        remove_stand_ins(modules[0].__name__.partition(".")[0])


def remove_stand_ins(package: str) -> None:
    """Forget all stand-ins for modules of a top-level package."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, StandIn) and name.partition(".")[0] == package:
            del sys.modules[name]


def boto3_on_demand() -> AbstractContextManager[None]:
    """For libraries that import boto3 in case a path is in S3: inside, that gives a stand-in for it, which goes on to
    work; afterwards nobody has imported it.
    """
    if "boto3" in sys.modules or importlib.util.find_spec("boto3") is None:
        return nullcontext()
    # smdebug and tensorboardX import these two.
    return standing_in(StandIn("boto3"), StandIn("boto3.s3.transfer", "TransferConfig"))
