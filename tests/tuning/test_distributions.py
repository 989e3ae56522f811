"""One space as Optuna's distributions and as SageMaker's ranges: both accept the same points, and cover them."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from backends.sagemaker.jobs.tuner_arguments import parameter_ranges
from contract.hyperparameters import Hyperparameters
from tuning.optuna_study import params_for_optuna, to_optuna, values_from_optuna
from tuning.space import Categorical, Continuous, Integer, Parameter, Space, Value
from tuning.space_source import PRESETS

# Every kind and scale, limits at the table's own, limits that meet, values of every type.
TEXTS = (
    *PRESETS,
    "weight_decay=0:1; label_smoothing=0:0.9; lr=1e-9:10:log; grad_clip=0.5:0.5; mixup=2:2:log",
    "ema_decay=0.9:0.999:reverse_log; flip=0.1:0.5:reverse_log; warmup_ratio=0:0.9:reverse_log",
    "label_smoothing=0.3:0.3:reverse_log; crop_scale=1e-20:0.5:reverse_log",
    "epochs=1:10000:log; batch_size=1:4096; patience=0:3; image_size=32:1024:log; feature_views=5:5",
    "lr=0.1,0.01,1e-05,3; batch_size=10,32; optimizer=adamw,adam,sgd; class_balance=none,weights; ema_decay=0.5",
)
SPACES = {text: Space.parse(text) for text in TEXTS}
PARAMETERS = [(text, each) for text, space in SPACES.items() for each in space.parameters]


def inside(parameter: Parameter) -> list[Value]:
    """The limits and what lies between them, evenly on the parameter's own scale; all values of a list."""
    match parameter:
        case Categorical():
            return list(parameter.values)
        case Integer():
            steps = [parameter.low + (parameter.high - parameter.low) * k // 20 for k in range(21)]
            return sorted({*steps, parameter.low, parameter.high})
        case Continuous():
            return [parameter.low, *(between(parameter, k / 20) for k in range(1, 20)), parameter.high]


def between(parameter: Continuous, share: float) -> float:
    low, high = parameter.low, parameter.high
    if parameter.scale == "linear":
        value = low + share * (high - low)
    elif parameter.scale == "log":
        value = low ** (1 - share) * high**share
    else:
        value = 1 - (1 - low) ** (1 - share) * (1 - high) ** share
    return min(max(value, low), high)


def outside(parameter: Parameter) -> list[Value]:
    match parameter:
        case Categorical():
            return [7777, 0.123, "adamax", "none of these"]
        case Integer():
            return [parameter.low - 1, parameter.high + 1, -9, 10**6]
        case Continuous():
            beyond = 1e-9 * (parameter.high - parameter.low) + 1e-12
            return [parameter.low - beyond, parameter.high + beyond, parameter.low - 1, parameter.high + 1]


def optuna_accepts(parameter: Parameter, value: Value) -> bool:
    space = Space((parameter,))
    ((name, distribution),) = to_optuna(space).items()
    param = params_for_optuna(space, {parameter.name: value})[name]
    try:
        return bool(distribution._contains(distribution.to_internal_repr(param)))
    except ValueError:
        # Optuna's refusal of what is no value of the list, or no positive number on a logarithmic scale.
        return False


def sagemaker_accepts(parameter: Parameter, value: Value) -> bool:
    sdk = parameter_ranges(Space((parameter,)))[parameter.name]
    # The SDK's lists hold texts.
    return bool(sdk.is_valid(str(value) if sdk.__name__ == "Categorical" else value))


def test_every_kind_and_scale_is_there() -> None:
    kinds = {(type(each), getattr(each, "scale", None)) for _, each in PARAMETERS}
    assert kinds == {
        *((Continuous, "linear"), (Continuous, "log"), (Continuous, "reverse_log")),
        *((Integer, "linear"), (Integer, "log"), (Categorical, None)),
    }
    assert len(PARAMETERS) == 3 + 8 + 5 + 3 + 2 + 5 + 5


@pytest.mark.parametrize(("text", "parameter"), PARAMETERS, ids=lambda each: getattr(each, "name", ""))
def test_both_accept_the_same_values(text: str, parameter: Parameter) -> None:
    for value in inside(parameter):
        assert parameter.contains(value), value
        assert optuna_accepts(parameter, value), value
        assert sagemaker_accepts(parameter, value), value
    for value in outside(parameter):
        assert not parameter.contains(value), value
        assert not optuna_accepts(parameter, value), value
        assert not sagemaker_accepts(parameter, value), value


@pytest.mark.parametrize("text", TEXTS)
def test_what_optuna_covers_is_what_sagemaker_covers(text: str) -> None:
    space = SPACES[text]
    seen: dict[str, list[Value]] = {name: [] for name in space.names}
    for values in covered(space):
        assert space.contains(values), values
        for each in space.parameters:
            assert sagemaker_accepts(each, values[each.name])
            seen[each.name].append(values[each.name])
    for each in space.parameters:
        if isinstance(each, Categorical):
            assert set(seen[each.name]) == set(each.values)
        else:
            # From the one limit to the other, which are SageMaker's as well.
            assert min(seen[each.name]) == pytest.approx(each.low, rel=1e-12, abs=1e-15)
            assert max(seen[each.name]) == pytest.approx(each.high, rel=1e-12)


def covered(space: Space) -> Iterator[dict[str, Value]]:
    """What Optuna's samplers can choose: the corners and the inside of the cube in which they work."""
    distributions = to_optuna(space)
    transform = _SearchSpaceTransform(distributions)
    low, high = transform.bounds[:, 0], transform.bounds[:, 1]
    for step in range(41):
        point = low + (high - low) * step / 40
        # A list's values have a dimension each, and the largest one wins: each of them in turn.
        for name, columns in zip(distributions, transform.column_to_encoded_columns, strict=True):
            if isinstance(distributions[name], CategoricalDistribution):
                point[columns] = 0
                point[columns[step % len(columns)]] = 1
        yield values_from_optuna(space, transform.untransform(point))


@pytest.mark.parametrize(("text", "parameter"), PARAMETERS, ids=lambda each: getattr(each, "name", ""))
def test_what_sagemaker_sends_comes_back_typed(text: str, parameter: Parameter) -> None:
    sdk = parameter_ranges(Space((parameter,)))[parameter.name]
    values = inside(parameter)
    if sdk.__name__ == "Categorical":
        plain, encoded = (form(parameter.name)["Values"] for form in (sdk.as_tuning_range, sdk.as_json_range))
        listed = values if isinstance(parameter, Categorical) else values[:1]
        sent = [(text, value) for texts in (plain, encoded) for text, value in zip(texts, listed, strict=True)]
    else:
        limits = sdk.as_tuning_range(parameter.name)
        sent = [(limits["MinValue"], values[0]), (limits["MaxValue"], values[-1])]
        sent += [(str(value), value) for value in values]
        sent += [(json.dumps(str(value)), value) for value in values]
    assert len(sent) >= 2
    for text_sent, value in sent:
        received = getattr(Hyperparameters.parse({parameter.name: text_sent}), parameter.name)
        assert (received, type(received)) == (value, type(value))


def test_params_stand_for_their_values() -> None:
    checked = 0
    for space in SPACES.values():
        for share in range(0, 21, 5):
            values = {each.name: inside(each)[min(share, len(inside(each)) - 1)] for each in space.parameters}
            again = values_from_optuna(space, params_for_optuna(space, values))
            for each in space.parameters:
                if getattr(each, "scale", "") == "reverse_log":
                    assert again[each.name] == pytest.approx(values[each.name], abs=1e-15)
                else:
                    assert again[each.name] == values[each.name]
                assert type(again[each.name]) is type(values[each.name])
                checked += 1
    assert checked == 5 * len(PARAMETERS)


def test_the_distributions() -> None:
    space = Space.parse("lr=0.001:0.1:log; mixup=0:1; epochs=2:5; image_size=32:512:log; batch_size=16,32")
    assert to_optuna(space) == {
        "lr": FloatDistribution(0.001, 0.1, log=True),
        "mixup": FloatDistribution(0.0, 1.0),
        "epochs": IntDistribution(2, 5),
        "image_size": IntDistribution(32, 512, log=True),
        "batch_size": CategoricalDistribution((16, 32)),
    }
    ((name, distribution),) = to_optuna(Space.parse("ema_decay=0.9:0.999:reverse_log")).items()
    assert name == "1 - ema_decay"
    assert distribution.log
    assert (distribution.low, distribution.high) == pytest.approx((0.001, 0.1))


@pytest.mark.parametrize(
    ("text", "middle"),
    [
        # Half of 0.001 + 0.1.
        ("lr=0.001:0.1", 0.0505),
        # The square root of 0.001 * 0.1 = 0.0001.
        ("lr=0.001:0.1:log", 0.01),
        # 1 - x from 0.1 to 0.001: 1 less the square root of 0.1 * 0.001 = 0.0001.
        ("ema_decay=0.9:0.999:reverse_log", 0.99),
        # 1 less the square root of 0.64 * 0.25 = 0.16
        ("label_smoothing=0.36:0.75:reverse_log", 0.6),
        # Each integer has as much room as the others, from 1.5 to 6.5 in all: 8 / 2.
        ("epochs=2:6", 4),
        # From 31.5 to 512.5: the square root of 16143.75 is 127.06.
        ("image_size=32:512:log", 127),
    ],
)
def test_the_middle_of_each_scale(text: str, middle: float) -> None:
    space = Space.parse(text)
    transform = _SearchSpaceTransform(to_optuna(space))
    values = values_from_optuna(space, transform.untransform(transform.bounds.mean(axis=1)))
    assert list(values.values()) == [pytest.approx(middle, rel=1e-12)]


def test_the_middle_of_a_list_is_none() -> None:
    """Values of a list have no order: Optuna gives each its own dimension."""
    transform = _SearchSpaceTransform(to_optuna(Space.parse("batch_size=16,32,64; lr=0.1:1")))
    assert transform.bounds.shape == (4, 2)


def test_rounding_leads_nowhere_outside() -> None:
    """1 - (1 - 0.1) is 0.09999999999999998, and exp(log(0.3)) is 0.30000000000000004."""
    assert 1 - (1 - 0.1) < 0.1
    space = Space.parse("flip=0.1:0.5:reverse_log; lr=0.01:0.3:log")
    params: dict[str, Any] = {"1 - flip": 1 - 0.1, "lr": math.nextafter(0.3, 1)}
    assert values_from_optuna(space, params) == {"flip": 0.1, "lr": 0.3}
