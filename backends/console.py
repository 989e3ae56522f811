"""Output on the terminal: progress bars, tables, a search while it runs, the closing summary."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from backends.base import JobProgress, ProgressCallback

console = Console(highlight=False)
if not console.is_terminal:
    # In a file or a pipe nothing has to fit a window.
    console.width = 200


@contextmanager
def show_progress(title: str) -> Iterator[ProgressCallback]:
    """A progress bar for one job on a terminal; elsewhere one line an epoch, fit for a log."""
    if not console.is_terminal:
        console.print(title)
        yield _log_lines()
        return
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("{task.fields[note]}"))  # fmt: skip
    with Bars(*columns, console=console) as bars:
        task = bars.add_task(title, total=None, note="starting")
        phase, note = "", ""

        def watch(progress: JobProgress) -> None:
            nonlocal phase, note
            if progress.phase != phase:
                # A new phase counts from the start again, in the same line.
                phase = progress.phase
                bars.reset(task, total=progress.total)
            # The test's metrics, which come last, have no epoch: the note stays.
            note = epoch_note(progress.metrics) or note
            bars.update(task, completed=progress.done, total=progress.total, note=note or progress.phase)

        yield watch


def _log_lines() -> ProgressCallback:
    printed: set[str] = set()

    def watch(progress: JobProgress) -> None:
        line = epoch_note(progress.metrics)
        if line and line not in printed:
            printed.add(line)
            console.print(f"  {line}")

    return watch


def epoch_note(metrics: Mapping[str, float]) -> str:
    """`epoch 3: validation accuracy 0.912`, once there is an epoch."""
    if "validation_accuracy" not in metrics or "epoch" not in metrics:
        return ""
    return f"epoch {metrics['epoch']}: validation accuracy {metrics['validation_accuracy']:.3f}"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table; long cells fold, so that paths can be copied whole."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_data(folder: str, report: Mapping[str, Any], file: str) -> None:
    """The check of a data set: images by class and split, what was skipped, what was noticed."""
    console.print(folder, markup=False, soft_wrap=True)
    splits = list(report["images"])
    counts = report["images_by_class"]
    rows = [(name, *(str(counts[split][name]) for split in splits)) for name in report["classes"]]
    print_table(("class", *splits), [*rows, ("all", *(str(report["images"][split]) for split in splits))])
    for note in report["notes"]:
        say(note)
    for file_skipped in report["skipped"][:20]:
        say(f"skipped {file_skipped['file']}: {file_skipped['reason']}")
    say(f"report: {file}")


def print_summary(rows: Sequence[tuple[str, str]], commands: Sequence[tuple[str, str]]) -> None:
    """The closing summary: what came out, and what to try next (comment, command)."""
    width = max(len(name) for name, _ in rows)
    console.print()
    for name, value in rows:
        # soft_wrap: a path must stay one word for copying, however narrow the terminal.
        console.print(f"[bold]{name:<{width}}[/bold]  {value}", soft_wrap=True)
    console.print("\nNext:")
    for comment, command in commands:
        if comment:
            console.print(f"  # {comment}", style="dim", soft_wrap=True)
        console.print(f"  {command}", soft_wrap=True, markup=False)


def print_predictions(answers: Sequence[Mapping[str, Any]]) -> None:
    """One block a file: name, then label and probability of the best classes."""
    for answer in answers:
        console.print(answer["file"], style="bold", markup=False, soft_wrap=True)
        if "error" in answer:
            console.print(f"  error: {answer['error']}", markup=False, soft_wrap=True)
        for prediction in answer.get("predictions", []):
            console.print(f"  {prediction['probability']:8.4f}  {prediction['label']}", markup=False)


def print_check(state: str, subject: str, message: str) -> None:
    """One line of `doctor`. state: ok, note or fault."""
    style = {"ok": "green", "note": "yellow", "fault": "bold red"}[state]
    console.print(f"[{style}]{state:<5}[/{style}]  {subject:<15}  {escape(message)}", soft_wrap=True)


def say(text: str) -> None:
    """One line on stdout."""
    console.print(text, markup=False, soft_wrap=True)


def ask(question: str) -> bool:
    """Whether the person at the terminal answers yes; no answer is a no."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def complain(text: str) -> None:
    """One sentence about what went wrong, on stderr."""
    print(f"error: {text}", file=sys.stderr)


class TrialDisplay:
    """A search in a log: one line for each trial that has ended. Called from any thread."""

    def update(self, number: int, progress: JobProgress) -> None:
        """The progress of a running trial."""

    def trial_ended(self, line: str) -> None:
        """line: the trial and its result."""
        say(line)

    def draw(self, done: int, total: int, best: str, running: list[int]) -> None:
        """Called a few times a second. done: trials that have ended. best: so far; empty without one."""


class TrialBar(TrialDisplay):
    """A search on a terminal, as one bar: trials done, the best so far, and the progress of those that run."""

    def __init__(self, update: Callable[[int, int, str], None]) -> None:
        self._update = update
        self._progress: dict[int, JobProgress] = {}

    def update(self, number: int, progress: JobProgress) -> None:
        self._progress[number] = progress

    def trial_ended(self, line: str) -> None:
        """Nothing: the table at the end has all trials."""

    def draw(self, done: int, total: int, best: str, running: list[int]) -> None:
        parts = [f"best {best}"] if best else []
        parts += [f"trial {number}: {self._position(number)}" for number in running]
        self._update(done, total, "; ".join(parts))

    def _position(self, number: int) -> str:
        progress = self._progress.get(number)
        if progress is None:
            return "starting"
        epoch = progress.metrics.get("epoch")
        if epoch is not None and "validation_loss" in progress.metrics:
            return f"epoch {epoch}"
        return progress.phase.partition(" of ")[0]


@contextmanager
def trial_display(title: str) -> Iterator[TrialDisplay]:
    """A bar on a terminal, else lines."""
    if not console.is_terminal:
        say(title)
        yield TrialDisplay()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("{task.fields[note]}", markup=False))  # fmt: skip
    with Bars(*columns, console=console) as bars:
        task = bars.add_task(title, total=None, note="starting")
        yield TrialBar(lambda done, total, note: bars.update(task, completed=done, total=total, note=note))
