"""What a search has found: tuning.json, from which its page is made, its log's lines and the files it leaves.

SageMaker reads metrics from the log by `name=value;`: no line of a search may look like that.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from contract.files import write_json
from contract.hyperparameters import Hyperparameters
from contract.version import VERSION
from tuning.objective import Objective
from tuning.optuna_study import optuna_importance, optuna_name, pruning_note, quiet_optuna, to_optuna
from tuning.settings import SearchSettings, base_values
from tuning.space import Categorical, Integer, Parameter, Value
from tuning.trial_record import Record, Row

FORMAT = 1
DOCUMENT = "tuning.json"
BEST = "best-hyperparameters.json"


class SearchView(Protocol):
    """What the document is made from: a `Search` of our own, or what is known of one that was made elsewhere.

    finished, running: by number. front: the trials that no other surpasses, the best foremost. began: seconds since
    1970. seconds: of searching. interrupted: how often a trial was begun and came to no end.
    """

    @property
    def settings(self) -> SearchSettings: ...
    @property
    def finished(self) -> list[Record]: ...
    @property
    def running(self) -> list[Record]: ...
    @property
    def front(self) -> list[Record]: ...
    @property
    def began(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def interrupted(self) -> int: ...
    @property
    def notes(self) -> list[str]: ...


def document_of(
    search: SearchView, state: str, reason: str | None, winner: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The document of docs/tuning.md, plain JSON without NaN. Trials that run are in it while the search does."""
    settings, finished = search.settings, search.finished
    shown = sorted([*finished, *(search.running if state == "running" else [])], key=lambda each: each.number)
    counts: Counter[str] = Counter(each.state for each in finished)
    front = search.front
    return {
        "format": FORMAT,
        "kennel": VERSION,
        "state": state,
        "reason": reason,
        "objectives": [{"metric": each.metric, "direction": each.direction} for each in settings.objectives],
        "sampler": settings.sampler,
        "pruner": settings.pruner,
        "seed": settings.seed,
        "parallel": settings.parallel,
        "trials_wanted": settings.trials,
        "space": [_parameter(each) for each in settings.space.parameters],
        "base": settings.common(),
        "started": search.began,
        "seconds": search.seconds,
        "interruptions": search.interrupted,
        "counts": {name: counts[name] for name in ("completed", "pruned", "failed")},
        "best": front[0].number if front else None,
        "front": [each.number for each in front],
        "hyperparameters": asdict(front[0].hyperparameters) if front else None,
        "trials": [_trial(each) for each in shown],
        "importance": importance_of(finished, settings),
        "winner": winner,
        "notes": search.notes,
    }


def write_results(folder: Path, document: dict[str, Any]) -> None:
    """Write tuning.json, and the best hyperparameters as `train` takes them if there are any; each whole or not at all.

    Raises OSError as the file system gives it.
    """
    write_json(folder / DOCUMENT, document)
    if document["hyperparameters"] is not None:
        write_json(folder / BEST, Hyperparameters(**document["hyperparameters"]).to_json())


def _parameter(each: Parameter) -> dict[str, Any]:
    kind = "categorical" if isinstance(each, Categorical) else "integer" if isinstance(each, Integer) else "continuous"
    return {"name": each.name, "kind": kind, **each.to_dict()}


def _trial(each: Record) -> dict[str, Any]:
    return {
        "number": each.number,
        "state": each.state,
        "values": each.values,
        "objective": None if each.objective is None else list(each.objective),
        "metrics": each.metrics,
        "epochs": [each.epochs[epoch] for epoch in sorted(each.epochs)],
        "started": each.started,
        "seconds": each.seconds,
        "reason": each.reason,
        "repeats": each.repeats,
        "run": each.run,
    }


def notes_of(settings: SearchSettings) -> list[str]:
    """What a reader of the results should know of how they came about."""
    notes = []
    if note := pruning_note(settings):
        notes.append(note)
    base = base_values(settings)
    if not settings.space.contains(base):
        parameters = settings.space.parameters
        outside = [f"{each.name} {base[each.name]}" for each in parameters if not each.contains(base[each.name])]
        notes.append(f"the base configuration was not tried, as it is outside the space: {', '.join(outside)}")
    return notes


def failure_of(finished: Sequence[Record], reason: str | None) -> str:
    """A sentence for a search that has no best trial. reason: why it ended."""
    if not finished:
        return "the search ended before any trial did" + (f": {reason}" if reason else "")
    reasons = [each.reason for each in finished if each.reason]
    first = f"; the first one: {reasons[0]}" if reasons else ""
    if len(reasons) < len(finished):
        return f"none of {len(finished)} trials was trained to its end, {len(reasons)} failed{first}"
    return f"all {len(finished)} trials failed{first}" if len(finished) > 1 else f"the only trial failed: {reasons[0]}"


def finished_line(record: Record, objectives: Sequence[Objective], trials: int, best: Record | None) -> str:
    """`trial 7 of 20: lr 0.0123, batch_size 32: validation_accuracy 0.9123, 4 epochs in 0.4 s (best 0.9342, trial 3)`.

    trials: how many are wanted. best: of those so far, this one included.
    """
    line = f"trial {record.number} of {trials}: {values_in_words(record.values)}: {_outcome(record, objectives)}"
    if best is not None and best.objective:
        line += f" (best {best.objective[0]:.4f}, trial {best.number})"
    return " ".join(line.replace("=", " ").split())


def values_in_words(values: Mapping[str, Value]) -> str:
    """`lr 0.0123, batch_size 32`."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _outcome(record: Record, objectives: Sequence[Objective]) -> str:
    if record.state == "failed":
        after = f" after {record.seconds:.1f} s" if record.seconds else ""
        return f"failed{_as(record)}{after}: {record.reason}"
    if record.state == "pruned":
        how = f"ended early{_reached(record, objectives[0])}"
    else:
        values = zip(objectives, record.objective or (), strict=True)
        how = ", ".join(f"{each.metric} {value:.4f}" for each, value in values)
    return f"{how},{_as(record)}" if record.repeats else f"{how}, {_epochs(record)}in {record.seconds:.1f} s"


def _as(record: Record) -> str:
    return f" as trial {record.repeats} with the same values" if record.repeats else ""


def _reached(record: Record, objective: Objective) -> str:
    rows: list[Row] = list(record.epochs.values())
    value = rows[-1].get(objective.metric) if rows else None
    return "" if value is None else f" at {objective.metric} {value:.4f}"


def _epochs(record: Record) -> str:
    count = len(record.epochs)
    return f"{count} epoch{'s' if count > 1 else ''} " if count else ""


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
