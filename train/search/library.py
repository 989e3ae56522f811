"""Optuna as a search needs it. It takes half a second to import, so nothing imports it before a search begins."""

import sys
from typing import Any


def quiet_optuna() -> Any:
    """The module, its log kept to warnings: a search has lines of its own."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def optuna_importance() -> Any:
    """Optuna's evaluators of importance, but for those that need scikit-learn.

    Where that is installed, Optuna imports it with them: four seconds for what no search here uses.
    """
    kept_out = "sklearn" not in sys.modules and "optuna.importance" not in sys.modules
    if kept_out:
        sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        import optuna.importance
    finally:
        if kept_out:
            del sys.modules["sklearn"]
    return optuna.importance
