"""Callbacks of one's own: the hyperparameter `callbacks`."""

import sys
import traceback

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters
from contract.plugins import load_attribute
from monitor.callbacks import Callback


def callback_classes(hyperparameters: Hyperparameters) -> list[type[Callback]]:
    """The classes that the hyperparameter names. Raises ConfigError for a name that is no subclass of Callback."""
    if hyperparameters.callbacks == "none":
        return []
    classes: list[type[Callback]] = []
    for name in hyperparameters.callbacks.split(","):
        found = load_attribute("callback", name.strip())
        if not (isinstance(found, type) and issubclass(found, Callback)):
            raise ConfigError(f"callbacks: {name.strip()!r} is no subclass of monitor.callbacks.Callback")
        classes.append(found)
    return classes


def own_callbacks(hyperparameters: Hyperparameters) -> list[Callback]:
    """One of each class. A class whose construction fails is left out, loudly."""
    callbacks: list[Callback] = []
    for callback in callback_classes(hyperparameters):
        try:
            callbacks.append(callback())
        except Exception:  # noqa: BLE001 - observers may not end training
            print(f"WARNING: {callback.__name__} failed and is switched off; training goes on", file=sys.stderr)
            traceback.print_exc()
    return callbacks
