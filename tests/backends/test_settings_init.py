"""deploy.py init: a kennel.toml with everything in it that can be set."""

import re
import tomllib
from pathlib import Path

import pytest

from backends.settings.read import SECTIONS, TABLE, read
from backends.settings.sections import Settings
from tests.backends.terminal import deploy


def test_what_it_writes_changes_nothing_until_somebody_does(tmp_path: Path) -> None:
    answer = deploy("init", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == (
        "kennel.toml: local is where jobs run; change it, and check it with: python deploy.py doctor\n"
    )
    text = (tmp_path / "kennel.toml").read_text()
    assert tomllib.loads(text) == {section: {} for section in SECTIONS}
    assert read(tmp_path, [], {}).settings == Settings()
    assert max(len(line) for line in text.splitlines()) <= 120


def test_each_setting_stands_there_with_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("kennel.toml")
    assert deploy("init", cwd=tmp_path).returncode == 0
    text = file.read_text()
    for name, each in TABLE.items():
        assert len(re.findall(rf"^#{name.key} = ", text, re.M)) == sum(one.key == name.key for one in TABLE)
        assert each.metadata["help"].split()[0] in text
    # With every # taken off that stands before a setting.
    file.write_text(re.sub(r"^#(?=\w+ = )", "", text, flags=re.M))
    document = tomllib.loads(file.read_text())
    assert sum(len(section) for section in document.values()) == len(TABLE)
    assert read(file, [], {}).settings == Settings()


def test_settings_to_begin_with(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    flags = ["on=sagemaker", "region=eu-west-1", "train.spot=yes", "train.max_hours=1", "subnets=subnet-1,subnet-2",
             "security-groups=sg-1", "tags=cost centre=7,team=dogs", "registry.group=dogs"]  # fmt: skip
    answer = deploy("init", file, *[word for flag in flags for word in ("-o", flag)])
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"{file}: sagemaker is where jobs run")
    assert tomllib.loads(file.read_text()) == {
        **{section: {} for section in SECTIONS},
        "kennel": {"on": "sagemaker"},
        "sagemaker": {
            "region": "eu-west-1",
            "subnets": ["subnet-1", "subnet-2"],
            "security_groups": ["sg-1"],
            "tags": {"cost centre": "7", "team": "dogs"},
        },
        "train": {"spot": True, "max_hours": 1.0},
        "registry": {"group": "dogs"},
    }
    assert read(file, [], {}).settings == read(tmp_path, flags, {}).settings


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "kennel.toml"
    file.write_text("[kennel]\n")
    answer = deploy("init", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "error: kennel.toml is there already; give another file, or --force to replace it\n"
    assert file.read_text() == "[kennel]\n"
    assert deploy("init", "--force", cwd=tmp_path).returncode == 0
    assert "[sagemaker]" in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-o", "spot=perhaps"], "-o spot: must be true or false, got perhaps"),
        (["-o", "nothing=1"], "-o nothing: no such setting; docs/configuration.md has all settings"),
        (["nowhere/kennel.toml"], "nowhere/kennel.toml can't be written: No such file or directory; give another file"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_no_file(tmp_path: Path, arguments: list[str], told: str) -> None:
    answer = deploy("init", *arguments, cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (2, f"error: {told}\n")
    assert list(tmp_path.iterdir()) == []
