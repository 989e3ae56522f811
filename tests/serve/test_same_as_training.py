"""Training and serving agree: the same files get the same probabilities, whichever way they are asked for."""

import json
import subprocess
import sys

import pytest

from tests.serve.conftest import Trained
from tests.serve.process import ROOT, Served, environment


def test_http_equals_evaluation(trained: Trained, torch_server: Served) -> None:
    rows = trained.evaluation["predictions"]
    # The probabilities are calibrated: a side that forgot the temperature would show.
    assert abs(trained.artifact.temperature - 1) > 0.01
    assert trained.evaluation["calibration"]["temperature"] == trained.artifact.temperature
    assert len(trained.files) == 12
    assert sorted(rows) == sorted(trained.files)
    for name, path in trained.files.items():
        kind = "image/png" if path.suffix == ".png" else "image/jpeg"
        best = torch_server.invoke(path.read_bytes(), Content_Type=kind).json["predictions"][0]
        assert (best["label"], best["index"]) == (rows[name]["label"], rows[name]["index"])
        assert best["probability"] == pytest.approx(rows[name]["probability"], abs=1e-4)


def test_command_equals_http(trained: Trained, torch_server: Served) -> None:
    files = list(trained.files.values())
    run = subprocess.run(
        [sys.executable, "-m", "serve.predict", "--artifact", trained.ml_root / "model", *files],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(file) for file in files]
    for line, file in zip(lines, files, strict=True):
        served = torch_server.invoke(file.read_bytes()).json["predictions"]
        assert [(p["label"], p["index"]) for p in line["predictions"]] == [(p["label"], p["index"]) for p in served]
        for one, other in zip(line["predictions"], served, strict=True):
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)


def test_log_names_what_is_served(trained: Trained, torch_server: Served) -> None:
    assert (
        f"artifact {trained.artifact.id}: resnet18, 3 classes (Red dog, Green dog, Blue dog); engine auto"
        in torch_server.log
    )
    assert "ready: torch " in torch_server.log
