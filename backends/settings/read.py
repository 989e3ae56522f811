"""Reads the settings: kennel.toml, then the environment, then flags, the later over the earlier; all faults at once."""

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, replace
from pathlib import Path
from typing import Any, Final

from backends.errors import BackendError
from backends.settings.clashes import clashes
from backends.settings.names import SECTIONS, TABLE, Name, hint, named, of_variable, outside, unknown
from backends.settings.sections import Settings
from contract.hyperparameters import describe_faults
from contract.options import from_text, from_toml

FILE: Final = "kennel.toml"
_RUNS: Final = Name("kennel", "runs")
_ON: Final = Name("kennel", "on")


@dataclass(frozen=True)
class Reading:
    """settings: as they hold. origins: of each that was set, where: a file, an environment variable or a flag."""

    settings: Settings
    origins: Mapping[Name, str]


def load(
    place: Path, flags: Sequence[str], environ: Mapping[str, str], own: Mapping[str, str] | None = None
) -> Settings:
    """The settings. Raises BackendError that tells the faults of all sources at once.

    place: kennel.toml's folder, where there may be none; or a file, which must be there. flags: SECTION.NAME=VALUE,
    or NAME=VALUE where only one section has that name. own: the options --on, --image and --runs that were given.
    """
    return read(place, flags, environ, own).settings


def read(
    place: Path | None, flags: Sequence[str], environ: Mapping[str, str], own: Mapping[str, str] | None = None
) -> Reading:
    """As `load`, with where each setting comes from. place: None for no file."""
    reader = _Reader()
    if place is not None:
        file = place / FILE if place.is_dir() else place
        if file == place or file.exists():
            reader.take_file(file)
    reader.take_environment(environ)
    reader.take_flags(flags)
    reader.take_own(own or {})
    return reader.judge()


class _Reader:
    def __init__(self) -> None:
        self.values: dict[Name, Any] = {}
        self.origins: dict[Name, str] = {}
        self.faults: list[str] = []
        self.unfit: set[Name] = set()

    def take_file(self, file: Path) -> None:
        for section, values in self._document(file).items():
            if not isinstance(values, dict):
                self.faults.append(f"{file}: {section}: {outside(section)}")
                continue
            if section not in SECTIONS:
                self.faults.append(f"{file}: there is no section [{section}]; {hint(section, SECTIONS, 'sections')}")
                continue
            for key, value in values.items():
                name = Name(section, key)
                if name in TABLE:
                    self._take(name, f"{file}: [{section}] {key}", str(file), value, from_toml)
                else:
                    self.faults.append(f"{file}: [{section}] {key}: {unknown(name)}")
        if _RUNS in self.values:
            # As paths in files are meant: from where the file is.
            self.values[_RUNS] = os.fspath(file.parent / Path(self.values[_RUNS]).expanduser())

    def _document(self, file: Path) -> dict[str, Any]:
        try:
            return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
        except FileNotFoundError:
            self.faults.append(f"there is no file {file}; python deploy.py init writes one")
        except OSError as error:
            self.faults.append(f"{file} can't be read: {error.strerror}")
        except UnicodeDecodeError:
            self.faults.append(f"{file} is no UTF-8 text; save it as UTF-8")
        except (ValueError, RecursionError) as error:  # an integer of too many digits is a plain ValueError
            self.faults.append(f"{file} is no TOML: {error}; docs/configuration.md shows its form")
        return {}

    def take_environment(self, environ: Mapping[str, str]) -> None:
        known = {name.variable: name for name in TABLE}
        for variable, text in sorted(environ.items()):
            # Where one can't be unset, as in a compose file, it is set to nothing.
            if not text.strip():
                continue
            if variable in known:
                self._take(known[variable], variable, variable, text, from_text)
            elif (wrong := of_variable(variable)) is not None:
                self.faults.append(f"{variable}: {unknown(wrong)}")

    def take_flags(self, flags: Sequence[str]) -> None:
        seen: set[Name] = set()
        for flag in flags:
            given, sign, text = flag.partition("=")
            if not sign or not given:
                self.faults.append(f"-o takes SECTION.NAME=VALUE, got {flag!r}")
                continue
            try:
                name = named(given.strip())
            except ValueError as error:
                self.faults.append(f"-o {given}: {error}")
                continue
            if name in seen:
                self.faults.append(f"-o {name} is given twice; give it once")
            seen.add(name)
            self._take(name, f"-o {given}", "-o", text, from_text)

    def take_own(self, own: Mapping[str, str]) -> None:
        for option in ("--on", "--runs"):
            if option in own:
                name = _ON if option == "--on" else _RUNS
                self._take(name, option, option, own[option], from_text)
        if "--image" in own:
            section = "sagemaker" if self.values.get(_ON) == "sagemaker" else "kennel"
            self._take(Name(section, "image"), "--image", "--image", own["--image"], from_text)

    def _take(self, name: Name, where: str, origin: str, value: Any, parse: Callable[["Field[Any]", Any], Any]) -> None:
        try:
            self.values[name] = parse(TABLE[name], value)
            self.origins[name] = origin
        except ValueError as error:
            self.faults.append(f"{where}: {error}")
            self.unfit.add(name)

    def judge(self) -> Reading:
        """Raises BackendError when anything is wrong."""
        settings = Settings()
        for section in SECTIONS:
            changes = {name.key: value for name, value in self.values.items() if name.section == section}
            settings = replace(settings, **{section: replace(getattr(settings, section), **changes)})
        # What a faulty value would have been nobody knows, so it is judged alone.
        self.faults += [told for names, told in clashes(settings) if self.unfit.isdisjoint(names)]
        if self.faults:
            raise BackendError(describe_faults("setting", self.faults))
        return Reading(settings, self.origins)
