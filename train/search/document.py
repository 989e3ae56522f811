"""A search as one JSON document, tuning.json, from which its page is made; and the files a search leaves."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from contract.files import write_json
from contract.hyperparameters import Hyperparameters
from contract.version import VERSION
from train.search.importance import importance_of
from train.search.record import Record
from train.search.settings import SearchSettings
from train.search.space import Categorical, Integer, Parameter

FORMAT = 1
DOCUMENT = "tuning.json"
BEST = "best-hyperparameters.json"


class Told(Protocol):
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


def document_of(search: Told, state: str, reason: str | None, winner: dict[str, Any] | None = None) -> dict[str, Any]:
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
