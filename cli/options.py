"""Options that several commands have, and what every command does around its work."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str | None, typer.Option("--name", help="name of the run; else its kind and the time")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="a hyperparameter, repeatable; the table is in docs/training.md"),
]
ArtifactOption = Annotated[
    str | None,
    typer.Option("--artifact", help="artifact's folder, or a run's name; else the newest completed run's"),
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one")]
Data = Annotated[Path, typer.Option("--data", help="folder with train/, valid/, test/ or class folders; or archives")]
DataOrSample = Annotated[
    Path | None, typer.Option("--data", help="your photos, as for train; else the sample data is drawn")
]
DataOrTuning = Annotated[
    Path | None, typer.Option("--data", help="folder with train/, valid/, test/ or class folders; or archives")
]


@contextmanager
def report_errors() -> Iterator[None]:
    """Faults the person can mend end in one sentence on stderr: exit code 2, or 130 after Ctrl-C."""
    from backends.console import complain
    from backends.errors import BackendError, Stopped

    # Parts of SageMaker's SDK give a root logger without handlers one that prints whatever any library notes.
    if not (root := logging.getLogger()).handlers:
        root.addHandler(logging.NullHandler())
    try:
        yield
    except Stopped as error:
        complain(str(error))
        raise typer.Exit(130) from None
    except BackendError as error:
        complain(str(error))
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
