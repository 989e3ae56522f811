"""Settings from kennel.toml, the environment and flags: what they may be, and which of them holds."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from backends.settings.read import SECTIONS, TABLE, Name, read
from backends.settings.sections import Settings

ROOT = Path(__file__).resolve().parents[2]
FILE = """
[kennel]
on = "docker"

[sagemaker]
subnets = ["subnet-0a", "subnet-0b"]
security_groups = ["sg-01"]
max_cost = 20

[sagemaker.tags]
team = "dogs: 1/2 + more"

[train]
spot = true
max_hours = 1.5
volume_gb = 100.0
environment = {OMP_NUM_THREADS = 4, GREETING = ""}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "kennel.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    settings = read(tmp_path, [], {"PATH": "/bin", "KENNEL_ENGINE": "auto", "KENNEL_PORT": "80"}).settings
    assert settings == Settings()
    assert settings.kennel.on == "local"
    assert settings.train.instance_type == "ml.g4dn.xlarge"


def test_every_kind_of_value_in_a_file(tmp_path: Path) -> None:
    write(tmp_path, FILE)
    settings = read(tmp_path, [], {}).settings
    assert settings.kennel.on == "docker"
    assert settings.sagemaker.subnets == ("subnet-0a", "subnet-0b")
    assert settings.sagemaker.max_cost == 20.0
    assert settings.sagemaker.tags == (("team", "dogs: 1/2 + more"),)
    assert (settings.train.spot, settings.train.max_hours, settings.train.volume_gb) == (True, 1.5, 100)
    assert [type(each) for each in (settings.sagemaker.max_cost, settings.train.volume_gb)] == [float, int]
    assert settings.train.environment == (("OMP_NUM_THREADS", "4"), ("GREETING", ""))
    assert settings.deploy == Settings().deploy


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        ("train.spot", "true", True),
        ("train.spot", " Yes ", True),
        ("train.spot", "on", True),
        ("train.spot", "1", True),
        ("train.checkpoints", "FALSE", False),
        ("train.checkpoints", "no", False),
        ("train.checkpoints", "off", False),
        ("train.checkpoints", "0", False),
        ("train.volume_gb", "64", 64),
        ("train.volume_gb", "64.0", 64),
        ("train.max_hours", "2", 2.0),
        ("sagemaker.max_cost", "1e3", 1000.0),
        ("sagemaker.role", "arn:aws:iam::123456789012:role/a/Jobs", "arn:aws:iam::123456789012:role/a/Jobs"),
        ("sagemaker.region", "us-gov-west-1", "us-gov-west-1"),
        ("deploy.kind", "async", "async"),
        ("tune.warm_start", "one, two", ("one", "two")),
        ("tune.warm_start", '["one", "two"]', ("one", "two")),
        ("tune.warm_start", "[]", ()),
        ("sagemaker.tags", "team=dogs, cost centre=4=2", (("team", "dogs"), ("cost centre", "4=2"))),
        ("deploy.environment", '{GREETING = "dogs, cats"}', (("GREETING", "dogs, cats"),)),
        ("debugger_rules", "overfit", ("overfit",)),
        ("sagemaker.kms-key", "alias/photos", "alias/photos"),
    ],
)  # fmt: skip
def test_as_text_in_a_flag(tmp_path: Path, setting: str, text: str, value: object) -> None:
    settings = read(tmp_path, [f"{setting}={text}"], {}).settings
    section, _, key = setting.replace("-", "_").rpartition(".")
    assert getattr(getattr(settings, section or "train"), key) == value


def test_each_source_wins_over_those_before(tmp_path: Path) -> None:
    file = write(tmp_path, '[kennel]\non = "docker"\nimage = "a"\nruns = "b"\n[train]\nvolume_gb = 1\nspot = true\n')
    environ = {"KENNEL_IMAGE": "c", "KENNEL_TRAIN_VOLUME_GB": "2", "KENNEL_TRAIN_MAX_HOURS": "3"}
    flags = ["train.volume_gb=3", "on=local"]
    reading = read(tmp_path, flags, environ, {"--on": "docker"})
    assert (reading.settings.kennel.on, reading.settings.kennel.image) == ("docker", "c")
    assert (reading.settings.train.volume_gb, reading.settings.train.max_hours) == (3, 3.0)
    assert reading.origins == {
        Name("kennel", "on"): "--on",
        Name("kennel", "image"): "KENNEL_IMAGE",
        Name("kennel", "runs"): str(file),
        Name("train", "volume_gb"): "-o",
        Name("train", "spot"): str(file),
        Name("train", "max_hours"): "KENNEL_TRAIN_MAX_HOURS",
    }


