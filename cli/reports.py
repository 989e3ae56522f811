"""The reports of a job: deploy.py evaluate, debug and report, and the table of rules."""

import json
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.markup import escape

from backends.base import Backend
from backends.console import print_table, say, show_progress
from backends.errors import BackendError
from backends.inputs import check_report
from backends.jobs import describe
from backends.runs import Run, find_artifact, find_run
from backends.search.results import print_search

# In the order of their importance.
PAGES: Final = (
    ("tuning", "tuning-report.html"),
    ("evaluation", "evaluation.html"),
    ("debugger", "debugger-report.html"),
    ("profiler", "profiler-report.html"),
)
_DATA: Final = "output/data"
_DEBUGGER: Final = "debugger-report.json"
_STYLES: Final = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def evaluate_artifact(
    backend: Backend, runs: Path, artifact: str | None, data: Path, compare: str | None, report: Path | None
) -> None:
    """Evaluate an artifact, or compare it with another, and print the result and the reports' paths."""
    folder = find_artifact(runs, artifact)
    baseline = find_artifact(runs, compare) if compare is not None else None
    target = check_report(report or runs / ("comparison.json" if baseline else "evaluation.json"))
    with show_progress("comparing" if baseline else "evaluating") as watch:
        backend.evaluate(folder, data, target, watch, baseline)
    result = _read(target)
    if baseline:
        outcome = result["verdict"]
    else:
        outcome = f"accuracy {result['accuracy']:.4f}, top-5 {result['top5_accuracy']:.4f}"
        outcome += f", macro F1 {result['macro_f1']:.4f}"
    say(f"{result['n']} images: {outcome}")
    print_report(target)


def _read(report: Path) -> dict[str, Any]:
    """A report's JSON, whose notes are printed."""
    document: dict[str, Any] = json.loads(report.read_text())
    for note in document["notes"]:
        say(note)
    return document


def print_report(report: Path) -> None:
    """The paths of a report's page and of its JSON."""
    say(str(report.with_suffix(".html")))
    say(str(report))


def debug_tensors(backend: Backend, runs: Path, path: str, rules: str, report: Path | None) -> None:
    """Judge a folder of tensors, or of profiler files; print the rules' findings and the reports' paths."""
    target = check_report(report or runs / ("profiler-report.json" if looks_like_profile(path) else _DEBUGGER))
    with show_progress("judging") as watch:
        backend.debug(path, target, rules, watch)
    document = _read(target)
    if "trends" in document:
        steps = ", ".join(f"{count} {mode}" for mode, count in document["steps"].items())
        say(f"{path}: saved steps: {steps}")
    else:
        say(f"{path}: {document['system']['samples']} samples of the machine, {document['steps']['n']} steps")
        for sentence in document["headline"]:
            say(sentence)
    print_rules([document])
    print_report(target)


def looks_like_profile(path: str) -> bool:
    """Whether a folder holds a profiler's files, for the report's name; what judges it looks closer."""
    folder = Path(path)
    old = (folder.glob(f"{depth}system/incremental") for depth in ("", "*/", "*/*/"))
    return "://" not in path and ((folder / "system.jsonl").is_file() or any(next(each, None) for each in old))


def print_rules(documents: Sequence[Mapping[str, Any]]) -> None:
    """A table of rules, those with findings first: how often each fired, its first finding and what to do about it."""
    rules = [rule for document in documents for rule in document.get("rules", [])]
    order = {"IssuesFound": 0, "Error": 1}
    rows = [_row(rule) for rule in sorted(rules, key=lambda rule: order.get(rule["status"], 2))]
    if rows:
        print_table(("rule", "status", "fired", "what it found, and what to do"), rows)


def _row(rule: Mapping[str, Any]) -> tuple[str, str, str, str]:
    status = rule["status"]
    # SageMaker doesn't report how often its own rules were evaluated.
    counts = rule.get("report")
    fired = f"{counts['RuleTriggered']} of {counts['Datapoints']}" if counts else ""
    if status != "IssuesFound":
        # The limits of a rule that found nothing are on the page.
        shown = status == "Error" or rule["severity"] == "info"
        return rule["name"], status, fired, escape(rule.get("note") or "") if shown else ""
    finding = rule["findings"][0] if rule["findings"] else {"text": rule["fires"]}
    step = finding.get("mode_step", finding.get("step"))
    mode = "" if finding.get("mode") in (None, "TRAIN", "GLOBAL") else f"{finding['mode']} "
    text = finding["text"] if step is None else f"{mode}step {step}: {finding['text']}"
    advice = rule.get("advice") or rule.get("recommendation") or ""
    style = _STYLES[rule["severity"]]
    action = f" [{rule['action']}]" if rule.get("action") else ""
    return rule["name"], f"[{style}]{status}[/{style}]", fired, escape(f"{text.rstrip('.')}. {advice}{action}")


def run_documents(run: Run) -> list[dict[str, Any]]:
    """The debugger's and the profiler's documents of a run, and what SageMaker's rules found, those that are there."""
    names = (_DEBUGGER, "profiler-report.json", "sagemaker-rules.json")
    return [document for name in names if (document := run.read_json(f"ml/{_DATA}/{name}"))]


def pages(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, file) of the pages in a run's folder ml."""
    for name, file in PAGES:
        if (page := folder / _DATA / file).is_file():
            yield name, page


def print_pages(run: Run) -> None:
    """One line for each page of a run."""
    for name, page in pages(run.ml):
        say(f"{name:<10}  {page}")


def print_training(run: Run) -> None:
    """Print what a training found: its search, its rules, its pages, its metrics and its artifact."""
    print_search(run)
    print_rules(run_documents(run))
    print_pages(run)
    say(f"{run.name}: {describe(run)}")
    say(str(run.artifact))


def show_reports(runs: Path, name: str, browse: bool) -> None:
    """Print a run's findings and pages; browse: open these. Raises BackendError when there is no run or no page."""
    run = find_run(runs, name)
    if not any(pages(run.ml)):
        raise BackendError(f"run {run.name} has no page yet (it is {run.status}); its log is {run.log}")
    print_search(run)
    print_rules(run_documents(run))
    print_pages(run)
    for _, page in pages(run.ml) if browse else ():
        if not webbrowser.open(page.as_uri()):
            raise BackendError(f"there is no browser to open {page} with; open it by hand")
