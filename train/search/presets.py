"""Search spaces by name, and the hyperparameters that none may have."""

from typing import Final

PRESETS: Final[dict[str, dict[str, str]]] = {
    "default": {"lr": "0.001:0.1:log", "batch_size": "16,32,64,128", "epochs": "2:5"},
    "wide": {
        "lr": "0.0001:0.1:log",
        "batch_size": "16,32,64,128",
        "epochs": "2:15",
        "optimizer": "adamw,sgd",
        "weight_decay": "0.0001:0.1:log",
        "warmup_ratio": "0:0.3",
        "label_smoothing": "0:0.2",
        "head": "linear,mlp",
    },
}

_SPEED = "it changes how fast a trial runs, not what comes of it"
_OBSERVER = "it watches the training and has no part in it"
# Of every other hyperparameter the table in contract.hyperparameters has all that a range needs.
_NOT_SEARCHED: Final[dict[str, str]] = {
    "pretrained": "all trials start from the same weights",
    "seed": "trials would differ by chance, and the luckiest would win",
    "validation_fraction": "it changes the data by which trials are compared",
    "feature_precision": _SPEED,
    "workers": _SPEED,
    "cache": _SPEED,
    "device": _SPEED,
    "tensorboard": _OBSERVER,
    "debug": _OBSERVER,
    "debug_interval": _OBSERVER,
    "profile": _OBSERVER,
    "profile_interval": _OBSERVER,
    "profile_steps": _OBSERVER,
    "rules": _OBSERVER,
    "rule_action": _OBSERVER,
    "export": "it comes after the training",
}


def why_not_searched(name: str) -> str | None:
    """The reason why a search can't vary this hyperparameter; None when it can."""
    return "it describes the search itself" if name.startswith("tune_") else _NOT_SEARCHED.get(name)
