"""init and doctor: the settings, and whether jobs can run with them."""

from pathlib import Path
from typing import Annotated

import typer

from cli.context import Context, report_errors


def init(
    file: Annotated[Path, typer.Argument(help="to write")] = Path("kennel.toml"),
    options: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="a setting to begin with, repeatable"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the file if it is there")] = False,
) -> None:
    """Write a kennel.toml with all settings, their meanings and their defaults."""
    with report_errors():
        from backends.console import say
        from backends.settings.write import write

        settings = write(file, options or [], force)
        say(f"{file}: {settings.kennel.on} is where jobs run; change it, and check it with: python deploy.py doctor")


def doctor(context: Context) -> None:
    """Check what jobs need here, in Docker or on SageMaker, and say what to do about what is missing.

    Exit code 1 when something is.
    """
    from backends.console import print_check, say
    from backends.settings.read import describe_origins
    from cli.doctor.examine import examine

    print_check("ok", "settings", describe_origins(context.reading))
    faults = 0
    for finding in examine(context.settings, context.runs, context.account):
        print_check(finding.state, finding.subject, finding.message)
        faults += finding.state == "fault"
    if faults:
        say(f"{faults} {'fault' if faults == 1 else 'faults'}: what to do stands beside each")
        raise typer.Exit(1)
    say("no faults")
