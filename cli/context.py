"""Where a command's jobs run: the options that all commands share, over the environment, over kennel.toml."""

import functools
import inspect
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from backends.base import Backend
    from backends.runs import Run
    from backends.sagemaker.account import Account
    from backends.sagemaker.billing.consent import ConsentPrompt
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
    """The shared options of a command, and the settings, backend and account that follow from them.

    All but the fields raise BackendError where the settings are at fault.
    """

    on_option: str | None = None
    image_option: str | None = None
    yes: bool = False
    runs_option: str | None = None
    config: Path | None = None
    options: tuple[str, ...] = ()

    @cached_property
    def reading(self) -> "Reading":
        from backends.settings.read import read

        own = {"--on": self.on_option, "--image": self.image_option, "--runs": self.runs_option}
        own_values = {option: value for option, value in own.items() if value is not None}
        return read(self.config or Path(), self.options, os.environ, own_values)

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
    def consent(self) -> "ConsentPrompt":
        """Asks the person before what costs money."""
        return self._consent(self.settings)

    @cached_property
    def account(self) -> "Account":
        """The account of the settings."""
        from backends.sagemaker.account import Account

        return Account(self.settings, self.consent)

    def account_of(self, run: "Run") -> "Account":
        """The account that a run was started in."""
        from backends.sagemaker.account import Account
        from backends.settings.read import settings_of_run

        settings = settings_of_run(self.settings, run)
        return Account(settings, self._consent(settings))

    def backend(self) -> "Backend":
        """The backend of the settings."""
        return self._create(self.on, self.settings)

    def backend_of(self, run: "Run") -> "Backend":
        """The backend that a run was started on, with its image, and with its region and bucket in the account."""
        from backends.settings.read import settings_of_run

        return self._create(run.record["backend"], settings_of_run(self.settings, run))

    def _create(self, name: str, settings: "Settings") -> "Backend":
        from backends.base import BACKENDS, IN_ACCOUNT, create

        consent = self._consent(settings) if name in BACKENDS and name in IN_ACCOUNT else None
        return create(name, settings.kennel.image, settings, consent)

    def _consent(self, settings: "Settings") -> "ConsentPrompt":
        from backends.sagemaker.billing.consent import ConsentPrompt

        return ConsentPrompt(self.yes, settings)


@contextmanager
def report_errors() -> Iterator[None]:
    """Report a BackendError as one sentence on stderr, with exit code 2; 130 after Ctrl-C."""
    from backends.console import complain
    from backends.errors import BackendError, Stopped

    # Parts of SageMaker's SDK add a handler that prints every library's notes to a root logger without any.
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


def configured(command: Callable[..., None], jobs: bool = True) -> Callable[..., None]:
    """The command with the shared options after its own, passed as its first argument, and with its errors reported.

    jobs: False for a command that starts none, whose options --on, --image and --yes would have no meaning.
    """
    shared = {name: hint for name, hint in _SHARED.items() if jobs or name not in _OF_JOBS}

    @functools.wraps(command)
    def run(**values: Any) -> None:
        common = {name: values.pop(name) for name in shared}
        context = Context(
            on_option=common.get("on"), image_option=common.get("image"), yes=common.get("yes", False),
            runs_option=common["runs"], config=common["config"], options=tuple(common["options"] or ()),
        )  # fmt: skip
        with report_errors():
            command(context, **values)

    _, *own = inspect.signature(command).parameters.values()
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=hint)
        for name, hint in shared.items()
    ]
    # What Typer reads a command's options from.
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (*own, *added)}
    return run
