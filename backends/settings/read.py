"""Reads the settings: kennel.toml, then the environment, then flags, the later over the earlier; all faults at once.

A run that exists keeps the account and the image that it was started with. Settings that are each allowed may clash.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from backends.errors import BackendError
from backends.runs import Run
from backends.settings.sections import Deploy, Settings
from contract.hyperparameters import describe_faults, table_rows
from contract.options import from_text, from_toml

# The most names that a sentence lists; for more it says where they are listed.
_FEW: Final = 12


@dataclass(frozen=True)
class Name:
    """Of one setting: `key` below [section] of kennel.toml, section.key in flags."""

    section: str
    key: str

    def __str__(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """In the environment: KENNEL_SECTION_KEY, of [kennel] KENNEL_KEY."""
        return "_".join(part.upper() for part in ("kennel", self.section, self.key)[self.section == "kennel" :])


SECTIONS: Final = tuple(section.name for section in fields(Settings))
# Every setting, in order.
TABLE: Final[dict[Name, "Field[Any]"]] = {
    Name(section.name, setting.name): setting
    for section in fields(Settings)
    for setting in fields(section.type)  # type: ignore[arg-type] # each section is a dataclass
}


def of_variable(variable: str) -> Name | None:
    """The name that an environment variable stands for, whether there is such a setting or not.

    None for those that begin as [kennel]'s do: training and serving have such variables, too.
    """
    for section in SECTIONS:
        stem = f"KENNEL_{section.upper()}_"
        if section != "kennel" and variable.startswith(stem):
            return Name(section, variable.removeprefix(stem).lower())
    return None


def find_setting(text: str) -> Name:
    """The setting of a flag: SECTION.NAME, or NAME where one section alone has it. Raises ValueError for others."""
    plain = text.replace("-", "_")
    matches = [name for name in TABLE if plain in (str(name), name.key)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ValueError(f"is in several sections; say which: {' or '.join(map(str, matches))}")
    if same := [str(name) for name in TABLE if name.key == plain.rpartition(".")[2]]:
        raise ValueError(f"no such setting; did you mean {' or '.join(same)}?")
    known = [str(name) if "." in plain else name.key for name in TABLE]
    raise ValueError(f"no such setting; {hint(plain, known, 'settings')}")


def explain_unknown(name: Name) -> str:
    """The fault of a name that its section doesn't have."""
    keys = [known.key for known in TABLE if known.section == name.section]
    if elsewhere := [f"[{known.section}]" for known in TABLE if known.key == name.key]:
        return f"no such setting there; it is in {' and '.join(elsewhere)}"
    return f"no such setting; {hint(name.key, keys, 'names')}"


def explain_outside(key: str) -> str:
    """The fault of a name that stands above all sections of a file."""
    if key in SECTIONS:
        return f"is a section; write [{key}], and its settings below it"
    if sections := [f"[{known.section}]" for known in TABLE if known.key == key]:
        return f"stands outside of all sections; put it below {' or '.join(sections)}"
    return f"no such setting; {hint(key, [known.key for known in TABLE], 'settings')}"


def hint(wrong: str, known: Sequence[str], what: str) -> str:
    """The most similar name, if there is one; else where all names are listed."""
    key = wrong.rpartition(".")[2]
    if key in {row[0] for row in table_rows()}:
        return f"{key} is a hyperparameter, which --set gives"
    if close := difflib.get_close_matches(wrong, known, n=1, cutoff=0.6):
        return f"did you mean {close[0]}?"
    if len(known) <= _FEW:
        return f"the {what} are {', '.join(known)}"
    return f"docs/configuration.md has all {what}"


FILE: Final = "kennel.toml"
_RUNS: Final = Name("kennel", "runs")
_ON: Final = Name("kennel", "on")


@dataclass(frozen=True)
class Reading:
    """settings: the result. origins: for each that was set its file, environment variable or flag."""

    settings: Settings
    origins: Mapping[Name, str]


