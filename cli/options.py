"""Options that several commands have."""

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
