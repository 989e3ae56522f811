"""A search on disk: an Optuna study in a journal file, which `optuna.load_study` and optuna-dashboard can read.

Of each trial the study has, as user attributes, what Optuna has no place for: `number`, `values` and `started` from
its beginning, `epoch N` for each epoch, and `result` at its end. Trials that were interrupted have the state FAIL;
those that can't be trained are PRUNED, so that a sampler avoids their like.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from contract.errors import ConfigError
from train.search.journal_file import JournalFile, mend_journal
from train.search.library import quiet_optuna
from train.search.lock import ProcessLock
from train.search.record import Record, Row
from train.search.settings import SearchSettings, differences

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
        # How long the search had gone on when this was last heard of, though its end was never seen.
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
        """What Optuna has noted of a trial for its own use."""
        for key, value in notes.items():
            self._storage.set_trial_system_attr(self._ids[number], key, value)

    def end(self, record: Record, trial: Any) -> None:
        """How a running trial ended; on disk when this returns. trial: Optuna's, from the study in memory."""
        number = self._ids[record.number]
        self.note(record.number, {key: note for key, note in trial.system_attrs.items() if "constraint" in key})
        self._storage.set_trial_user_attr(number, "result", record.result())
        self._storage.set_trial_state_values(number, trial.state, None if record.state == "failed" else trial.values)
        self._backend.sync()

    def interrupt(self, number: int) -> None:
        """A running trial came to no end."""
        self._storage.set_trial_state_values(self._ids[number], quiet_optuna().trial.TrialState.FAIL)
        self.interruptions += 1

    def close(self) -> None:
        """Let another process have it."""
        self._lock.release()


def _epochs(about: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in about.items() if key.startswith("epoch ")]
