"""What defines a search. Standard library only."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters
from tuning.objective import Objective, parse_objectives
from tuning.space import Space, Value

# Of the search itself: no trial is trained with them.
_OF_THE_SEARCH = tuple(each.name for each in fields(Hyperparameters) if each.name.startswith("tune_"))


@dataclass(frozen=True)
class SearchSettings:
    """base: what all trials have in common, with every `tune_` hyperparameter at its default. minutes: 0, no limit."""

    space: Space
    objectives: tuple[Objective, ...]
    trials: int
    sampler: str
    pruner: str
    seed: int
    base: Hyperparameters
    parallel: int = 1
    minutes: float = 0

    @classmethod
    def of(cls, hyperparameters: Hyperparameters) -> "SearchSettings":
        """From the `tune_` hyperparameters. Raises ConfigError for a space or objectives that aren't any."""
        return cls(
            space=Space.parse(hyperparameters.tune_space),
            objectives=parse_objectives(hyperparameters.tune_objective),
            trials=hyperparameters.tune_trials,
            sampler=hyperparameters.tune_sampler,
            pruner=hyperparameters.tune_pruner,
            seed=hyperparameters.seed,
            base=without_search(hyperparameters),
            parallel=max(1, hyperparameters.tune_parallel),
            minutes=hyperparameters.tune_minutes,
        )

    def identity(self) -> dict[str, Any]:
        """What must be the same for a search to go on: all but trials, parallel and minutes. Plain JSON."""
        return {
            "space": self.space.to_dict(),
            "objectives": [str(each) for each in self.objectives],
            "sampler": self.sampler,
            "pruner": self.pruner,
            "seed": self.seed,
            "base": self.common(),
        }

    def common(self) -> dict[str, Any]:
        """The hyperparameters that all trials share, typed: neither those of the space nor the search's own."""
        others = (*self.space.names, *_OF_THE_SEARCH)
        return {name: value for name, value in asdict(self.base).items() if name not in others}


def without_search(hyperparameters: Hyperparameters) -> Hyperparameters:
    """The same with every `tune_` hyperparameter at its default, so that no search is made."""
    defaults = Hyperparameters()
    return replace(hyperparameters, **{name: getattr(defaults, name) for name in _OF_THE_SEARCH})


def base_values(settings: SearchSettings) -> dict[str, Value]:
    """What the base has for the space's hyperparameters, which need not lie in the space."""
    return {name: getattr(settings.base, name) for name in settings.space.names}


def clash_in(hyperparameters: Hyperparameters) -> str | None:
    """Why these can't be trained with, if values that are allowed each don't go together."""
    try:
        Hyperparameters.parse(hyperparameters.to_json())
    except ConfigError as error:
        return str(error)
    return None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two identities, each as `space.lr: {...} before, {...} now`."""
    found = []
    for name in dict.fromkeys([*before, *now]):
        was, is_now = before.get(name), now.get(name)
        if isinstance(was, Mapping) and isinstance(is_now, Mapping) and name in ("space", "base"):
            found += [
                _difference(f"{name}'s {key}" if name == "space" else key, was.get(key), is_now.get(key))
                for key in dict.fromkeys([*was, *is_now])
                if was.get(key) != is_now.get(key)
            ]
        elif was != is_now:
            found.append(_difference(name, was, is_now))
    return list(dict.fromkeys(found))


def _difference(name: str, was: object, is_now: object) -> str:
    return f"{name} was {_plain(was)} and is {_plain(is_now)}"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        if "values" in value:
            return ",".join(str(each) for each in value["values"])
        return ":".join(str(each) for each in value.values())
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return "not there" if value is None else str(value)
