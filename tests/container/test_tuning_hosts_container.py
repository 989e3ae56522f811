"""Two containers of the image, algo-1 and algo-2 on one network as SageMaker has them, run one search."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.artifact import Artifact
from tests.container.docker_cli import READ_ONLY, USER, Container, Docker, give_to_user, write_job

HOSTS = ("algo-1", "algo-2")
TRIALS = 6


@pytest.fixture
def network(docker: Docker) -> Iterator[str]:
    """A network of its own, whose containers know each other by name, and nobody else."""
    name = f"kennel-test-{uuid.uuid4().hex[:12]}"
    docker.call("network", "create", "--internal", name)
    try:
        yield name
    finally:
        docker.call("network", "rm", name, check=False)


def tree(root: Path, data: Path, host: str) -> Path:
    write_job(
        root, data, pretrained="none", freeze="backbone", feature_views=1, image_size=32, batch_size=8, export="none",
        debug="off", profile="off", tensorboard="off", tune_trials=TRIALS, tune_pruner="none", epochs=2,
        tune_space="lr=0.001:0.1:log",
    )  # fmt: skip
    resources = {"current_host": host, "hosts": list(HOSTS), "network_interface_name": "eth0"}
    (root / "input" / "config" / "resourceconfig.json").write_text(json.dumps(resources))
    give_to_user(root)
    return root


def start(docker: Docker, network: str, root: Path, host: str) -> Container:
    place = ("--volume", f"{root}:/opt/ml", "--shm-size", "256m", "--network", network)
    return docker.start("train", options=(*USER, *READ_ONLY, *place, "--hostname", host, "--network-alias", host))


def trials_of(logs: str) -> int:
    found = re.search(r"search: worker process 1 has ended, after (\d+) trials", logs)
    assert found, logs
    return int(found[1])


def test_two_containers_run_one_search(docker: Docker, sample_data: Path, network: str, tmp_path: Path) -> None:
    leading, lending = (tree(tmp_path / host, sample_data, host) for host in HOSTS)
    # The second comes first: when it looks for the leader, its name can't be resolved yet.
    with start(docker, network, lending, "algo-2") as second:
        second.wait_for_log("search: algo-1 leads it; worker processes here: 1")
        with start(docker, network, leading, "algo-1") as first:
            # The leader's own worker is held up until the other one had a trial, however fast either is.
            first.wait_for_log("search: worker process 1 has begun (process id ")
            found = re.search(r"process 1 has begun \(process id (\d+),", first.logs())
            assert found
            docker.call("exec", first.name, "sh", "-c", f"kill -STOP {found[1]}")
            first.wait_for_log(f" of {TRIALS}: lr ")
            docker.call("exec", first.name, "sh", "-c", f"kill -CONT {found[1]}")
            codes = [docker.call("wait", each.name) for each in (first, second)]
            logs = [each.logs() for each in (first, second)]
    assert codes == ["0", "0"], logs
    had = [trials_of(each) for each in logs]
    assert sum(had) == TRIALS
    assert min(had) >= 1
    document = json.loads((leading / "output" / "data" / "tuning.json").read_text())
    assert [each["state"] for each in document["trials"]] == ["completed"] * TRIALS
    assert document["winner"]["reproduced"] is True
    assert Artifact.load(leading / "model").provenance["completed"] is True
    assert list((lending / "model").iterdir()) == []
    assert {each.name for each in (lending / "output" / "data").iterdir()} == {"data.json"}
    assert "epoch=" not in logs[1]