def read(
    place: Path | None, flags: Sequence[str], environ: Mapping[str, str], own: Mapping[str, str] | None = None
) -> Reading:
    """The settings, with the origin of each. Raises BackendError with the faults of all sources at once.

    place: kennel.toml's folder, where there may be none; a file, which must be there; None for no file. flags:
    SECTION.NAME=VALUE, or NAME=VALUE where only one section has that name. own: the values of --on, --image and --runs
    on the command line.
    """
    reader = _Reader()
    if place is not None:
        file = place / FILE if place.is_dir() else place
        if file == place or file.exists():
            reader.take_file(file)
    reader.take_environment(environ)
    reader.take_flags(flags)
    reader.take_own(own or {})
    return reader.finish()


class _Reader:
    def __init__(self) -> None:
        self.values: dict[Name, Any] = {}
        self.origins: dict[Name, str] = {}
        self.faults: list[str] = []
        self.unfit: set[Name] = set()

    def take_file(self, file: Path) -> None:
        for section, values in self._document(file).items():
            if not isinstance(values, dict):
                self.faults.append(f"{file}: {section}: {explain_outside(section)}")
                continue
            if section not in SECTIONS:
                self.faults.append(f"{file}: there is no section [{section}]; {hint(section, SECTIONS, 'sections')}")
                continue
            for key, value in values.items():
                name = Name(section, key)
                if name in TABLE:
                    self._take(name, f"{file}: [{section}] {key}", str(file), value, from_toml)
                else:
                    self.faults.append(f"{file}: [{section}] {key}: {explain_unknown(name)}")
        if _RUNS in self.values:
            # A path in the file is relative to the file's folder.
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
            # An empty variable counts as unset: some places, as a compose file, can't unset one.
            if not text.strip():
                continue
            if variable in known:
                self._take(known[variable], variable, variable, text, from_text)
            elif (wrong := of_variable(variable)) is not None:
                self.faults.append(f"{variable}: {explain_unknown(wrong)}")

    def take_flags(self, flags: Sequence[str]) -> None:
        seen: set[Name] = set()
        for flag in flags:
            key, sign, text = flag.partition("=")
            if not sign or not key:
                self.faults.append(f"-o takes SECTION.NAME=VALUE, got {flag!r}")
                continue
            try:
                name = find_setting(key.strip())
            except ValueError as error:
                self.faults.append(f"-o {key}: {error}")
                continue
            if name in seen:
                self.faults.append(f"-o {name} is given twice; give it once")
            seen.add(name)
            self._take(name, f"-o {key}", "-o", text, from_text)

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

    def finish(self) -> Reading:
        """Raises BackendError when anything is wrong."""
        settings = Settings()
        for section in SECTIONS:
            changes = {name.key: value for name, value in self.values.items() if name.section == section}
            settings = replace(settings, **{section: replace(getattr(settings, section), **changes)})
        # A faulty value is reported alone: what it would clash with is unknown.
        self.faults += [fault for names, fault in clashes(settings) if self.unfit.isdisjoint(names)]
        if self.faults:
            raise BackendError(describe_faults("setting", self.faults))
        return Reading(settings, self.origins)


def describe_origins(reading: Reading) -> str:
    """As in: 3 set: kennel.toml (on, region), KENNEL_TRAIN_SPOT, -o (deploy.kind)."""
    names: dict[str, list[str]] = {}
    for name, origin in reading.origins.items():
        names.setdefault(origin, []).append(str(name))
    if not names:
        return "the defaults"
    # The name of a variable, or of an option such as --on, shows what it sets.
    plain = ("KENNEL_", "--")
    parts = [origin if origin.startswith(plain) else f"{origin} ({', '.join(names[origin])})" for origin in names]
    return f"{len(reading.origins)} set: {', '.join(parts)}"


def settings_of_run(settings: Settings, run: Run) -> Settings:
    """The settings with the run's image and, for one in an account, with its account, region, bucket and prefix."""
    image = run.record.get("image")
    if run.record["backend"] != "sagemaker":
        return replace(settings, kennel=replace(settings.kennel, image=image or settings.kennel.image))
    recorded = {**run.record.get("sagemaker", {}), "image": image}
    keys = ("account", "region", "bucket", "prefix", "image")
    changes = {key: recorded[key] for key in keys if recorded.get(key)}
    return replace(settings, sagemaker=replace(settings.sagemaker, **changes))


_INTERVALS_MS: Final = (100, 200, 500, 1000, 5000, 60_000)
# Minutes, hours, day of the month, month, day of the week, year; then the limits.
_SCHEDULE: Final = re.compile(r"([\w,*/?#-]+(?: [\w,*/?#-]+){5})=(\d{1,4}):(\d{1,4})")

