"""A backend from outside of Kennel: --on MODULE:CLASS."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import create
from backends.errors import BackendError
from tests.backends.terminal import deploy

CLASSES = """
from backends.local import LocalBackend

class Mine(LocalBackend):
    name = "own_backend:Mine"

    def __init__(self, image):
        super().__init__()
        self.image = image

    def predict(self, artifact, images):
        return [{"file": str(image), "predictions": [{"label": "Cat", "probability": 1.0}]} for image in images]

class Unnamed(LocalBackend):
    pass

class Empty:
    name = "own_backend:Empty"
    image = ""

    def __init__(self, image):
        pass
"""

LACKS = "module 'own_backend' has no attribute"
METHODS = (
    "check_data", "train", "gpus", "tuning_page", "evaluate", "debug", "predict", "deploy", "wait_ready", "ask",
    "serve", "is_alive", "stop",
)  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_backend.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("own_backend", None)


def test_a_class_elsewhere_is_a_backend_and_gets_the_image(package: Path) -> None:
    backend = create("own_backend:Mine", "kennel:own")
    assert (backend.name, backend.image) == ("own_backend:Mine", "kennel:own")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("moon", "--on must be local, docker, sagemaker or MODULE:CLASS, got 'moon'"),
        (":Mine", "--on must be local, docker, sagemaker or MODULE:CLASS, got ':Mine'"),
        ("own_backend:", "--on must be local, docker, sagemaker or MODULE:CLASS, got 'own_backend:'"),
        (
            "nowhere:Mine",
            "--on nowhere:Mine can't be imported (No module named 'nowhere'); is its folder on PYTHONPATH?",
        ),
        (
            "own_backend:Yours",
            f"--on own_backend:Yours can't be imported ({LACKS} 'Yours'); is its folder on PYTHONPATH?",
        ),
        (
            "own_backend:Unnamed",
            "--on own_backend:Unnamed: the backend's name must be 'own_backend:Unnamed', got 'local'",
        ),
        (
            "own_backend:Empty",
            f"--on own_backend:Empty is no backend: it lacks {', '.join(METHODS)} (see backends/base.py)",
        ),
    ],
)
def test_what_is_no_backend_is_refused_in_one_sentence(package: Path, name: str, fault: str) -> None:
    with pytest.raises(BackendError, match=f"^{re.escape(fault)}$"):
        create(name, "")


def test_a_command_runs_on_it(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "kennel.json").write_text("{}")
    monkeypatch.setenv("PYTHONPATH", str(package))
    answer = deploy("predict", "a.jpg", "--artifact", package, "--on", "own_backend:Mine", "--runs", package)
    assert (answer.returncode, answer.stdout) == (0, "a.jpg\n    1.0000  Cat\n"), answer.stderr
