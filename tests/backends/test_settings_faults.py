"""Settings that are wrong: each is told with its place, what it must be and what it was, all of them at once."""

from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.settings.read import read
from tests.backends.terminal import deploy

NOTHING: dict[str, str] = {}
INSTANCE = "must be an instance type, as in ml.m5.large"
OUTSIDE = "stands outside of all sections; put it below [train] or [deploy] or [transform] or [evaluate]"
SUBNETS = "must be a list of subnet IDs, 16 at most"
TAGS = "must be a table of names and values, 48 at most"
VARIABLES = "must be a table of names and values, 100 at most"
WARM_START = "must be a list of names of tuning jobs, 5 at most"
SECTIONS = "the sections are kennel, sagemaker, data, train, tune, deploy, transform, evaluate, registry"


def faults(place: Path, *flags: str, environ: dict[str, str] = NOTHING, own: dict[str, str] = NOTHING) -> list[str]:
    """The sentences of the refusal, one a fault; the count at their head must be true."""
    with pytest.raises(BackendError) as caught:
        read(place, flags, environ, own)
    head, _, rest = str(caught.value).partition(" setting faults: ")
    if not rest:
        return [head]
    told = rest.split(" | ")
    assert int(head) == len(told)
    return told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[trian]\nspot = true", "there is no section [trian]; did you mean train?"),
        ("[elsewhere]", f"there is no section [elsewhere]; {SECTIONS}"),
        ("spot = true", "spot: stands outside of all sections; put it below [train]"),
        ("instance_type = 'ml.m5.large'", f"instance_type: {OUTSIDE}"),
        ("train = true", "train: is a section; write [train], and its settings below it"),
        ("[[train]]\nspot = true", "train: is a section; write [train], and its settings below it"),
        ("lr = 0.1", "lr: no such setting; lr is a hyperparameter, which --set gives"),
        ("[train]\nlr = 0.1", "[train] lr: no such setting; lr is a hyperparameter, which --set gives"),
        ("[train]\ninstance_typ = ''", "[train] instance_typ: no such setting; did you mean instance_type?"),
        ("[sagemaker]\nspot = true", "[sagemaker] spot: no such setting there; it is in [train]"),
        ("[registry]\nx = 1", "[registry] x: no such setting; the names are group"),
        ("[train]\nspot = 1", "[train] spot: must be true or false, got 1"),
        ("[train]\nspot = 'true'", "[train] spot: must be true or false, got true"),
        ("[train]\nvolume_gb = 0", "[train] volume_gb: must be an integer from 1 to 16384, got 0"),
        ("[train]\nvolume_gb = 1.5", "[train] volume_gb: must be an integer from 1 to 16384, got 1.5"),
        ("[train]\nvolume_gb = true", "[train] volume_gb: must be an integer from 1 to 16384, got true"),
        ("[train]\nvolume_gb = '50'", "[train] volume_gb: must be an integer from 1 to 16384, got 50"),
        ("[train]\nmax_hours = nan", "[train] max_hours: must be a number from 0.1 to 672, got NaN"),
        ("[train]\nmax_hours = inf", "[train] max_hours: must be a number from 0.1 to 672, got Infinity"),
        ("[kennel]\non = 'moon'", "[kennel] on: must be local, docker, sagemaker or MODULE:CLASS, got moon"),
        (
            "[kennel]\non = 1979-05-27",
            '[kennel] on: must be local, docker, sagemaker or MODULE:CLASS, got "1979-05-27"',
        ),
        ("[kennel]\nruns = ''", '[kennel] runs: must be a path, got ""'),
        ("[train]\ninstance_type = 'g4dn'", f"[train] instance_type: {INSTANCE}, got g4dn"),
        ("[train]\ninstance_type = ''", f'[train] instance_type: {INSTANCE}, got ""'),
        ("[sagemaker]\nregion = 'Ireland'", "[sagemaker] region: must be a region, as in eu-west-1, got Ireland"),
        ("[sagemaker]\nbucket = 's3://dogs'", "[sagemaker] bucket: must be a bucket's name, got s3://dogs"),
        ("[sagemaker]\nsubnets = 'subnet-1'", f"[sagemaker] subnets: {SUBNETS}, got subnet-1"),
        ("[sagemaker]\nsubnets = ['subnet-1', 'vpc-1']", f"[sagemaker] subnets: {SUBNETS}, got vpc-1"),
        ("[sagemaker]\nsubnets = [7]", f"[sagemaker] subnets: {SUBNETS}, got 7"),
        ("[sagemaker.tags]\n'aws:own' = 'x'", f"[sagemaker] tags: {TAGS}, got aws:own"),
        ("[sagemaker.tags]\n'kennel:run' = 'x'", f"[sagemaker] tags: {TAGS}, got kennel:run"),
        ("[train.environment]\nDEBUG = true",
         f"[train] environment: {VARIABLES}, got neither text nor integer for DEBUG"),
        ("[train.environment]\n'A-B' = '1'", f"[train] environment: {VARIABLES}, got A-B"),
        ("[train]\nenvironment = []", f"[train] environment: {VARIABLES}, got []"),
    ],
)  # fmt: skip
def test_in_a_file(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "kennel.toml"
    file.write_text(text)
    assert faults(tmp_path) == [f"{file}: {told}"]


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("spot", "-o takes SECTION.NAME=VALUE, got 'spot'"),
        ("=true", "-o takes SECTION.NAME=VALUE, got '=true'"),
        ("train.spt=true", "-o train.spt: no such setting; did you mean train.spot?"),
        ("sagemaker.spot=true", "-o sagemaker.spot: no such setting; did you mean train.spot?"),
        ("profle=x", "-o profle: no such setting; did you mean profile?"),
        ("train.lr=1", "-o train.lr: no such setting; lr is a hyperparameter, which --set gives"),
        ("qqqq=1", "-o qqqq: no such setting; docs/configuration.md has all settings"),
        ("volume_gb=1", "-o volume_gb: is in several sections; say which: train.volume_gb or evaluate.volume_gb"),
        ("train.spot=maybe", "-o train.spot: must be true or false, got maybe"),
        ("train.max_hours=long", "-o train.max_hours: must be a number from 0.1 to 672, got long"),
        ("train.max_hours=nan", "-o train.max_hours: must be a number from 0.1 to 672, got NaN"),
        ("train.volume_gb=" + 400 * "9", f"-o train.volume_gb: must be an integer from 1 to 16384, got {77 * '9'}..."),
        ("sagemaker.tags=team", f"-o sagemaker.tags: {TAGS}, got a name without ="),
        ("sagemaker.tags=a=1,a=2", f"-o sagemaker.tags: {TAGS}, got a twice"),
        ("sagemaker.tags={a = }", f"-o sagemaker.tags: {TAGS}, got what is no TOML"),
        ("tune.warm_start=[one", f"-o tune.warm_start: {WARM_START}, got what is no TOML"),
        ("tune.warm_start=[]\nspot = true", f"-o tune.warm_start: {WARM_START}, got more than one"),
        ("tune.warm_start=a,b,c,d,e,f", f'-o tune.warm_start: {WARM_START}, got ["a", "b", "c", "d", "e", "f"]'),
        ("sagemaker.profile=a\nb", "-o sagemaker.profile: must be a profile's name, got a b"),
    ],
)  # fmt: skip
def test_in_a_flag(tmp_path: Path, flag: str, told: str) -> None:
    assert faults(tmp_path, flag) == [told]


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("KENNEL_ON", "KENNEL_ON: must be local, docker, sagemaker or MODULE:CLASS, got x"),
        ("KENNEL_TRAIN_SPOT", "KENNEL_TRAIN_SPOT: must be true or false, got x"),
        ("KENNEL_TRAIN_SPTO", "KENNEL_TRAIN_SPTO: no such setting; did you mean spot?"),
        ("KENNEL_TRAIN_LR", "KENNEL_TRAIN_LR: no such setting; lr is a hyperparameter, which --set gives"),
        ("KENNEL_DATA_SPOT", "KENNEL_DATA_SPOT: no such setting there; it is in [train]"),
        ("KENNEL_DEPLOY_ZEBRA_QQ", "KENNEL_DEPLOY_ZEBRA_QQ: no such setting; docs/configuration.md has all names"),
    ],
)
def test_in_the_environment(tmp_path: Path, variable: str, told: str) -> None:
    assert faults(tmp_path, environ={variable: "x"}) == [told]


