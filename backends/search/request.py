"""The request of a search, checked as a whole before anything starts."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from backends.errors import BackendError
from backends.inputs import check_data_path, parse_settings
from backends.runs import Run
from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters
from tuning.objective import parse_objectives
from tuning.space import Space, read_space

# Off in trials unless set, for it costs more than the training; a training with the best hyperparameters has it all.
ONLY_FOR_THE_BEST: Final = {"tensorboard": "off", "debug": "off", "profile": "off", "export": "none"}

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class SearchRequest:
    """data: the trials' data set. hyperparameters: those that all trials have in common; its tune_* fields describe the
    search. explicit: the names of those that the person set.
    """

    data: Path
    hyperparameters: Hyperparameters
    explicit: tuple[str, ...] = ()

    @property
    def space(self) -> Space:
        return Space.parse(self.hyperparameters.tune_space)

    def of_trial(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        """A trial's hyperparameters as its training gets them."""
        off = {name: value for name, value in ONLY_FOR_THE_BEST.items() if name not in self.explicit}
        # With the objective, so that the training measures what only that needs.
        return replace(hyperparameters, **off, tune_objective=self.hyperparameters.tune_objective)  # type: ignore[arg-type]

    def changed(self, changes: Mapping[str, int]) -> "SearchRequest":
        """With other values of tune_trials, tune_minutes or tune_parallel."""
        return replace(self, hyperparameters=replace(self.hyperparameters, **changes))  # type: ignore[arg-type]

    def switched_off(self) -> list[str]:
        """`tensorboard=off` and so on: what is off in the trials alone, and on in a training with the best."""
        plain = asdict(self.hyperparameters)
        return [f"{k}={v}" for k, v in ONLY_FOR_THE_BEST.items() if k not in self.explicit and plain[k] != v]

    def to_record(self) -> dict[str, Any]:
        """What run.json keeps of it."""
        return {"data": str(self.data), "hyperparameters": asdict(self.hyperparameters), "given": list(self.explicit)}

    @classmethod
    def of_run(cls, run: Run) -> "SearchRequest":
        """The request in a run's record. Raises BackendError when this Kennel can't read it."""
        try:
            hyperparameters = Hyperparameters.parse(run.record["hyperparameters"])
        except ConfigError as error:
            raise BackendError(f"{run.path / 'run.json'}: {error}") from error
        return cls(Path(run.record["data"]), hyperparameters, tuple(run.record.get("given", ())))


@dataclass(frozen=True)
class SearchOptions:
    """A command line's options, not yet checked."""

    data: Path
    settings: Sequence[str]
    params: Sequence[str]
    space: str | None
    search: Mapping[str, object]  # trials, objective, sampler, pruner, parallel, minutes


def parse_search_options(options: SearchOptions) -> SearchRequest:
    """Check the options of a search. Raises BackendError with the faults of all of them at once."""
    faults: list[str] = []

    def attempt(make: Callable[[], _Result]) -> _Result | None:
        try:
            return make()
        except (BackendError, ConfigError) as error:
            faults.append(str(error))
            return None

    data = attempt(lambda: check_data_path(options.data))
    settings = attempt(lambda: parse_settings(options.settings)) or {}
    explicit = [name.replace("-", "_") for name in settings]
    faults += [
        f"--set {name}: has an option of its own, --{name.removeprefix('tune_')}"
        for name in explicit
        if name.startswith("tune_") and name in {field.name for field in fields(Hyperparameters)}
    ]
    plain = {name: value for name, value in settings.items() if not name.replace("-", "_").startswith("tune_")}
    tune = {f"tune_{name}": value for name, value in options.search.items()}
    hyperparameters = attempt(lambda: _hyperparameters({**plain, **tune}))
    space = attempt(lambda: read_space(options.params, options.space))
    attempt(lambda: parse_objectives(str(options.search["objective"])))
    if space is not None:
        faults += [
            f"{name}: is set for all trials and searched as well; leave --set {name} out, or name with --param "
            "what is to be searched"
            for name in space.names
            if name in explicit
        ]
    if faults or hyperparameters is None or data is None or space is None:
        raise BackendError(" | ".join(faults))
    return SearchRequest(data, replace(hyperparameters, tune_space=space.to_json()), tuple(explicit))


def _hyperparameters(values: Mapping[str, object]) -> Hyperparameters:
    """Raises BackendError with the options' names: --trials, not tune_trials."""
    try:
        return Hyperparameters.parse(values)
    except ConfigError as error:
        raise BackendError(re.sub(r"\btune_([a-z]+):", r"--\1:", str(error))) from error
