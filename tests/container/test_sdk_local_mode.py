"""The image under a client that isn't Kennel's: SageMaker's SDK in its local mode, by docker compose, on moto's S3."""

import json
import os
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.container.docker_cli import Docker
from tests.container.servers import free_address, process

ROOT = Path(__file__).parents[2]
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-west-1"}


@dataclass(frozen=True)
class Notebook:
    """Where a notebook's code runs: its home, its moto, the environment of both; all its containers have one label."""

    home: Path
    environ: dict[str, str]
    image: str

    def run(self, part: str, data: Path) -> dict[str, Any]:
        """A part of the tutorial, to its end; returns its results."""
        results = self.home / f"{part}.json"
        command = [sys.executable, "-m", "tests.container.tutorial", part, self.image, str(data), str(results)]
        answer = subprocess.run(
            command, check=False, capture_output=True, text=True, env=self.environ, cwd=ROOT, timeout=280
        )
        assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-4000:]
        found: dict[str, Any] = {**json.loads(results.read_text()), "log": answer.stdout}
        return found

    def fetch(self, url: str, name: str) -> Path:
        """An object of S3 as a file of that name."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        self.s3.download_file(bucket, key, str(self.home / name))
        return self.home / name

    @property
    def s3(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.environ["AWS_ENDPOINT_URL"], region_name="eu-west-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip


@pytest.fixture(scope="module")
def notebook(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """Someone's machine with the SDK, a compose command and the image; ends with no container and no network left."""
    home = tmp_path_factory.mktemp("notebook")
    moto, serving = free_address(), free_address()
    (home / "containers").mkdir()
    (home / ".sagemaker").mkdir()
    local = {"serving_port": int(serving.partition(":")[2]), "container_root": str(home / "containers")}
    (home / ".sagemaker" / "config.yaml").write_text(json.dumps({"local": local}))
    silent = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
    (home / "sdk.yaml").write_text(json.dumps(silent))
    project = f"kennel-test-{uuid.uuid4().hex[:12]}"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAGEMAKER_"))},
        **KEYS,
        "AWS_ENDPOINT_URL": f"http://{moto}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(home / "sdk.yaml"),
        "HOME": str(home),
        "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker")),
        "COMPOSE_PROJECT_NAME": project,
        # The SDK starts `docker` and `docker-compose`.
        "PATH": f"{Path(docker.client).parent}:{os.environ['PATH']}",
    }
    server = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", moto.partition(":")[2]]
    with process(server, moto, home / "moto.log"):
        try:
            yield Notebook(home, environ, docker.image)
        finally:
            label = f"label=com.docker.compose.project={project}"
            for kind, remove in (("container", ("rm", "--force", "--volumes")), ("network", ("network", "rm"))):
                found = docker.call(
                    kind, "ls", *(["--all"] if kind == "container" else []), "--quiet", "--filter", label
                )
                if found:
                    docker.call(*remove, *found.split())


@pytest.fixture(scope="module")
def tutorial(notebook: Notebook, sample_data: Path) -> dict[str, Any]:
    return notebook.run("model", sample_data)


@pytest.fixture(scope="module")
def batch(notebook: Notebook, tutorial: dict[str, Any], sample_data: Path) -> dict[str, Any]:
    return notebook.run("batch", sample_data)


def test_fit_leaves_a_whole_artifact(notebook: Notebook, tutorial: dict[str, Any]) -> None:
    assert tutorial["model"].startswith(f"s3://{tutorial['bucket']}/output/")
    with tarfile.open(notebook.fetch(tutorial["model"], "model.tar.gz")) as archive:
        names = {member.name for member in archive if member.isfile()}
        manifest = json.load(archive.extractfile("kennel.json") or sys.stdin)
    assert {"kennel.json", "model.safetensors", "model_card.md"} <= names
    assert [each["label"] for each in manifest["classes"]][:2] == ["Harbour spotter", "Lantern spitz"]


def test_fit_tells_every_epoch_to_the_sdk(tutorial: dict[str, Any]) -> None:
    lines = [line for line in tutorial["log"].splitlines() if "validation_accuracy" in line]
    assert len(lines) >= 2


def test_an_endpoint_answers_with_labels(tutorial: dict[str, Any]) -> None:
    predictions = tutorial["told"]["predictions"]
    assert [set(each) for each in predictions] == [{"label", "index", "probability"}] * 5
    assert sum(each["probability"] for each in predictions) <= 1.000001


def test_the_tutorials_own_reading_of_the_answer_works(tutorial: dict[str, Any]) -> None:
    ((*probabilities,),) = tutorial["response"]
    assert len(probabilities) == 6
    assert sum(probabilities) == pytest.approx(1.0, abs=1e-6)
    # Both models are the same artifact.
    assert tutorial["class"] == tutorial["told"]["predictions"][0]["index"]


def test_kennels_predictor_gives_labels_for_one_photo_and_for_several(tutorial: dict[str, Any]) -> None:
    assert tutorial["labels"] == [tutorial["told"]["predictions"][0]["label"]] * 3


def test_a_batch_transform_answers_every_photo(notebook: Notebook, batch: dict[str, Any], sample_data: Path) -> None:
    photos = sorted(path.name for path in sorted((sample_data / "test").iterdir())[0].iterdir())
    found = notebook.s3.list_objects_v2(Bucket=batch["bucket"], Prefix="transformed/")["Contents"]
    assert sorted(Path(each["Key"]).name for each in found) == [f"{name}.out" for name in photos]
    for each in found:
        answer = json.loads(notebook.s3.get_object(Bucket=batch["bucket"], Key=each["Key"])["Body"].read())
        assert len(answer["predictions"]) == 5


def test_a_processing_job_runs_our_commands(notebook: Notebook, batch: dict[str, Any]) -> None:
    report = json.loads(notebook.fetch(f"s3://{batch['bucket']}/processed/data.json", "data.json").read_text())
    assert report["images"] == {"train": 48, "valid": 12, "test": 12}


def test_two_hosts_share_one_search(notebook: Notebook, sample_data: Path) -> None:
    found = notebook.run("search", sample_data)
    with tarfile.open(notebook.fetch(found["model"], "search.tar.gz")) as archive:
        assert "kennel.json" in archive.getnames()
    assert found["strangers"] == []


def test_two_hosts_train_one_network(notebook: Notebook, sample_data: Path) -> None:
    found = notebook.run("hosts", sample_data)
    with tarfile.open(notebook.fetch(found["model"], "hosts.tar.gz")) as archive:
        manifest = json.load(archive.extractfile("kennel.json") or sys.stdin)
    assert manifest["provenance"]["completed"] is True
    # Both have trained, and one has told of it.
    said = [line for line in found["log"].splitlines() if "threads on each of 2 hosts" in line]
    assert sorted(name for line in said for name in ("algo-1", "algo-2") if name in line.split("|")[0]) == [
        "algo-1", "algo-2",
    ]  # fmt: skip
    assert len([line for line in found["log"].splitlines() if "epoch=" in line]) == 2
    assert found["strangers"] == []


def test_nothing_but_this_machine_was_asked_for(tutorial: dict[str, Any], batch: dict[str, Any]) -> None:
    assert tutorial["strangers"] + batch["strangers"] == []
