"""docker/bake_pretrained.py: weights for the image, from files or by download."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docker" / "bake_pretrained.py"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """docker/pretrained/ of the build context."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The image's folder, not there yet."""
    return tmp_path / "opt" / "pretrained"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module; it lies in no package."""
    spec = importlib.util.spec_from_file_location("bake_pretrained", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def host(files: Path) -> Iterator[str]:
    """A web server on `files`."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(files))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def bake(files: Path, target: Path, *sources: str) -> subprocess.CompletedProcess[str]:
    """The script as the Dockerfile calls it."""
    command = [sys.executable, str(SCRIPT), "--target", str(target), "--files", str(files), *sources]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environ, timeout=200)


def named_by_hash(folder: Path, content: bytes) -> Path:
    """A file that carries the first digits of its hash, as torchvision's do."""
    file = folder / f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    file.write_bytes(content)
    return file


def test_weights_of_ones_own_get_the_name_that_training_looks_for(files: Path, target: Path) -> None:
    (files / "resnet18.pth").write_bytes(b"ours")
    (files / ".gitkeep").touch()
    answer = bake(files, target, "file")
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in target.iterdir()] == ["resnet18-f37072fd.pth"]
    assert (target / "resnet18-f37072fd.pth").read_bytes() == b"ours"
    assert "its hash unchecked" in answer.stdout


def test_a_file_with_torchvisions_name_must_have_its_hash(files: Path, target: Path) -> None:
    (files / "resnet18-f37072fd.pth").write_bytes(b"cut off")
    answer = bake(files, target, "file")
    assert answer.returncode == 1
    # printf 'cut off' | sha256sum
    assert "resnet18-f37072fd.pth: its SHA-256 starts with 117b4857, not with f37072fd" in answer.stderr


def test_other_names_no_files_and_other_words_are_refused_in_a_sentence(
    script: ModuleType, files: Path, target: Path
) -> None:
    with pytest.raises(SystemExit, match=r"holds no \.pth file"):
        script.copy_files(files, target)
    (files / "vgg16.pth").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"vgg16\.pth is none of the names that are known: resnet18-f37072fd\.pth"):
        script.copy_files(files, target)
    answer = bake(files, target, "alexnet")
    assert answer.returncode == 1
    assert (
        "PRETRAINED must be none, file or architectures of resnet18, resnet34, resnet50, got 'alexnet'" in answer.stderr
    )


def test_none_leaves_an_empty_folder(files: Path, target: Path) -> None:
    answer = bake(files, target, "none")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert list(target.iterdir()) == []


def test_a_download_is_checked_against_its_name(script: ModuleType, files: Path, target: Path, host: str) -> None:
    target.mkdir(parents=True)
    whole = named_by_hash(files, b"weights")
    script.download(f"{host}/{whole.name}", target)
    assert (target / whole.name).read_bytes() == b"weights"
    whole.write_bytes(b"weigh")
    with pytest.raises(SystemExit, match="fetch the file again"):
        script.download(f"{host}/{whole.name}", target)


def test_a_download_that_fails_names_the_ways_out(script: ModuleType, target: Path, host: str) -> None:
    target.mkdir(parents=True)
    with pytest.raises(SystemExit, match="PRETRAINED=file, or leave the weights out with PRETRAINED=none"):
        script.download(f"{host}/resnet18-00000000.pth", target)
