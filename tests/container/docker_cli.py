"""Containers for tests, driven by the docker command as users drive it; each is removed by its own name."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Of the containers' processes, never root: a user id of its own where the tests run as root.
UID = os.getuid() or 1000
GID = os.getgid() or 1000
USER = ("--user", f"{UID}:{GID}")
READ_ONLY = ("--read-only", "--tmpfs", "/tmp")
HUNG_S = 280


class DockerMissing(Exception):
    """Docker or the image isn't there; the message says what to do."""


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, whatever its status."""

    status: int
    body: bytes
    content_type: str

    def json(self) -> Any:
        return json.loads(self.body)


class Container:
    """A running container; leaving the `with` block removes it."""

    def __init__(self, docker: "Docker", name: str) -> None:
        self.docker = docker
        self.name = name

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: object) -> None:
        self.docker.call("rm", "--force", "--volumes", self.name, check=False)

    @property
    def url(self) -> str:
        """Where its port 8080 is published."""
        return f"http://{self.docker.call('port', self.name, '8080/tcp').splitlines()[0]}"

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        state = json.loads(self.docker.call("inspect", "--format", "{{json .State}}", self.name))
        return None if state["Running"] else int(state["ExitCode"])

    def logs(self) -> str:
        """Standard output and error, each in its own order."""
        answer = subprocess.run(
            [self.docker.client, "logs", self.name],
            check=False,
            capture_output=True,
            text=True,
            timeout=HUNG_S,
        )
        return answer.stdout + answer.stderr

    def stop(self, grace_s: int) -> int:
        """SIGTERM, then SIGKILL after `grace_s`; returns the exit code (137 when it had to be killed)."""
        self.docker.call("stop", "--time", str(grace_s), self.name)
        code = self.exit_code
        assert code is not None
        return code

    def wait_for_log(self, text: str) -> None:
        """Until the text is in its output; AssertionError when it ends or hangs before."""
        deadline = time.monotonic() + HUNG_S
        while text not in (logs := self.logs()):
            assert self.exit_code is None, f"{self.name} ended with {self.exit_code} before '{text}':\n{logs}"
            assert time.monotonic() < deadline, f"{self.name} never said '{text}':\n{logs}"
            time.sleep(0.2)

    def wait_until_ready(self) -> list[int]:
        """Until /ping answers 200; returns the statuses it answered, in order."""
        deadline = time.monotonic() + HUNG_S
        url = self.url
        statuses: list[int] = []
        while 200 not in statuses:
            assert self.exit_code is None, f"{self.name} ended with {self.exit_code}:\n{self.logs()}"
            assert time.monotonic() < deadline, f"/ping was never 200 but {statuses}:\n{self.logs()}"
            try:
                statuses.append(request(f"{url}/ping").status)
            except OSError:  # Docker publishes the port before anything listens
                time.sleep(0.2)
        return statuses


class Docker:
    """The docker command and the image under test."""

    def __init__(self, client: str, image: str) -> None:
        self.client = client
        self.image = image

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Docker":
        """KENNEL_IMAGE through DOCKER, or the `docker` on PATH. Raises DockerMissing."""
        client = environ.get("DOCKER") or shutil.which("docker")
        if not client:
            raise DockerMissing("there is no docker command: install Docker, or name it with DOCKER=/path/to/docker")
        image = environ.get("KENNEL_IMAGE")
        if not image:
            raise DockerMissing(
                "KENNEL_IMAGE is not set: build an image (docker/build.sh kennel), then KENNEL_IMAGE=kennel"
            )
        try:
            subprocess.run([client, "info"], capture_output=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            raise DockerMissing(f"{client} reaches no Docker daemon: start it") from None
        found = subprocess.run([client, "image", "inspect", image], check=False, capture_output=True, timeout=60)
        if found.returncode:
            raise DockerMissing(f"there is no image {image}: build it with docker/build.sh {image}")
        return cls(client, image)

    def call(self, *arguments: str, check: bool = True) -> str:
        """A docker command's standard output; AssertionError with its words when it fails."""
        answer = subprocess.run([self.client, *arguments], check=False, capture_output=True, text=True, timeout=HUNG_S)
        assert not check or answer.returncode == 0, f"docker {' '.join(arguments)}: {answer.stderr}"
        return answer.stdout.strip()

    def inspect_image(self, image: str | None = None) -> dict[str, Any]:
        """`docker image inspect`."""
        found: dict[str, Any] = json.loads(self.call("image", "inspect", image or self.image))[0]
        return found

    def run(self, *command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """`docker run IMAGE command`, to its end."""
        with Container(self, _name()) as container:
            return subprocess.run(
                [self.client, "run", "--name", container.name, *options, self.image, *command],
                check=False,
                capture_output=True,
                text=True,
                timeout=HUNG_S,
            )

    def start(self, *command: str, options: Sequence[str] = ()) -> Container:
        """`docker run --detach IMAGE command`."""
        container = Container(self, _name())
        try:
            self.call("run", "--detach", "--name", container.name, *options, self.image, *command)
        except BaseException:
            container.__exit__()
            raise
        return container

    def serve(self, model: Path, *options: str) -> Container:
        """The `serve` command on a model folder, mounted read-only, its port published on the loopback."""
        mount = f"{model}:/opt/ml/model:ro"
        return self.start("serve", options=("--publish", "127.0.0.1::8080", "--volume", mount, *options))


def request(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    """GET, or POST when there is a body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, dict(headers or {})), timeout=60) as answer:
            return Reply(answer.status, answer.read(), answer.headers.get("Content-Type", ""))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(), error.headers.get("Content-Type", ""))


def write_job(root: Path, data: Path, **hyperparameters: object) -> Path:
    """An /opt/ml tree that USER may write to, with the data linked in by copy."""
    shutil.copytree(data, root / "input" / "data", ignore=shutil.ignore_patterns(".*"))
    (root / "input" / "config").mkdir()
    text = json.dumps({name: str(value) for name, value in hyperparameters.items()})
    (root / "input" / "config" / "hyperparameters.json").write_text(text)
    for folder in ("model", "output"):
        (root / folder).mkdir()
    give_to_user(root)
    return root


def give_to_user(root: Path) -> None:
    """Make everything below `root` USER's."""
    if os.getuid() == 0:
        for path in [root, *root.rglob("*")]:
            os.chown(path, UID, GID)


def _name() -> str:
    return f"kennel-test-{uuid.uuid4().hex[:12]}"
