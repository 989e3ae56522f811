"""Code of one's own, named as `module:attribute`."""

import importlib
from typing import Any

from contract.errors import ConfigError


def load_attribute(what: str, name: str) -> Any:
    """The attribute of a module that can be imported, named as `module:attribute`.

    what: the kind of thing, for the message. Raises ConfigError that says whether the module or the attribute is the
    fault.
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigError(f"the {what} {name!r} must be named as module:attribute")
    try:
        imported = importlib.import_module(module)
    except Exception as error:
        raise ConfigError(f"the {what} {name!r} can't be loaded ({type(error).__name__}: {error})") from error
    try:
        return getattr(imported, attribute)
    except AttributeError:
        raise ConfigError(f"the {what} {name!r} can't be loaded: {module} has no attribute {attribute}") from None
