"""Transforms in the simulated account, by a server that repeats what the images say."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.runs import Run, all_runs
from backends.sagemaker.backend import CloudBackend
from backends.sagemaker.billing.items import Item
from backends.settings.sections import Settings
from backends.transform.inputs import ImageFiles
from backends.transform.job import OwnServer, TransformRequest
from backends.transform.summary import read_artifact
from tests.cloud.conftest import settings
from tests.cloud.simulator.work import Answer, Prepared, Task

MEGABYTE = 1 << 20


class Echo(Prepared):
    """A server that predicts what the image says of itself, as bytes."""

    def serve(self, task: Task) -> "Echo | None":
        while not self.go.wait(0.02):
            if task.stop.is_set():
                return None
        self.environment = dict(task.environment)
        task.say("serving")
        return self if self.code == 0 else None

    def ask(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if path != "/invocations":
            return Answer(200, "application/json", b"{}")
        assert body is not None
        if body == b"bad":
            return Answer(200, "application/json", b'{"error": {"code": "not_an_image", "message": "no image"}}')
        if headers["Accept"].endswith("format=probabilities"):
            return Answer(200, "application/json", b"[0.25, 0.75]")
        row = {"label": body.decode(), "index": 0, "probability": 1.0}
        return Answer(200, "application/json", json.dumps({"predictions": [row]}).encode())

    def close(self) -> None:
        """There is nothing to end."""


def made_artifact(tmp_path: Path) -> Path:
    """Of two breeds."""
    folder = tmp_path / "model"
    folder.mkdir()
    classes = [{"name": "001.Beagle", "label": "Beagle"}, {"name": "002.Pug", "label": "Pug"}]
    manifest = {"classes": classes, "weights": {"sha256": "ab" * 32}, "metrics": {}}
    (folder / "kennel.json").write_text(json.dumps(manifest))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def made_photos(tmp_path: Path) -> Path:
    """Of both, one of which is no image; and a file that isn't called like one."""
    folder = tmp_path / "photos"
    for name, content in (("Beagle/1.jpg", b"Beagle"), ("Beagle/2.jpg", b"bad"), ("Pug/3.png", b"Beagle"),
                          ("Pug/notes.txt", b"no image")):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def wanted(
    tmp_path: Path, artifact: Path, files: ImageFiles, chosen: Settings | None = None, asked: list[Item] | None = None,
    **more: Any,
) -> TransformRequest:  # fmt: skip
    backend = CloudBackend(chosen or settings(), (asked if asked is not None else []).extend)
    server = OwnServer(backend, artifact, tmp_path / "runs")
    return TransformRequest(files, tmp_path / "out", server, read_artifact(artifact), **more)


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]


def only_run(tmp_path: Path) -> Run:
    (run,) = all_runs(tmp_path / "runs")
    return run
