"""What the docker command is called with for a trial in a slot, by a client that only notes it."""

import shlex
from pathlib import Path

import pytest

from backends import docker
from backends.base import MachineSlot, create
from backends.errors import BackendError
from backends.inputs import parse_hyperparameters
from backends.runs import create_run

CLIENT = """\
#!/bin/sh
[ "$1" = run ] || exit 0
printf '%s\\n' "$*" >> "{log}"
echo "no container today" >&2
exit 125
"""


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the arguments of each `docker run`."""
    client, log = tmp_path / "docker", tmp_path / "called"
    client.write_text(CLIENT.format(log=log))
    client.chmod(0o755)
    monkeypatch.setenv("DOCKER", str(client))
    return log


def test_a_slots_cores_are_the_containers(called: Path, data: Path, tmp_path: Path) -> None:
    backend = create("docker", "some:image")
    assert backend.image == "some:image"
    run = create_run(tmp_path / "runs", "training", "one", backend="docker")
    with pytest.raises(BackendError, match="no container today"):
        backend.train(run, data, parse_hyperparameters({}), lambda _: None, MachineSlot((1, 3)))
    words = shlex.split(called.read_text())
    assert "--cpuset-cpus=1,3" in words
    assert words[-2:] == ["some:image", "train"]


def test_the_page_is_made_in_the_documents_own_folder(called: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no container today"):
        create("docker", "some:image").tuning_page(tmp_path / "tuning.json")
    words = shlex.split(called.read_text())
    assert f"-v={tmp_path}:/opt/ml/output" in words
    assert words[-5:] == ["some:image", "-m", "train.tuning_report", "--json", "/opt/ml/output/tuning.json"]


def test_a_slots_gpu_is_the_only_one_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("pathlib.Path.exists", lambda _: True)
    assert (docker.gpu_options(), docker.gpu_options("GPU-7")) == (["--gpus=all"], ["--gpus=device=GPU-7"])
