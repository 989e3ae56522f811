"""The options that several commands have, and what every command does around its work."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from backends.base import Backend
    from backends.runs import Run

On = Annotated[str, typer.Option("--on", help="where it runs: local or docker (sagemaker isn't there yet)")]
Image = Annotated[str, typer.Option("--image", help="container image, for --on docker")]
Runs = Annotated[Path, typer.Option("--runs", help="folder of the run folders")]
Name = Annotated[str | None, typer.Option("--name", help="name of the run; else its kind and the time")]
Settings = Annotated[
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

RUNS = Path("runs")
IMAGE = "kennel:latest"


def backend_named(on: str, image: str) -> "Backend":
    """The backend that --on and --image choose."""
    from backends.base import create

    return create(on, image)


def backend_of(run: "Run") -> "Backend":
    """The backend that a run was started on."""
    return backend_named(run.record["backend"], run.record.get("image", IMAGE))


@contextmanager
def sentences() -> Iterator[None]:
    """Faults the person can mend end in one sentence on stderr: exit code 2, or 130 after Ctrl-C."""
    from backends.console import complain
    from backends.errors import BackendError, Stopped

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
