"""Engines by name. A module is imported when its engine is chosen, and no sooner."""

import importlib
from typing import TYPE_CHECKING, Final

from contract.errors import ConfigError

if TYPE_CHECKING:
    from serve.engines.base import EngineFactory

AUTO: Final = "auto"
# `auto` is no engine of its own: it loads the one of the others that suits machine and artifact.
ENGINES: Final = {
    AUTO: "serve.engines.choose:load_best",
    "openvino": "serve.engines.openvino:OpenVinoEngine",
    "torch": "serve.engines.torch:TorchEngine",
}


def find(name: str) -> "EngineFactory":
    """The engine of that name, or at `module:attribute`. Raises ConfigError when there is none."""
    module, _, attribute = ENGINES.get(name, name).partition(":")
    try:
        factory: EngineFactory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"the engine {name!r} can't be loaded ({error}); the engines are {', '.join(ENGINES)}"
        ) from error
    return factory
