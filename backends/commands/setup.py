"""init and doctor: what Kennel is to work with, and whether it can."""

from pathlib import Path
from typing import Annotated

import typer

from backends.commands.options import sentences


def init(
    file: Annotated[Path, typer.Argument(help="to write")] = Path("kennel.toml"),
    options: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="a setting to begin with, repeatable"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the file if it is there")] = False,
) -> None:
    """Write a kennel.toml with all settings, their meanings and their defaults."""
    with sentences():
        from backends.console import say
        from backends.settings.write import write

        settings = write(file, options or [], force)
        say(f"{file}: {settings.kennel.on} is where jobs run; change it, and check it with: python deploy.py doctor")
