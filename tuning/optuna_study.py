"""What chooses values and ends trials early: Optuna, on a study in memory that has the trials that count, and no other.

The study on disk has interrupted trials too, and its numbers go on with each; decisions that rest on this one are the
same whether the search was interrupted or not.

Optuna takes two thirds of a second to import, so nothing imports it before a search begins. It has no reverse
logarithmic scale: of such a hyperparameter its parameter is 1 - value, named `1 - NAME`.
"""

import hashlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tuning.settings import SearchSettings
from tuning.space import Categorical, Continuous, Integer, Parameter, Space, Value
from tuning.trial_record import Record

# Random points that are tried, when the sampler's has been tried already, before all are gone through.
RANDOM_POINTS = 20


class Optimizer:
    """refused: whether a trial of these values is not to be had; asked when values are chosen."""

    def __init__(self, settings: SearchSettings, refused: Callable[[dict[str, Value], bool], bool]) -> None:
        self._settings = settings
        self._space = settings.space
        # By name: the order in which a space is written decides nothing.
        self._distributions = dict(sorted(to_optuna(settings.space).items()))
        self._refused = refused
        self._number = 0
        self._running: dict[int, Any] = {}
        self.study = quiet_optuna().create_study(
            study_name="kennel",  # Hyperband's brackets follow from it
            directions=[each.direction for each in settings.objectives],
            sampler=_sampler(self._distributions, self._choose),
            pruner=pruner_of(settings),
        )

    def add(self, trial: Any) -> None:
        """A trial that has ended, as the journal has it."""
        lean = quiet_optuna().trial.create_trial(
            state=trial.state,
            values=trial.values,
            params=trial.params,
            distributions=trial.distributions,
            system_attrs=trial.system_attrs,
            intermediate_values=trial.intermediate_values,
        )
        self.study.add_trial(lean)

    def ask(self, number: int, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The next trial's parameters as Optuna knows them. params: these, with nothing to choose."""
        if params is not None:
            self.study.enqueue_trial(dict(params))
        self._number = number
        trial = self.study.ask(fixed_distributions=self._distributions)
        self._running[number] = trial
        return dict(trial.params)

    def trial(self, number: int) -> Any:
        """Optuna's own of a running trial, not to be changed."""
        return self.study.get_trials(deepcopy=False)[self._running[number].number]

    def report(self, number: int, epoch: int, value: float) -> tuple[bool, dict[str, Any]]:
        """Whether the trial is to end, and what the pruner has noted of it."""
        trial = self._running[number]
        before = set(self.trial(number).system_attrs)
        trial.report(value, epoch)
        ends = trial.should_prune()
        return ends, {key: note for key, note in self.trial(number).system_attrs.items() if key not in before}

    def end(self, record: Record) -> Any:
        """Pass a trial's outcome to Optuna; returns Optuna's trial."""
        state = quiet_optuna().trial.TrialState
        trial = self._running.pop(record.number)
        if record.state == "completed":
            return self.study.tell(trial, list(record.objective or ()))
        if record.state == "failed":
            # For a sampler it is worse than any other, however good it was at first.
            trial.set_constraint("failed", 1.0)
        return self.study.tell(trial, state=state.PRUNED)

    def drop(self, number: int) -> None:
        """A running trial that is not to count."""
        self.study.tell(self._running.pop(number), state=quiet_optuna().trial.TrialState.FAIL)

    def _choose(self) -> dict[str, Any]:
        """The sampler's point; if it is refused, random ones; then, of a finite space, the first that is not."""
        params = self._draw(0)
        if not self._refused(values_from_optuna(self._space, params), True):
            return params
        for attempt in range(1, 1 + RANDOM_POINTS):
            params = self._draw(attempt)
            if not self._refused(values_from_optuna(self._space, params), False):
                return params
        if self._space.points is not None:
            for values in _all_points(self._space):
                if not self._refused(values, False):
                    return params_for_optuna(self._space, values)
        return params

    def _draw(self, attempt: int) -> dict[str, Any]:
        samplers = quiet_optuna().samplers
        digest = hashlib.sha256(f"{self._settings.seed} {self._number} {attempt}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        if attempt or self._settings.sampler == "random":
            sampler = samplers.RandomSampler(seed=seed)
        else:
            sampler = samplers.TPESampler(seed=seed, constant_liar=self._settings.parallel > 1)
        trial = self.study.get_trials(deepcopy=False)[-1]
        together = sampler.infer_relative_search_space(self.study, trial)
        params = dict(sampler.sample_relative(self.study, trial, together))
        for name, distribution in self._distributions.items():
            if name not in params:
                params[name] = sampler.sample_independent(self.study, trial, name, distribution)
        return params


def _all_points(space: Space) -> Iterator[dict[str, Value]]:
    """Of a finite space."""
    parameters = sorted(space.parameters, key=lambda each: each.name)
    for point in itertools.product(*map(_choices, parameters)):
        yield {each.name: value for each, value in zip(parameters, point, strict=True)}


def _choices(parameter: Parameter) -> Sequence[Value]:
    match parameter:
        case Categorical():
            return parameter.values
        case Continuous():
            return (parameter.low,)
        case Integer():
            return range(parameter.low, parameter.high + 1)


def _sampler(distributions: dict[str, Any], choose: Callable[[], dict[str, Any]]) -> Any:
    """What makes `study.ask` take the values that `choose` gives."""
    from optuna.samplers import BaseSampler

    class Chosen(BaseSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:  # noqa: ARG002
            return {name: each for name, each in distributions.items() if not each.single()}

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:  # noqa: ARG002
            return choose()

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:  # noqa: ARG002
            raise AssertionError(f"{param_name}: every parameter is chosen together with the others")

    return Chosen()


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
