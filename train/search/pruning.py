"""When a trial is ended early."""

from typing import Any

from train.search.library import quiet_optuna
from train.search.settings import SearchSettings
from train.search.space import Categorical


def pruner_of(settings: SearchSettings) -> Any:
    """Optuna's pruner. Epochs count from 1.

    median: a trial ends when its best value so far is worse than the median of what the completed trials had after
    the same epoch. It waits for a quarter of the trials to complete, 5 at most, and leaves each trial the first tenth
    of the longest training and one epoch more.
    hyperband: Li et al. 2018 (arXiv:1603.06560), asynchronous as in Li et al. 2020 (arXiv:1810.05934): of the trials
    that come as far as epoch 1, 3, 9, ... the best third goes on. Some trials are only judged from 3, 9, ... on.
    """
    pruners = quiet_optuna().pruners
    longest = longest_epochs(settings)
    if pruned_by(settings) is None:
        return pruners.NopPruner()
    if settings.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=longest, reduction_factor=3)
    return pruners.MedianPruner(n_startup_trials=startup_trials(settings.trials), n_warmup_steps=1 + longest // 10)


def startup_trials(trials: int) -> int:
    """How many trials must be completed before `median` ends any."""
    return max(1, min(5, trials // 4))


def longest_epochs(settings: SearchSettings) -> int:
    """The most epochs that a trial can have."""
    for each in settings.space.parameters:
        if each.name == "epochs":
            return max(int(value) for value in each.values) if isinstance(each, Categorical) else int(each.high)
    return settings.base.epochs


def pruned_by(settings: SearchSettings) -> str | None:
    """The metric by which trials are ended early; None when none is."""
    first = settings.objectives[0]
    if settings.pruner == "none" or len(settings.objectives) > 1 or not first.per_epoch:
        return None
    return first.metric


def pruning_note(settings: SearchSettings) -> str | None:
    """Why the pruner that was asked for does nothing, if so."""
    if settings.pruner == "none" or pruned_by(settings):
        return None
    if len(settings.objectives) > 1:
        return f"no trial is ended early: the pruner {settings.pruner} can't weigh several objectives"
    return f"no trial is ended early: {settings.objectives[0].metric} is known at a trial's end only"