def test_a_variable_that_is_set_to_nothing_is_not_set(tmp_path: Path) -> None:
    write(tmp_path, '[sagemaker]\nprofile = "mine"\n')
    assert read(tmp_path, [], {"KENNEL_SAGEMAKER_PROFILE": ""}).settings.sagemaker.profile == "mine"
    # A flag can take a setting back.
    assert read(tmp_path, ["profile="], {}).settings.sagemaker.profile == ""


@pytest.mark.parametrize("where", ["file", "variable", "flag", "own"])
def test_an_image_is_of_the_place_where_it_runs(tmp_path: Path, where: str) -> None:
    flags, environ, own = [], {}, {"--image": "1.dkr.ecr.eu-west-1.amazonaws.com/kennel:1"}
    if where == "file":
        write(tmp_path, '[kennel]\non = "sagemaker"\n')
    elif where == "variable":
        environ = {"KENNEL_ON": "sagemaker"}
    elif where == "flag":
        flags = ["kennel.on=sagemaker"]
    else:
        own["--on"] = "sagemaker"
    settings = read(tmp_path, flags, environ, own).settings
    assert settings.sagemaker.image == own["--image"]
    assert settings.kennel.image == "kennel:latest"
    settings = read(tmp_path, flags, environ, {**own, "--on": "docker"}).settings
    assert settings.kennel.image == own["--image"]
    assert settings.sagemaker.image == ""


def test_a_path_in_a_file_is_meant_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    file = write(project, '[kennel]\nruns = "jobs"\n')
    assert read(file, [], {}).settings.kennel.runs == str(project / "jobs")
    assert read(file, ["runs=jobs"], {}).settings.kennel.runs == "jobs"
    assert read(file, [], {"KENNEL_RUNS": "jobs"}).settings.kennel.runs == "jobs"
    write(project, '[kennel]\nruns = "/jobs"\n')
    assert read(file, [], {}).settings.kennel.runs == "/jobs"
    write(project, '[kennel]\nruns = "~/jobs"\n')
    monkeypatch.setenv("HOME", "/home/anna")
    assert read(file, [], {}).settings.kennel.runs == "/home/anna/jobs"
    write(project, '[kennel]\nruns = "jobs"\n')
    monkeypatch.chdir(project)
    assert read(Path(), [], {}).settings.kennel.runs == "jobs"


def test_a_file_that_an_editor_has_marked_as_utf8_is_read(tmp_path: Path) -> None:
    (tmp_path / "kennel.toml").write_bytes(b'\xef\xbb\xbf[kennel]\r\non = "docker"\r\n')
    assert read(tmp_path, [], {}).settings.kennel.on == "docker"


def test_the_names_are_what_is_declared() -> None:
    assert tuple(each.name for each in fields(Settings)) == SECTIONS
    assert len(TABLE) >= 60
    variables = [name.variable for name in TABLE]
    assert len(set(variables)) == len(TABLE)
    assert Name("kennel", "on").variable == "KENNEL_ON"
    assert Name("train", "instance_type").variable == "KENNEL_TRAIN_INSTANCE_TYPE"
    assert all(each.metadata["help"] for each in TABLE.values())


def test_no_setting_is_declared_in_vain() -> None:
    trees = [
        ast.parse(file.read_text())
        for room in ("backends", "cli")
        for file in (ROOT / room).rglob("*.py")
        if "settings" not in file.relative_to(ROOT).parts
    ]
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert [str(name) for name in TABLE if name.key not in read] == []


def test_each_variable_sets_its_own_setting(tmp_path: Path) -> None:
    defaults = Settings()
    for name, each in TABLE.items():
        if each.metadata["kind"] != "flag":
            continue
        value = not getattr(getattr(defaults, name.section), name.key)
        settings = read(tmp_path, [], {name.variable: str(value)}).settings
        assert getattr(getattr(settings, name.section), name.key) is value
        assert settings != defaults
