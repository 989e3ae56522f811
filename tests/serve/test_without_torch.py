"""On a CPU, an artifact with OpenVINO's forms is served by processes that never import torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.contracts.engine_artifacts import add_forms, pictures, save, separating_network
from tests.serve.conftest import Start, encoded
from tests.serve.process import ROOT, Served, environment


@pytest.fixture(scope="module")
def ml_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, network = tmp_path_factory.mktemp("forms"), separating_network()
    save(root / "model", network)
    add_forms(root / "model", network)
    return root


@pytest.fixture(scope="module")
def plain_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plain")
    save(root / "model", separating_network())
    return root


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder that hides torch behind a module which leaves a trace when it is imported."""
    folder = tmp_path / "trap"
    folder.mkdir()
    (folder / "torch.py").write_text(
        f"open({str(folder / 'imported')!r}, 'w').close()\nraise ImportError('torch was imported')\n"
    )
    return folder


def photos() -> list[bytes]:
    """The network's classes are 0, 1, 2, 0, 1."""
    return [encoded(Image.fromarray(image), "PNG") for image in pictures()]


def settings(trap: Path) -> dict[str, str]:
    # Where there is a GPU, torch is asked; and the toy is the other tests' default.
    return {"KENNEL_ENGINE": "", "KENNEL_DEVICE": "cpu", "PYTHONPATH": f"{trap}:{ROOT}"}


def libraries(server: Served) -> str:
    return "".join(Path(f"/proc/{process}/maps").read_text() for process in [server.process.pid, *server.workers()])


def test_the_server(start: Start, ml_root: Path, trap: Path) -> None:
    server = start(ml_root=ml_root, KENNEL_THREADS="2", **settings(trap))
    server.wait_ready()
    answers = [server.invoke(body, Content_Type="image/png").json["predictions"] for body in photos()]
    assert [each[0]["index"] for each in answers] == [0, 1, 2, 0, 1]
    assert "ready: openvino 20" in server.log
    assert "form openvino-int8 in f32, on the CPU, 2 threads (chosen because device cpu is wanted and" in server.log
    assert not (trap / "imported").exists()
    assert "libopenvino_intel_cpu" in libraries(server)
    assert "libtorch" not in libraries(server)


def test_the_trap_springs(start: Start, ml_root: Path, trap: Path) -> None:
    server = start(ml_root=ml_root, KENNEL_FORM="torch", **settings(trap))
    assert server.wait() == 2
    assert "torch was imported" in server.log
    assert (trap / "imported").exists()


def test_the_command(ml_root: Path, trap: Path, tmp_path: Path) -> None:
    files = []
    for number, body in enumerate(photos() * 5):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(body)
    files.insert(7, tmp_path / "none.png")
    run = subprocess.run(
        [sys.executable, "-m", "serve.predict", "--artifact", ml_root / "model", "--device", "cpu", *files],
        env=environment(PYTHONPATH=f"{trap}:{ROOT}"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (1, "")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(file) for file in files]
    assert "No such file" in lines.pop(7)["error"]
    assert [line["predictions"][0]["index"] for line in lines] == [0, 1, 2, 0, 1] * 5
    assert not (trap / "imported").exists()


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ({"KENNEL_ENGINE": "openvino", "KENNEL_DEVICE": "cuda"}, "error: the engine openvino runs on the CPU, not on"),
        ({"KENNEL_ENGINE": "torch", "KENNEL_FORM": "openvino"}, "error: the engine torch runs the form torch, not"),
        ({"KENNEL_FORM": "torch", "KENNEL_PRECISION": "f16", "KENNEL_DEVICE": "cpu"}, "error: precision f16 is wanted"),
    ],
)
def test_wishes_that_cannot_be_met_end_the_server(
    start: Start, ml_root: Path, variables: dict[str, str], error: str
) -> None:
    server = start(ml_root=ml_root, **{"KENNEL_ENGINE": "", **variables})
    assert server.wait() == 2
    assert server.log.splitlines()[-1].startswith(error), server.log
    assert "Traceback" not in server.log


def test_an_artifact_without_forms_is_refused_by_openvino(start: Start, plain_root: Path) -> None:
    server = start(ml_root=plain_root, KENNEL_ENGINE="openvino")
    assert server.wait() == 2
    last = server.log.splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith("has no form openvino for OpenVINO (it has: none); train with export=int8")


def test_an_artifact_without_forms_is_served_by_torch_which_is_told(start: Start, plain_root: Path) -> None:
    server = start(ml_root=plain_root, KENNEL_ENGINE="", KENNEL_DEVICE="cpu")
    server.wait_ready()
    assert "WARNING" in server.log
    assert "slower and takes more memory: the artifact has no form for OpenVINO; train with export=int8" in server.log
    assert "ready: torch " in server.log
    assert "(chosen because device cpu is wanted and OpenVINO can't serve this artifact)" in server.log
