"""How much each hyperparameter mattered to a search's results."""

import math
from collections.abc import Sequence
from typing import Any

from train.search.distributions import optuna_name, to_optuna
from train.search.library import optuna_importance, quiet_optuna
from train.search.record import Record
from train.search.settings import SearchSettings

# With fewer completed trials, any share would be chance.
FEWEST_TRIALS = 4
# How many of the best are compared with the rest: PedAnovaImportanceEvaluator's advice, and the paper's share.
_BEST_TRIALS = 5
_SMALLEST_SHARE = 0.1


def importance_of(records: Sequence[Record], settings: SearchSettings) -> dict[str, Any] | None:
    """Shares of the first objective's variation, which add up to 1; the largest first. None: too little is known.

    PED-ANOVA of Watanabe, Bansal and Hutter 2023 (arXiv:2304.10255): how much the distribution of a hyperparameter
    among the best trials differs from that among all. The best are a tenth, or 5 trials if that is more, half of all
    at most.
    """
    objective = settings.objectives[0]
    completed = [each for each in records if each.objective is not None and each.repeats is None]
    if len(completed) < FEWEST_TRIALS:
        return None
    share = min(0.5, max(_SMALLEST_SHARE, _BEST_TRIALS / len(completed)))
    losses = sorted((-each.objective[0] if objective.maximize else each.objective[0]) for each in completed)  # type: ignore[index]
    if losses[math.ceil(share * len(losses)) - 1] == losses[-1]:
        return None  # The best and all would be the same trials.
    optuna = quiet_optuna()
    distributions = to_optuna(settings.space)
    study = optuna.create_study(direction=objective.direction)
    for each in completed:
        assert each.objective is not None
        study.add_trial(
            optuna.trial.create_trial(value=each.objective[0], params=each.params, distributions=distributions)
        )
    evaluator = optuna_importance().PedAnovaImportanceEvaluator(target_quantile=share)
    found = evaluator.evaluate(study)
    total = sum(found.values())
    if not total:
        return None
    names = {optuna_name(each): each.name for each in settings.space.parameters}
    shares = sorted(((names[name], value / total) for name, value in found.items()), key=lambda each: -each[1])
    return {
        "method": "PED-ANOVA",
        "objective": objective.metric,
        "values": dict(shares),
        "trials": len(completed),
    }
