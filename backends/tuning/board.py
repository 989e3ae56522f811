"""What a person sees of a search while it runs: a bar of trials on a terminal, elsewhere a line a trial."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from backends.base import Progress
from backends.console import console, say


class Board(Protocol):
    """Hears from any thread."""

    def tell(self, number: int, progress: Progress) -> None:
        """How a running trial comes along."""

    def show(self, line: str) -> None:
        """A trial has ended; its line."""

    def draw(self, done: int, total: int, best: str, running: list[int]) -> None:
        """Called a few times a second. done: trials that have ended. best: so far; empty without one."""


@contextmanager
def board(title: str) -> Iterator[Board]:
    """The one that suits where the output goes."""
    if not console.is_terminal:
        say(title)
        yield Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("{task.fields[note]}", markup=False))  # fmt: skip
    with Bars(*columns, console=console) as bars:
        task = bars.add_task(title, total=None, note="starting")

        def update(done: int, total: int, note: str) -> None:
            bars.update(task, completed=done, total=total, note=note)

        yield Bar(update)


class Lines:
    """One line for each trial that has ended."""

    def tell(self, number: int, progress: Progress) -> None:
        """Nothing: a log takes whole trials."""

    def show(self, line: str) -> None:
        say(line)

    def draw(self, done: int, total: int, best: str, running: list[int]) -> None:
        """Nothing either."""


class Bar:
    """One bar: trials done, the best so far, and how far the running ones are."""

    def __init__(self, update: Callable[[int, int, str], None]) -> None:
        self._update = update
        self._progress: dict[int, Progress] = {}

    def tell(self, number: int, progress: Progress) -> None:
        self._progress[number] = progress

    def show(self, line: str) -> None:
        """Nothing: the table at the end has them all."""

    def draw(self, done: int, total: int, best: str, running: list[int]) -> None:
        parts = [f"best {best}"] if best else []
        parts += [f"trial {number}: {self._come(number)}" for number in running]
        self._update(done, total, "; ".join(parts))

    def _come(self, number: int) -> str:
        progress = self._progress.get(number)
        if progress is None:
            return "starting"
        epoch = progress.metrics.get("epoch")
        if epoch is not None and "validation_loss" in progress.metrics:
            return f"epoch {epoch}"
        return progress.phase.partition(" of ")[0]
