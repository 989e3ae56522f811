"""Where a command's jobs run: the options that all commands share, over the environment, over kennel.toml."""

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from backends.base import Backend
    from backends.runs import Run
    from backends.sagemaker.account import Account
    from backends.sagemaker.billing.consent import Consent
    from backends.settings.read import Reading
    from backends.settings.sections import Settings

_PANEL: Final = "Where it runs, and with which settings"


def _option(kind: Any, *names: str, help: str, **more: Any) -> Any:
    return Annotated[kind, typer.Option(*names, help=help, rich_help_panel=_PANEL, **more)]


_SHARED: Final[dict[str, Any]] = {
    "on": _option(str | None, "--on", help="local, docker, sagemaker or MODULE:CLASS (default: local)"),
    "image": _option(str | None, "--image", help="that jobs run in: in Docker (default: kennel:latest), or in ECR"),
    "yes": _option(bool, "--yes", "-y", help="don't ask before what costs money"),
    "runs": _option(str | None, "--runs", metavar="FOLDER", help="of the run folders (default: runs)"),
    "config": _option(
        Path | None, "--config", metavar="FILE", envvar="KENNEL_CONFIG", help="settings (default: kennel.toml, if any)"
    ),
    "options": _option(
        list[str] | None, "--option", "-o", metavar="NAME=VALUE",
        help="a setting, repeatable, as in train.spot=true; docs/configuration.md has them",
    ),
}  # fmt: skip
_DEFAULTS: Final = {"yes": False}
_OF_JOBS: Final = ("on", "image", "yes")


@dataclass
class Context:
    """The shared options as they were given, and what comes of them when it is asked for.

    All but the fields raise BackendError where the settings are at fault.
    """

    given_on: str | None = None
    given_image: str | None = None
    yes: bool = False
    given_runs: str | None = None
    config: Path | None = None
    options: tuple[str, ...] = ()

    @cached_property
    def reading(self) -> "Reading":
        from backends.settings.read import read

        own = {"--on": self.given_on, "--image": self.given_image, "--runs": self.given_runs}
        given = {option: value for option, value in own.items() if value is not None}
        return read(self.config or Path(), self.options, os.environ, given)

    @property
    def settings(self) -> "Settings":
        return self.reading.settings

    @property
    def on(self) -> str:
        """local, docker, sagemaker or MODULE:CLASS."""
        return self.settings.kennel.on

    @property
    def runs(self) -> Path:
        """The folder of the run folders."""
        return Path(self.settings.kennel.runs).expanduser()

    @cached_property
    def consent(self) -> "Consent":
        """Asks the person before what costs money."""
        return self._consent(self.settings)

    @cached_property
    def account(self) -> "Account":
        """The account, for what isn't a job's."""
        from backends.sagemaker.account import Account

        return Account(self.settings, self.consent)

    def account_of(self, run: "Run") -> "Account":
        """The account as a run was begun in it."""
        from backends.sagemaker.account import Account
        from backends.settings.read import settings_of_run

        settings = settings_of_run(self.settings, run)
        return Account(settings, self._consent(settings))

    def backend(self) -> "Backend":
        """The backend that is chosen."""
        return self._create(self.on, self.settings)

    def backend_of(self, run: "Run") -> "Backend":
        """The backend that a run was started on, with its image, and with its region and bucket in the account."""
        from backends.settings.read import settings_of_run

        return self._create(run.record["backend"], settings_of_run(self.settings, run))

    def _create(self, name: str, settings: "Settings") -> "Backend":
        from backends.base import BACKENDS, IN_ACCOUNT, create

        consent = self._consent(settings) if name in BACKENDS and name in IN_ACCOUNT else None
        return create(name, settings.kennel.image, settings, consent)

    def _consent(self, settings: "Settings") -> "Consent":
        from backends.sagemaker.billing.consent import Consent

        return Consent(self.yes, settings)


def configured(command: Callable[..., None], jobs: bool = True) -> Callable[..., None]:
    """The command with the shared options after its own; it gets them as its first argument.

    jobs: False for a command that starts none, whose options --on, --image and --yes would have no meaning.
    """
    shared = {name: hint for name, hint in _SHARED.items() if jobs or name not in _OF_JOBS}

    @functools.wraps(command)
    def run(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in shared}
        context = Context(
            given_on=chosen.get("on"), given_image=chosen.get("image"), yes=chosen.get("yes", False),
            given_runs=chosen["runs"], config=chosen["config"], options=tuple(chosen["options"] or ()),
        )  # fmt: skip
        command(context, **given)

    _, *own = inspect.signature(command).parameters.values()
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=hint)
        for name, hint in shared.items()
    ]
    # What Typer reads a command's options from.
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (*own, *added)}
    return run
