"""build_and_push.sh, the whole of it: to a registry on the loopback with moto for ECR and STS, and back."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.container.docker_cli import Docker
from tests.container.servers import free_address, process

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
# What moto's get-login-password gives for its account, and its bcrypt hash: the registry takes no other.
PASSWORD = "123456789012-auth-token"
HTPASSWD = "AWS:$2b$10$BotNuA7xZiWzdaR/gbjXn.Pj57GLIFUEcIqIyjePwi3FjBBoFaVnu\n"
SCHEMA_2 = "application/vnd.docker.distribution.manifest.v2+json"
REGISTRY_CONFIG = """
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}
http: {{addr: "{address}"}}
auth: {{htpasswd: {{realm: kennel, path: {folder}/htpasswd}}}}
"""


@dataclass(frozen=True)
class Cloud:
    """The registry's HOST:PORT and the environment in which aws and docker find both."""

    registry: str
    environ: dict[str, str]

    def push(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """build_and_push.sh, started from elsewhere."""
        command = [str(ROOT / "build_and_push.sh"), *arguments]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, env=self.environ, cwd="/", timeout=280
        )

    def aws(self, *arguments: str) -> str:
        # Version 1 of the command does not know AWS_REGION.
        command = [str(TOOLS / "aws"), "--region", self.environ["AWS_REGION"], *arguments]
        answer = subprocess.run(command, check=False, capture_output=True, text=True, env=self.environ, timeout=60)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def manifest(self, name: str, tag: str) -> tuple[str, dict[str, object]]:
        """(media type, manifest), as the registry gives it to a client that takes any form."""
        accept = f"{SCHEMA_2}, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        token = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
        url = f"http://{self.registry}/v2/{name}/manifests/{tag}"
        asked = urllib.request.Request(url, headers={"Accept": accept, "Authorization": f"Basic {token}"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.headers["Content-Type"], json.load(answer)


@pytest.fixture(scope="module")
def cloud(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A registry that asks for moto's password, and moto."""
    folder = tmp_path_factory.mktemp("registry")
    registry, moto = free_address(), free_address()
    (folder / "htpasswd").write_text(HTPASSWD)
    (folder / "config.yml").write_text(REGISTRY_CONFIG.format(folder=folder, address=registry))
    # Logins must not land in the user's own settings, but a buildx plugin may lie there.
    config = folder / "docker"
    config.mkdir()
    plugins = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "cli-plugins"
    if plugins.is_dir():
        (config / "cli-plugins").symlink_to(plugins)
    labels = docker.inspect_image()["Config"]["Labels"]
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "PATH": f"{TOOLS}:{os.environ['PATH']}",
        "DOCKER_CONFIG": str(config),
        "REGISTRY": registry,
        "AWS_ENDPOINT_URL": f"http://{moto}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-central-1",
        # As the image under test was built, so that Docker's cache answers.
        "BASE_IMAGE": labels["org.opencontainers.image.base.name"],
        "TORCH": "cpu" if labels["ai.kennel.cuda"] == "none" else "cuda",
        "PRETRAINED": labels["ai.kennel.pretrained"],
    }
    server = shutil.which("docker-registry")
    assert server, "docker-registry is missing: apt-get install docker-registry"
    host, port = moto.split(":")
    with (
        process([server, "serve", str(folder / "config.yml")], registry, folder / "registry.log"),
        process([str(TOOLS / "moto_server"), "-H", host, "-p", port], moto, folder / "moto.log"),
    ):
        yield Cloud(registry, environ)


@pytest.fixture(scope="module")
def pushed(docker: Docker, cloud: Cloud) -> Iterator[subprocess.CompletedProcess[str]]:
    """The first push, of dogs/kennel:1.0."""
    answer = cloud.push("dogs/kennel", "1.0")
    yield answer
    docker.call("image", "rm", f"{cloud.registry}/dogs/kennel:1.0", check=False)


def test_uri_stands_alone_on_standard_output(cloud: Cloud, pushed: subprocess.CompletedProcess[str]) -> None:
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout == f"{cloud.registry}/dogs/kennel:1.0\n"
    assert "creating the ECR repository dogs/kennel" in pushed.stderr


def test_repository_scans_on_push_and_its_tags_are_immutable(cloud: Cloud, pushed: object) -> None:
    answer = json.loads(
        cloud.aws("ecr", "describe-repositories", "--repository-names", "dogs/kennel", "--output", "json")
    )
    (repository,) = answer["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}


def test_manifest_is_the_one_form_that_sagemaker_accepts(cloud: Cloud, pushed: object) -> None:
    media_type, manifest = cloud.manifest("dogs/kennel", "1.0")
    assert media_type == SCHEMA_2
    assert manifest["mediaType"] == SCHEMA_2
    assert isinstance(manifest["layers"], list)
    assert len(manifest["layers"]) >= 5


def test_image_pulled_back_is_the_image_and_runs(docker: Docker, cloud: Cloud, pushed: object) -> None:
    uri = f"{cloud.registry}/dogs/kennel:1.0"
    here = docker.inspect_image(uri)
    _, manifest = cloud.manifest("dogs/kennel", "1.0")
    assert isinstance(manifest["config"], dict)
    assert manifest["config"]["digest"] == here["Id"]
    docker.call("image", "rm", uri)
    pull = [docker.client, "pull", "--quiet", uri]
    subprocess.run(pull, check=True, capture_output=True, env=cloud.environ, timeout=280)
    back = docker.inspect_image(uri)
    assert back["Id"] == here["Id"]
    assert Docker(docker.client, uri).run("python", "-c", "import train, serve").returncode == 0


def test_a_tag_that_is_there_is_refused_before_anything_is_built(cloud: Cloud, pushed: object) -> None:
    again = cloud.push("dogs/kennel", "1.0")
    assert again.returncode == 1
    assert again.stdout == ""
    assert f"{cloud.registry}/dogs/kennel:1.0 is there already" in again.stderr
    assert "building" not in again.stderr


def test_without_a_tag_it_makes_one_that_says_where_the_image_comes_from(
    docker: Docker, cloud: Cloud, pushed: object
) -> None:
    answer = cloud.push("dogs/kennel")
    assert answer.returncode == 0, answer.stderr
    uri = answer.stdout.splitlines()[-1]
    docker.call("image", "rm", uri)
    assert uri.startswith(f"{cloud.registry}/dogs/kennel:")
    commit = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--short=12", "HEAD"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.strip()
    tag = uri.rpartition(":")[2]
    assert tag.startswith(commit) if commit else re.fullmatch(r"\d{8}-\d{6}", tag)
    assert "creating" not in answer.stderr


def test_credentials_that_nobody_confirms_end_it_before_the_build(cloud: Cloud) -> None:
    lost = Cloud(
        cloud.registry,
        {**cloud.environ, "AWS_ENDPOINT_URL": f"http://{free_address()}", "AWS_MAX_ATTEMPTS": "1"},
    )
    answer = lost.push("dogs/kennel", "2.0")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "nothing was built, 1 missing" in answer.stderr
    assert "no AWS credentials that work" in answer.stderr