@pytest.mark.parametrize("value", ["s3cret" * 100, "s3cret\0"])
def test_values_of_environment_variables_are_not_quoted(tmp_path: Path, value: str) -> None:
    (told,) = faults(tmp_path, f"train.environment=KEY={value},OTHER=1")
    assert told == f"-o train.environment: {VARIABLES}, got a text that is too long or has other signs for KEY"
    (told,) = faults(tmp_path, environ={"KENNEL_TRAIN_ENVIRONMENT": f"KEY={value},OTHER"})
    assert told == f"KENNEL_TRAIN_ENVIRONMENT: {VARIABLES}, got a name without ="
    many = ",".join(f"KEY_{number}=s3cret" for number in range(101))
    assert faults(tmp_path, f"train.environment={many}") == [f"-o train.environment: {VARIABLES}, got 101 names"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    assert faults(file) == [f"there is no file {file}; python deploy.py init writes one"]
    file.write_text("[train\n")
    (told,) = faults(file)
    assert told.startswith(f"{file} is no TOML: ")
    assert told.endswith("(at line 1, column 7); docs/configuration.md shows its form")
    file.write_text("[train]\nspot = true\nspot = false\n")
    assert "Cannot overwrite a value (at line 3" in faults(file)[0]
    file.write_bytes(b"[train]\n# \xff\n")
    assert faults(file) == [f"{file} is no UTF-8 text; save it as UTF-8"]
    file.write_text("x = " + "9" * 5000)
    assert faults(file)[0].startswith(f"{file} is no TOML: ")
    file.write_text("x = " + "[" * 100_000)
    assert faults(file)[0].startswith(f"{file} is no TOML: ")
    (tmp_path / "kennel.toml").mkdir()
    assert faults(tmp_path) == [f"{tmp_path / 'kennel.toml'} can't be read: Is a directory"]


def test_all_faults_of_all_sources_are_told_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "kennel.toml"
    file.write_text(
        "[train]\nspot = 3\nvolume_gb = 0\n[deploy]\nmemory_mb = 1500\nshift_percent = 5\nshift = 'linear'\n"
    )
    environ = {"KENNEL_TRAIN_SPOT": "perhaps", "KENNEL_DATA_FORM": "tar"}
    told = faults(tmp_path, "kind=x", "kind=serverless", environ=environ, own={"--on": "moon"})
    assert told == [
        f"{file}: [train] spot: must be true or false, got 3",
        f"{file}: [train] volume_gb: must be an integer from 1 to 16384, got 0",
        "KENNEL_DATA_FORM: must be one of folders, archives, got tar",
        "KENNEL_TRAIN_SPOT: must be true or false, got perhaps",
        "-o kind: must be one of realtime, serverless, async, got x",
        "-o deploy.kind is given twice; give it once",
        "--on: must be local, docker, sagemaker or MODULE:CLASS, got moon",
        "[deploy] memory_mb: must be a multiple of 1024, got 1500",
        "[deploy] shift_percent: a linear shift moves at least 10 at a time, got 5",
    ]


def test_a_command_says_them_in_one_line_and_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[train]\nspot = 3\n")
    runs = tmp_path / "runs"
    answer = deploy("status", "--config", file, "-o", "lr=1", "--runs", runs)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == (
        f"error: 2 setting faults: {file}: [train] spot: must be true or false, got 3 | "
        "-o lr: no such setting; lr is a hyperparameter, which --set gives\n"
    )
    assert not runs.exists()
