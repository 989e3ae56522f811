"""A search as SageMaker's tuner takes it: arguments of the SDK's HyperparameterTuner from the same settings.

The limits are those of the service model of CreateHyperParameterTuningJob in botocore.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from backends.errors import BackendError
from backends.sagemaker.sdk import sdk
from contract.hyperparameters import describe_faults
from tuning.objective import LATENCY, METRIC_REGEXES
from tuning.settings import SearchSettings
from tuning.space import Categorical, Integer, Parameter, Space

MOST_RANGES: Final = 30
MOST_VALUES: Final = 30
MOST_PARENTS: Final = 5
LONGEST_VALUE: Final = 2500  # characters of one hyperparameter
LEAST_SECONDS: Final = 120
JOB_NAME: Final = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}"

_SCALES: Final = {"linear": "Linear", "log": "Logarithmic", "reverse_log": "ReverseLogarithmic"}
_STRATEGIES: Final = {"tpe": "Bayesian", "random": "Random"}


def parameter_ranges(space: Space) -> dict[str, Any]:
    """Hyperparameter -> the SDK's ContinuousParameter, IntegerParameter or CategoricalParameter.

    Raises BackendError when there is no SDK that has them.
    """
    classes = sdk("parameter")
    return {each.name: _parameter_range(classes, each) for each in space.parameters}


def metric_definitions() -> list[dict[str, str]]:
    """The name of each metric that `train` prints, and the expression that finds it in the log."""
    return [{"Name": name, "Regex": regex} for name, regex in METRIC_REGEXES.items()]


def static_hyperparameters(settings: SearchSettings) -> dict[str, str]:
    """What all training jobs have in common, as the SDK's estimator takes it; nothing else of the search.

    Every hyperparameter that doesn't vary is in it: a warm start wants as many, static and varied, as its parents had.
    A latency is measured only by a job that is asked for it.
    """
    varied = settings.space.names
    latency = [str(each) for each in settings.objectives if each.metric == LATENCY]
    return {
        **{
            name: value
            for name, value in settings.base.to_json().items()
            if name not in varied and not name.startswith("tune_")
        },
        **({"tune_objective": json.dumps(latency[0])} if latency else {}),
    }


def tuner_arguments(settings: SearchSettings, warm_start: Sequence[str] = (), same_data: bool = True) -> dict[str, Any]:
    """All that HyperparameterTuner takes besides the estimator, whose hyperparameters are `static_hyperparameters`.

    warm_start: names of former tuning jobs to learn from. same_data: they had the same image and data, else others.
    Raises BackendError with all that the tuner can't do.
    """
    faults = _faults(settings, warm_start)
    if faults:
        raise BackendError(describe_faults("tuner", faults))
    (objective,) = settings.objectives
    hyperband = settings.pruner == "hyperband"
    early = settings.pruner == "median" and objective.per_epoch
    return {
        "objective_metric_name": objective.metric,
        "objective_type": "Maximize" if objective.maximize else "Minimize",
        "hyperparameter_ranges": parameter_ranges(settings.space),
        "metric_definitions": metric_definitions(),
        "strategy": "Hyperband" if hyperband else _STRATEGIES[settings.sampler],
        "strategy_config": _hyperband(settings) if hyperband else None,
        # Hyperband ends poor jobs itself, and allows no other early stopping.
        "early_stopping_type": "Auto" if early else "Off",
        "max_jobs": settings.trials,
        "max_parallel_jobs": min(settings.parallel, settings.trials),
        "max_runtime_in_seconds": round(settings.minutes * 60) or None,
        "random_seed": settings.seed,
        "warm_start_config": _warm_start(warm_start, same_data) if warm_start else None,
    }


def _parameter_range(classes: Any, parameter: Parameter) -> Any:
    if isinstance(parameter, Categorical):
        return classes.CategoricalParameter(list(parameter.values))
    if parameter.low == parameter.high:
        # A range of one value isn't documented, a list of one is.
        return classes.CategoricalParameter([parameter.low])
    kind = classes.IntegerParameter if isinstance(parameter, Integer) else classes.ContinuousParameter
    return kind(parameter.low, parameter.high, _SCALES[parameter.scale])


def _hyperband(settings: SearchSettings) -> Any:
    """A job's resources are its values of the objective, and when it has used them up it is stopped.

    So there is one more than epochs: `train` prints the artifact's values once it is written.
    """
    classes = sdk("tuner")
    most = settings.base.epochs
    for each in settings.space.parameters:
        if each.name == "epochs":
            most = max(map(int, each.values)) if isinstance(each, Categorical) else int(each.high)
    return classes.StrategyConfig(classes.HyperbandStrategyConfig(max_resource=most + 1, min_resource=1))


def _warm_start(parents: Sequence[str], same_data: bool) -> Any:
    classes = sdk("tuner")
    kinds = classes.WarmStartTypes
    kind = kinds.IDENTICAL_DATA_AND_ALGORITHM if same_data else kinds.TRANSFER_LEARNING
    return classes.WarmStartConfig(kind, set(parents))


def _faults(settings: SearchSettings, warm_start: Sequence[str]) -> list[str]:
    return [
        *_objective_faults(settings),
        *_range_faults(settings.space),
        *_limit_faults(settings),
        *_parent_faults(warm_start),
    ]


def _objective_faults(settings: SearchSettings) -> list[str]:
    faults = []
    names = [each.metric for each in settings.objectives]
    if len(names) != 1:
        faults.append(f"SageMaker's tuner has one objective, got {', '.join(names) or 'none'}; name one")
    faults += [
        f"{name}: train prints no such metric, and the tuner reads the log; choose another objective"
        for name in names
        if name not in METRIC_REGEXES
    ]
    if settings.pruner == "hyperband":
        faults += [
            f"tune_pruner: hyperband needs an objective that every epoch has a value of, got {each.metric}; "
            "use validation_accuracy, say, or tune_pruner=none"
            for each in settings.objectives
            if not each.per_epoch
        ]
    return faults


def _range_faults(space: Space) -> list[str]:
    faults = []
    if len(space.parameters) > MOST_RANGES:
        faults.append(
            f"SageMaker's tuner varies at most {MOST_RANGES} hyperparameters, got {len(space.parameters)}; "
            "set some of them for all trials"
        )
    return faults + [
        f"{each.name}: SageMaker's tuner takes lists of at most {MOST_VALUES} values, got {len(each.values)}; "
        "give fewer, or a range"
        for each in space.parameters
        if isinstance(each, Categorical) and len(each.values) > MOST_VALUES
    ]


def _limit_faults(settings: SearchSettings) -> list[str]:
    faults = []
    if settings.sampler not in _STRATEGIES:
        known = " or ".join(_STRATEGIES)
        faults.append(f"tune_sampler: must be {known} for SageMaker's tuner, got {settings.sampler}")
    if settings.trials < 1:
        faults.append(f"tune_trials: SageMaker's tuner needs at least 1, got {settings.trials}")
    if 0 < settings.minutes * 60 < LEAST_SECONDS:
        faults.append(
            f"tune_minutes: SageMaker's tuner runs for at least {LEAST_SECONDS // 60}, got {settings.minutes:g}; "
            "0 sets no limit"
        )
    for name, value in static_hyperparameters(settings).items():
        if len(value) > LONGEST_VALUE:
            faults.append(
                f"{name}: SageMaker takes at most {LONGEST_VALUE} characters, got {len(value)}; put it into a file "
                "of a channel and name that"
            )
    return faults


def _parent_faults(parents: Sequence[str]) -> list[str]:
    faults = [
        f"warm start: {each!r} can't be a tuning job's name (letters, digits and hyphens, at most 32)"
        for each in parents
        if not re.fullmatch(JOB_NAME, each)
    ]
    if len(set(parents)) > MOST_PARENTS:
        faults.append(f"warm start: at most {MOST_PARENTS} former tuning jobs, got {len(set(parents))}")
    return faults
