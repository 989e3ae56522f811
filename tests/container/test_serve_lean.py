"""In the image, the int8 form is served at once and in little memory."""

from pathlib import Path

import pytest

from tests.container.docker_cli import READ_ONLY, USER, Docker, give_to_user, request
from tests.serve.footprint import Footprint, measure
from tests.serve.int8_artifact import make

MB = 1_000_000
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def footprint(docker: Docker, dog: Path, tmp_path_factory: pytest.TempPathFactory) -> Footprint:
    """Of one worker on two cores, just after its first answer."""
    model = tmp_path_factory.mktemp("int8")
    make(model)
    (model / "model.safetensors").unlink()
    give_to_user(model)
    with docker.serve(model, *USER, *READ_ONLY, "--cpus", "2") as server:
        server.wait_until_ready()
        reply = request(f"{server.url}/invocations", dog.read_bytes(), JPEG)
        assert reply.status == 200, reply.body
        # The program that measures runs in the container, too; it reads the account before all else.
        found = measure(1, [docker.client, "exec", server.name], container=True)
    print(f"{found.processes_cpu_s:.2f} s of the processes, {found.cpu_s} s and {found.memory} bytes of the cgroup")
    return found


def test_no_torch_in_any_process(footprint: Footprint) -> None:
    assert len(footprint.workers) == 1
    assert not any(process.maps("torch") for process in footprint.processes)
    assert footprint.workers[0].maps("libopenvino_intel_cpu_plugin")


def test_the_weights_are_mapped(footprint: Footprint) -> None:
    assert footprint.workers[0].maps("/opt/ml/model/openvino_int8.bin")


def test_cpu_seconds_to_the_first_answer(footprint: Footprint) -> None:
    assert footprint.processes_cpu_s <= 1.5
    if footprint.cpu_s is not None:
        # What starts the container, and Python for measuring, are in this account.
        assert footprint.cpu_s <= 1.5 + 0.2


def test_memory(footprint: Footprint) -> None:
    assert footprint.workers[0].rss <= 250 * MB
    assert sum(process.pss for process in footprint.processes) <= 250 * MB
    if footprint.memory is not None:
        assert footprint.memory <= 250 * MB
