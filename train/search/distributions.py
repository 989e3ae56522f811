"""A search space as Optuna's distributions. Optuna is imported inside, as it takes two thirds of a second.

Optuna has no reverse logarithmic scale: of such a hyperparameter its parameter is 1 - value, named `1 - NAME`.
"""

from collections.abc import Mapping
from typing import Any

from train.search.space import Categorical, Continuous, Integer, Parameter, Space, Value


def to_optuna(space: Space) -> dict[str, Any]:
    """Optuna's name of each parameter -> its distribution."""
    return {optuna_name(each): _distribution(each) for each in space.parameters}


def values_from_optuna(space: Space, params: Mapping[str, Any]) -> dict[str, Value]:
    """Hyperparameters' names -> values, each within its limits, from what Optuna chose."""
    return {each.name: _value(each, params[optuna_name(each)]) for each in space.parameters}


def params_for_optuna(space: Space, values: Mapping[str, Value]) -> dict[str, Any]:
    """The parameters that stand for these values: `values_from_optuna`'s inverse, but for a reverse logarithmic
    value's last bit.
    """  # fmt: skip
    return {
        optuna_name(each): 1.0 - float(values[each.name]) if _reversed(each) else values[each.name]
        for each in space.parameters
    }


def optuna_name(parameter: Parameter) -> str:
    """What the parameter is called in an Optuna study."""
    return f"1 - {parameter.name}" if _reversed(parameter) else parameter.name


def _reversed(parameter: Parameter) -> bool:
    return isinstance(parameter, Continuous) and parameter.scale == "reverse_log"


def _distribution(parameter: Parameter) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter:
        case Categorical():
            return CategoricalDistribution(parameter.values)
        case Integer():
            return IntDistribution(parameter.low, parameter.high, log=parameter.scale == "log")
        case Continuous(scale="reverse_log"):
            return FloatDistribution(1.0 - parameter.high, 1.0 - parameter.low, log=True)
        case Continuous():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.scale == "log")


def _value(parameter: Parameter, given: Any) -> Value:
    match parameter:
        case Categorical():
            value: Value = given
            return value
        case Integer():
            return int(given)
        case Continuous():
            number = 1.0 - float(given) if _reversed(parameter) else float(given)
            # exp(log(limit)) and 1 - (1 - limit) may be a bit beyond the limit.
            return min(max(number, parameter.low), parameter.high)
