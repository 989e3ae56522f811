"""A search on disk: an Optuna study in a journal file, which `optuna.load_study` and optuna-dashboard can read.

Of each trial the study has, as user attributes, what Optuna has no place for: `number`, `values` and `started` from
its beginning, `epoch N` for each epoch, and `result` at its end. Trials that were interrupted have the state FAIL;
those that can't be trained are PRUNED, so that a sampler avoids their like.

The file is mended after a kill. One process at a time has it, by a lock that ends with its process however that ends.
"""

import copy
import fcntl
import json
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from contract.errors import ConfigError
from tuning.optuna_study import quiet_optuna
from tuning.settings import SearchSettings, differences
from tuning.trial_record import Record, Row

STUDY_NAME = "kennel"
_ATTRIBUTE = "kennel"


class Journal:
    """Raises ConfigError when the file is no journal, of another search, or in use by another process.

    records: of all trials that ended, by number. interrupted: those that did not, by number, without what they had
    done. interruptions: how often a trial was interrupted. finished: Optuna's trials of `records`, by number.
    """

    def __init__(self, file: Path, settings: SearchSettings, now: float) -> None:
        self.records: dict[int, Record] = {}
        self.interrupted: dict[int, Record] = {}
        self.finished: dict[int, Any] = {}
        self.interruptions = 0
        self._ids: dict[int, int] = {}
        self._file, self._settings = file, settings
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = ProcessLock(file)
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            mend_journal(file)
            self._backend = JournalFile(file)
            self._open(now)
            self._load()
        except OSError as error:
            self._lock.release()
            raise self._unreadable(error) from None
        except BaseException:
            self._lock.release()
            raise

    def _open(self, now: float) -> None:
        optuna = quiet_optuna()
        try:
            self._storage = optuna.storages.JournalStorage(self._backend)
        except (KeyError, TypeError, ValueError, AssertionError):
            raise self._wrong("is no journal that this version of Optuna can read") from None
        names = [each.study_name for each in self._storage.get_all_studies()]
        if names and names != [STUDY_NAME]:
            raise self._wrong(f"holds another study, {names[0]}")
        if names:
            self._study = optuna.load_study(study_name=STUDY_NAME, storage=self._storage)
        else:
            directions = [each.direction for each in self._settings.objectives]
            self._study = optuna.create_study(study_name=STUDY_NAME, storage=self._storage, directions=directions)
        identity = self._settings.identity()
        about = self._study.user_attrs.get(_ATTRIBUTE)
        if about is None and self._study.get_trials(deepcopy=False):
            raise self._wrong("holds a study that is no search of Kennel's")
        if about is None:
            about = {"format": 1, "began": now, "search": identity}
            self._study.set_user_attr(_ATTRIBUTE, about)
            self._backend.sync()
        if differing := differences(about["search"], identity):
            raise ConfigError(
                f"{self._file}: was begun with other settings: {'; '.join(differing)}; "
                "give the search another name, or these settings as they were"
            )
        self.began: float = about["began"]

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self._file}: {what}; give the search another name, or move the file away")

    def _unreadable(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self._file}: can't be opened, {error.strerror}; give the search another place")

    def _load(self) -> None:
        state = quiet_optuna().trial.TrialState
        for each in self._study.get_trials(deepcopy=False):
            if "number" not in each.user_attrs:
                raise self._wrong(f"has a trial that is not of this search, {each.number}")
            if each.state == state.RUNNING:
                self._storage.set_trial_state_values(each._trial_id, state.FAIL)
            record = self._record(each)
            if each.state in (state.RUNNING, state.FAIL):
                self.interruptions += 1
                self.interrupted[record.number] = record
                continue
            # Before the state, which is written last, a result is no more than a trial's epochs are.
            record.take_result(each.user_attrs["result"])
            record.objective = tuple(each.values) if record.state == "completed" else None
            self.records[record.number] = record
            self.finished[record.number] = each
        for number in self.records:
            self.interrupted.pop(number, None)
        self._backend.sync()

    def _record(self, trial: Any) -> Record:
        about: Mapping[str, Any] = trial.user_attrs
        values = about["values"]
        record = Record(
            number=about["number"],
            values=values,
            params=trial.params,
            hyperparameters=replace(self._settings.base, **values),
            started=about["started"],
        )
        epochs = {int(key.split()[1]): row for key, (_, row) in _epochs(about)}
        record.epochs = dict(sorted(epochs.items()))
        # The search's time at the trial's last event; an interrupted trial has no recorded end.
        record.ended = max([record.started, *(at for _, (at, _) in _epochs(about))])
        return record

    def add(self, record: Record, trial: Any) -> None:
        """A trial that begins, or that ended as it began. trial: Optuna's, from the study in memory."""
        template = copy.copy(trial)
        template.user_attrs = {"number": record.number, "values": record.values, "started": record.started}
        if record.state != "running":
            template.user_attrs["result"] = record.result()
        study = self._storage.get_study_id_from_name(STUDY_NAME)
        self._ids[record.number] = self._storage.create_new_trial(study, template)
        if record.state != "running":
            self._backend.sync()

    def report(self, number: int, epoch: int, row: Row, at: float, value: float | None) -> None:
        """An epoch's metrics, the objective among them if Optuna is to know it."""
        if value is not None:
            self._storage.set_trial_intermediate_value(self._ids[number], epoch, value)
        self._storage.set_trial_user_attr(self._ids[number], f"epoch {epoch}", [at, row])

    def note(self, number: int, notes: Mapping[str, Any]) -> None:
        """Record attributes that Optuna set on a trial for its own use."""
        for key, value in notes.items():
            self._storage.set_trial_system_attr(self._ids[number], key, value)

    def end(self, record: Record, trial: Any) -> None:
        """Record how a running trial ended; on disk when this returns. trial: Optuna's, from the study in memory."""
        number = self._ids[record.number]
        self.note(record.number, {key: note for key, note in trial.system_attrs.items() if "constraint" in key})
        self._storage.set_trial_user_attr(number, "result", record.result())
        self._storage.set_trial_state_values(number, trial.state, None if record.state == "failed" else trial.values)
        self._backend.sync()

    def interrupt(self, number: int) -> None:
        """Record that a running trial was interrupted."""
        self._storage.set_trial_state_values(self._ids[number], quiet_optuna().trial.TrialState.FAIL)
        self.interruptions += 1

    def close(self) -> None:
        """Release the file for other processes."""
        self._lock.release()


