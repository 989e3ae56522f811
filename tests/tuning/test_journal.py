"""The study on disk: what others can read in it, and what is told of a file that can't be gone on with."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from contract.errors import ConfigError
from tests.tuning.searches import changed, search_all, settings
from tuning.objective import parse_objectives
from tuning.space import Space
from tuning.study import Search


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


def refusal(file: Path, **given: Any) -> str:
    before = file.read_bytes()
    with pytest.raises(ConfigError) as refused:
        Search(file, settings(**given))
    assert file.read_bytes() == before
    return str(refused.value)


def load(file: Path) -> optuna.Study:
    return optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(file))))


def test_optuna_reads_the_study(file: Path) -> None:
    search = Search(file, settings(tune_trials=12, tune_sampler="random", seed=1))
    search_all(search)
    left = Search(file, changed(search.settings, trials=13)).ask()
    assert left is not None
    search = Search(file, changed(search.settings, trials=13))  # the 13th is interrupted now
    study = load(file)
    best = search.best
    assert best is not None
    assert best.objective == (study.best_value,)
    assert study.best_params == best.values
    assert study.direction.name == "MAXIMIZE"
    states = {"completed": "COMPLETE", "pruned": "PRUNED", "failed": "PRUNED"}
    assert {each.state for each in search.finished} == set(states)
    assert [each.state.name for each in study.trials] == [*(states[each.state] for each in search.finished), "FAIL"]
    for mine, theirs in zip(search.finished, study.trials, strict=False):
        assert theirs.params == mine.values
        assert theirs.user_attrs["number"] == mine.number
        assert theirs.user_attrs["result"]["reason"] == mine.reason
        values = {epoch: row["validation_accuracy"] for epoch, row in mine.epochs.items()}
        assert theirs.intermediate_values == {epoch: value for epoch, value in values.items() if value is not None}


def test_no_lock_file_of_optuna_s_is_left_or_heeded(file: Path) -> None:
    Path(f"{file}.lock").symlink_to(file)  # as a killed process leaves it
    search_all(Search(file, settings(tune_trials=2)))
    assert sorted(each.name for each in file.parent.iterdir()) == ["study.log", "study.log.lock", "study.log.owner"]


@pytest.mark.parametrize("content", ["dear diary\n", "dear diary", "{}\n", '[1, 2]\n{"op_code":0}\n', "\x00\x01"])
def test_a_file_that_is_no_journal_is_left_alone(file: Path, content: str) -> None:
    file.write_text(content)
    advice = "give the search another name, or move the file away"
    assert refusal(file) == f"{file}: is no journal of a search; {advice}"


def test_damage_before_the_last_line_is_told(file: Path) -> None:
    search = Search(file, settings(tune_trials=2))
    search_all(search)
    search.close()
    lines = file.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][: len(lines[2]) // 2] + b"\n"
    file.write_bytes(b"".join(lines))
    assert refusal(file).startswith(f"{file}: line 3 of {len(lines)} is damaged; give the search another name")
    file.write_bytes(lines[0] + b'{"op_code":99,"worker_id":"x"}\n')
    assert refusal(file).startswith(f"{file}: is no journal that this version of Optuna can read; give the search")


def test_another_s_study_is_left_alone(file: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(file)))
    study = optuna.create_study(study_name="mine", storage=storage)
    study.tell(study.ask(), 1.0)
    assert refusal(file).startswith(f"{file}: holds another study, mine; give the search another name")


def test_a_study_of_the_same_name_is_left_alone_too(tmp_path: Path) -> None:
    file = tmp_path / "theirs.log"
    study = optuna.create_study(study_name="kennel", storage=JournalStorage(JournalFileBackend(str(file))))
    study.tell(study.ask(), 1.0)
    assert refusal(file).startswith(f"{file}: holds a study that is no search of Kennel's; give")
    search = Search(tmp_path / "ours.log", settings())
    search.close()
    study = load(tmp_path / "ours.log")
    study.tell(study.ask(), 1.0)
    assert refusal(tmp_path / "ours.log").startswith(f"{tmp_path / 'ours.log'}: has a trial that is not of this search")


def test_opening_it_again_writes_nothing(file: Path) -> None:
    Search(file, settings()).close()
    before = file.read_bytes()
    Search(file, settings()).close()
    assert file.read_bytes() == before


def test_a_seed_is_told_once(file: Path) -> None:
    Search(file, settings()).close()
    assert ": seed was 0 and is 9; give the search" in refusal(file, seed=9)


def test_a_folder_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"study.log: can't be opened, .*; give the search another place"):
        Search(tmp_path / "file" / "study.log", settings())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"space": Space.parse("lr=0.01:0.1:log; batch_size=16,32,64,128; epochs=2:5")},
         "space's lr was 0.001:0.1:log and is 0.01:0.1:log"),
        ({"space": Space.parse("lr=0.001:0.1:log; batch_size=16,32; epochs=2:5; flip=0:0.5")},
         "space's batch_size was 16,32,64,128 and is 16,32; space's flip was not there and is 0.0:0.5:linear"),
        ({"objectives": parse_objectives("validation_loss")},
         "objectives was validation_accuracy:maximize and is validation_loss:minimize"),
        ({"sampler": "random", "pruner": "none", "seed": 9},
         "sampler was tpe and is random; pruner was median and is none; seed was 0 and is 9"),
        ({"base": settings(freeze="backbone").base}, "freeze was none and is backbone"),
    ],
)  # fmt: skip
def test_a_search_goes_on_with_its_own_settings_alone(file: Path, given: dict[str, Any], told: str) -> None:
    search = Search(file, settings())
    search.close()
    with pytest.raises(ConfigError) as refused:
        Search(file, changed(settings(), **given))
    message = str(refused.value)
    assert message.startswith(f"{file}: was begun with other settings: {told}; ")
    assert message.endswith("; give the search another name, or these settings as they were")
