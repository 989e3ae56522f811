"""Optuna, with its log kept to warnings: a search has lines of its own."""

from typing import Any


def quiet_optuna() -> Any:
    """The module. It takes two thirds of a second to import, so nothing imports it before a search begins."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
