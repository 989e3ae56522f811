"""Training and serving agree: the same files get the same probabilities, whichever way they are asked for."""

import json
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests import forked
from tests.serve.conftest import Trained, encoded, photo
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
    run = forked.run(
        [sys.executable, "-m", "serve.predict", "--artifact", trained.ml_root / "model", *files],
        env=environment(),
        cwd=ROOT,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(file) for file in files]
    for line, file in zip(lines, files, strict=True):
        served = torch_server.invoke(file.read_bytes()).json["predictions"]
        assert [(p["label"], p["index"]) for p in line["predictions"]] == [(p["label"], p["index"]) for p in served]
        for one, other in zip(line["predictions"], served, strict=True):
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)


def test_a_jpeg_decoded_at_reduced_size_gets_the_answer_of_all_its_pixels(torch_server: Served) -> None:
    """1000 x 750 pixels, which decode at an eighth, and losslessly the same pixels, which decode whole."""
    labels = set()
    for seed in range(12):
        grain = np.random.default_rng(seed).normal(0, 8, (750, 1000, 3))
        picture = np.clip(np.asarray(photo(seed, 1000, 750, seed % 3)) + grain, 0, 255).astype(np.uint8)
        jpeg = encoded(Image.fromarray(picture), quality=92)
        whole = encoded(Image.open(BytesIO(jpeg)), "PNG", compress_level=1)
        small, full = (
            np.array(torch_server.invoke(body, Accept="application/json;format=probabilities").json)
            for body in (jpeg, whole)
        )
        assert small == pytest.approx(full, abs=0.01)
        assert small.argmax() == full.argmax()
        labels.add(small.argmax())
    # An answer that were always the same would prove nothing.
    assert len(labels) > 1


def test_log_names_what_is_served(trained: Trained, torch_server: Served) -> None:
    assert (
        f"artifact {trained.artifact.id}: resnet18, 3 classes (Red dog, Green dog, Blue dog); engine auto"
        in torch_server.log
    )
    assert "ready: torch " in torch_server.log
