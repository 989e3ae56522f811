"""Serving the int8 form loads no torch, maps its weights and takes little memory: seen from outside, by process."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.conftest import encoded, photo
from tests.serve.footprint import Footprint, measure
from tests.serve.int8_artifact import make
from tests.serve.process import Served

MB = 1_000_000
KEPT = ("kennel.json", "openvino_int8.xml", "openvino_int8.bin")


@pytest.fixture(scope="module")
def ml_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact without what int8 has no use for: no model.safetensors, no float32 form."""
    whole, root = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("lean")
    make(whole)
    (root / "model").mkdir()
    for name in KEPT:
        shutil.copy(whole / name, root / "model")
    return root


@pytest.fixture(scope="module", params=["1", "2"])
def served(request: pytest.FixtureRequest, ml_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("log") / "log"
    server = Served(ml_root, log, True, KENNEL_ENGINE="openvino", SAGEMAKER_MODEL_SERVER_WORKERS=request.param)
    try:
        server.wait_ready()
        answer = server.invoke(encoded(photo(1, 500, 375)))
        assert answer.status == 200, answer.body
        assert len(answer.json["predictions"]) == 5
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def footprint(served: Served) -> Footprint:
    return measure(served.process.pid)


def test_no_torch(footprint: Footprint) -> None:
    assert footprint.workers
    for process in footprint.processes:
        assert not process.maps("torch")
    # It would have been seen: OpenVINO is.
    assert all(worker.maps("libopenvino_intel_cpu_plugin") for worker in footprint.workers)


def test_the_master_has_no_engine_and_what_workers_share(footprint: Footprint) -> None:
    (master,) = (process for process in footprint.processes if process not in footprint.workers)
    assert not master.maps("openvino")
    assert master.maps("_imaging")


def test_the_weights_are_mapped(footprint: Footprint) -> None:
    assert all(worker.maps("/model/openvino_int8.bin") for worker in footprint.workers)


def test_memory(footprint: Footprint) -> None:
    # Resident size counts what is shared in every process that shares it.
    assert max(worker.rss for worker in footprint.workers) <= 250 * MB
    assert sum(process.pss for process in footprint.processes) <= 250 * MB * len(footprint.workers)
