"""The results of a search, read from its tuning.json, which a tuning run and a one-job search write alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from backends.console import print_table, say
from backends.errors import BackendError
from backends.inputs import parse_hyperparameters
from backends.runs import Run, find_run
from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters

DOCUMENT: Final = "ml/output/data/tuning.json"
BEST: Final = "ml/output/data/best-hyperparameters.json"
_SHOWN: Final = 5

Document = Mapping[str, Any]
Row = Mapping[str, Any]


def read_search(run: Run) -> dict[str, Any]:
    """The run's tuning.json; empty without one."""
    return run.read_json(DOCUMENT)


def best_hyperparameters(run: Run) -> Hyperparameters:
    """Those of a search's best trial, to train with. Raises BackendError when no trial was completed."""
    values = run.read_json(BEST)
    if not values:
        reason = f"its search has no completed trial yet (it is {run.status})" if _searched(run) else "it is no search"
        raise BackendError(f"run {run.name} has no best hyperparameters: {reason}; deploy.py status lists the runs")
    try:
        return Hyperparameters.parse(values)
    except ConfigError as error:
        raise BackendError(f"{run.path / BEST}: {error}") from error


def resolve_training_request(
    runs: Path, data: Path | None, settings: Mapping[str, str], tuning: str | None
) -> tuple[Path, Hyperparameters]:
    """Data set and hyperparameters of a training: `settings`, over the best of the search `tuning` if there is one.

    Without `data` the data set is the search's. Raises BackendError.
    """
    if tuning is None:
        if data is None:
            raise BackendError("--data is missing: give it the photos' folder, or a search with --from-tuning")
        return data, parse_hyperparameters(settings)
    run = find_run(runs, tuning)
    changes = {name.replace("-", "_"): value for name, value in settings.items()}
    hyperparameters = parse_hyperparameters({**best_hyperparameters(run).to_json(), **changes})
    return data or Path(run.record["data"]), hyperparameters


def _searched(run: Run) -> bool:
    return run.kind == "tuning" or bool(run.record.get("hyperparameters", {}).get("tune_trials"))


def best_trial(document: Document) -> Row | None:
    """The best trial's row, if there is a completed one."""
    return next((row for row in document.get("trials", ()) if row["number"] == document["best"]), None)


def describe_search(document: Document) -> str:
    """`7 of 20 trials, best validation_accuracy 0.9342 (trial 3)`; nothing for an empty document."""
    if not document:
        return ""
    text = f"{sum(document['counts'].values())} of {document['trials_wanted']} trials"
    if best := best_trial(document):
        text += f", best {_objectives(document, best)} (trial {best['number']})"
    return text


def print_search(run: Run) -> None:
    """A table of the best few trials, the best hyperparameters and their file; nothing if the run hasn't searched."""
    document = read_search(run)
    if not document:
        return
    objectives = [objective["metric"] for objective in document["objectives"]]
    names = [parameter["name"] for parameter in document["space"]]
    rows = [_cells(document, row, names) for row in _ranked(document)[:_SHOWN]]
    if rows:
        print_table(("trial", *objectives, *names, "trained", "seconds", "run"), rows)
    counts = ", ".join(f"{count} {state}" for state, count in document["counts"].items() if count)
    say(f"{describe_search(document)}" + (f"; {counts}" if counts else ""))
    if document["state"] == "completed" and document["reason"]:
        say(f"it ended before all trials had their turn: {document['reason']}")
    for note in document["notes"]:
        say(note)
    if best := best_trial(document):
        say("best hyperparameters: " + ", ".join(f"{name} {_short(value)}" for name, value in best["values"].items()))
        say(f"all of them: {run.path / BEST}")


def _ranked(document: Document) -> list[Row]:
    """Completed trials, the best first; with several objectives first those that no other one beats in all."""
    done = [row for row in document["trials"] if row["state"] == "completed" and row["objective"]]
    sign = -1 if document["objectives"][0]["direction"] == "maximize" else 1
    front = set(document["front"])
    return sorted(
        done,
        key=lambda row: (
            row["number"] != document["best"], row["number"] not in front, sign * row["objective"][0], row["number"],
        ),
    )  # fmt: skip


def _cells(document: Document, row: Row, names: list[str]) -> tuple[str, ...]:
    mark = " best" if row["number"] == document["best"] else ""
    return (
        f"{row['number']}{mark}",
        *(_short(value) for value in row["objective"]),
        *(_short(row["values"][name]) for name in names),
        f"{len(row['epochs'])} epochs",
        f"{row['seconds']:.1f}",
        row["run"] or "",
    )


def _objectives(document: Document, row: Row) -> str:
    pairs = zip(document["objectives"], row["objective"], strict=True)
    return ", ".join(f"{objective['metric']} {_short(value)}" for objective, value in pairs)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