Clash = tuple[tuple[Name, ...], str]


def clashes(settings: Settings) -> Iterator[Clash]:
    """(the settings involved, what is wrong and what to do)."""
    yield from _account(settings)
    yield from _training(settings)
    yield from _endpoint(settings.deploy)
    yield from _scaling(settings.deploy)


def _clash(section: str, keys: str, fault: str) -> Clash:
    """keys: separated by spaces, the first of them the one to name."""
    names = tuple(Name(section, key) for key in keys.split())
    return names, f"[{section}] {names[0].key}: {fault}"


def _account(settings: Settings) -> Iterator[Clash]:
    account = settings.sagemaker
    if account.subnets and not account.security_groups:
        yield _clash("sagemaker", "subnets security_groups", "a VPC needs security_groups, too")
    if account.security_groups and not account.subnets:
        yield _clash("sagemaker", "security_groups subnets", "a VPC needs subnets, too")


def _training(settings: Settings) -> Iterator[Clash]:
    train = settings.train
    if train.spot and 0 < train.max_wait_hours < train.max_hours:
        yield _clash(
            "train", "max_wait_hours max_hours spot",
            f"must be 0 or at least max_hours, {train.max_hours:g}, for it includes the running, got "
            f"{train.max_wait_hours:g}",
        )  # fmt: skip
    if train.spot and train.keep_alive_minutes:
        yield _clash(
            "train", "keep_alive_minutes spot", "SageMaker keeps no warm pool for spot jobs; set one of the two alone"
        )
    if train.profiler_interval_ms not in _INTERVALS_MS:
        known = ", ".join(map(str, _INTERVALS_MS))
        yield _clash("train", "profiler_interval_ms", f"must be one of {known}, got {train.profiler_interval_ms}")


def _endpoint(deploy: Deploy) -> Iterator[Clash]:
    if deploy.memory_mb % 1024:
        yield _clash("deploy", "memory_mb", f"must be a multiple of 1024, got {deploy.memory_mb}")
    if deploy.kind == "serverless" and deploy.provisioned_concurrency > deploy.max_concurrency:
        yield _clash(
            "deploy", "provisioned_concurrency max_concurrency kind",
            f"must be max_concurrency, {deploy.max_concurrency}, at most, got {deploy.provisioned_concurrency}",
        )  # fmt: skip
    if deploy.shift == "linear" and deploy.shift_percent < 10:
        yield _clash(
            "deploy", "shift_percent shift", f"a linear shift moves at least 10 at a time, got {deploy.shift_percent}"
        )


def _scaling(deploy: Deploy) -> Iterator[Clash]:
    on = deploy.max_instances > 0
    if on and deploy.min_instances > deploy.max_instances:
        yield _clash(
            "deploy", "min_instances max_instances",
            f"must be max_instances, {deploy.max_instances}, at most, got {deploy.min_instances}",
        )  # fmt: skip
    if on and deploy.min_instances == 0 and deploy.kind != "async":
        yield _clash(
            "deploy", "min_instances max_instances kind", f"0 is for kind async; a {deploy.kind} endpoint needs 1"
        )
    if deploy.schedule and not on:
        yield _clash("deploy", "schedule max_instances", "is of autoscaling; set max_instances, too")
    for entry in deploy.schedule:
        yield from _scheduled(entry, deploy)


def _scheduled(entry: str, deploy: Deploy) -> Iterator[Clash]:
    form = _SCHEDULE.fullmatch(entry)
    if form is None:
        yield _clash(
            "deploy", "schedule", f"must be six fields of cron, =, MIN:MAX, as in 0 7 ? * MON-FRI *=2:4, got {entry}"
        )
        return
    fields, least, most = form[1].split(), int(form[2]), int(form[3])
    if [fields[2], fields[4]].count("?") != 1:
        yield _clash(
            "deploy", "schedule", f"of the day of the month and the day of the week one must be ?, got {entry}"
        )
    if least > most or most == 0:
        yield _clash("deploy", "schedule", f"MIN:MAX must rise to 1 at least, got {entry}")
    if least == 0 and deploy.kind != "async":
        yield _clash("deploy", "schedule kind", f"a {deploy.kind} endpoint needs 1 instance at least, got {entry}")