def _epochs(about: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in about.items() if key.startswith("epoch ")]


_START = b'{"op_code":'
_ADVICE = "give the search another name, or move the file away"


def mend_journal(file: Path) -> None:
    """Cut off a last line that is not whole, as a kill or a broken upload leaves it.

    Raises ConfigError when the file is no journal of Optuna's, or is damaged before its last line.
    """
    content = file.read_bytes() if file.exists() else b""
    *lines, torn = content.split(b"\n")
    if (lines and not _is_operation(lines[0])) or (not lines and not _begins_one(torn)):
        raise ConfigError(f"{file}: is no journal of a search; {_ADVICE}")
    for number, line in enumerate(lines, start=1):
        if not _is_operation(line):
            raise ConfigError(f"{file}: line {number} of {len(lines)} is damaged; {_ADVICE}")
    if torn:
        with file.open("r+b") as journal:
            journal.truncate(len(content) - len(torn))
            os.fsync(journal.fileno())


def _is_operation(line: bytes) -> bool:
    try:
        operation = json.loads(line)
    except ValueError:
        return False
    return isinstance(operation, dict) and isinstance(operation.get("op_code"), int)


def _begins_one(torn: bytes) -> bool:
    return torn.startswith(_START) or _START.startswith(torn)


class JournalFile:
    """The backend of an Optuna JournalStorage.

    Optuna's own takes a lock file for each line, which outlives a kill and then holds everybody up for 30 s, and has
    each line written to disk before it goes on: here the one lock is held by whoever opened the journal, and `sync`
    says when lines have to be on disk.
    """

    def __init__(self, file: Path) -> None:
        from optuna.storages.journal import JournalFileBackend

        self._file = file
        self._reader = JournalFileBackend(str(file))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The operations from this one on."""
        yield from self._reader.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations, a line each; all of them or, raising OSError, none."""
        text = "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in logs).encode()
        with self._file.open("ab", buffering=0) as opened:
            before = opened.tell()
            try:
                written = 0
                while written < len(text):
                    written += opened.write(text[written:])
            except OSError:
                opened.truncate(before)
                raise

    def sync(self) -> None:
        """Have what was written on disk, where it outlives the machine's end too."""
        with self._file.open("ab") as opened:
            os.fsync(opened.fileno())


class ProcessLock:
    """Holds a file beside `file` until `release`, or until nothing refers to it.

    A POSIX record lock: unlike a lock file it is gone when its process was killed, and unlike `flock`'s, processes
    that it has forked don't keep it. Not against another use within the same process.
    Raises ConfigError when another process has it.
    """

    def __init__(self, file: Path) -> None:
        handle = os.open(file.with_name(f"{file.name}.owner"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(handle)
            raise ConfigError(
                f"{file}: another process is at this search; wait until it has ended, or give the search another name"
            ) from None
        except OSError:
            pass  # A file system without locks: better unguarded than not at all.
        self._finalizer = weakref.finalize(self, os.close, handle)

    def release(self) -> None:
        """Let others have it. A second time does nothing."""
        self._finalizer()
