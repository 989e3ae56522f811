"""The same jobs in the container image, by the docker command."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from backends.base import WHOLE_MACHINE, MachineSlot, ProgressCallback
from backends.cancel import CancelToken
from backends.child import OutputFiles, last_error, run_child
from backends.errors import BackendError
from backends.inputs import is_url, place_inside, write_inputs
from backends.local import parse_answers, wait_foreground
from backends.machine import MachineBackend
from backends.process import gpu_uuids
from backends.runs import Run
from contract.hyperparameters import Hyperparameters

_ML: Final = "/opt/ml"
_SHM: Final = "--shm-size=1g"  # Docker's own 64 MB is too little for the data loader's processes.


class DockerBackend(MachineBackend):
    """Runs an image's `train` and `serve`. DOCKER names the client, where more than one is on the path."""

    name = "docker"

    def __init__(self, image: str) -> None:
        self.image = image
        self._docker = os.environ.get("DOCKER") or shutil.which("docker") or ""
        if not self._docker:
            raise BackendError(
                "--on docker needs the docker command, which isn't on the path; install Docker or use --on local"
            )
        self._ask("version", "--format", "{{.Server.Version}}", fault="the Docker daemon doesn't answer; start Docker")
        self._ask(
            "image", "inspect", "--format", "{{.Id}}", image, fault=f"there is no image {image}; make image builds it"
        )

    def _ask(self, *arguments: str, fault: str) -> str:
        """Run a docker command and return what it printed. Raises BackendError with `fault` when it fails."""
        try:
            answer = subprocess.run([self._docker, *arguments], capture_output=True, text=True, check=False)
        except OSError as error:
            raise BackendError(
                f"{self._docker} can't be run ({error.strerror}); install Docker or use --on local"
            ) from error
        if answer.returncode:
            lines = answer.stderr.strip().splitlines()
            raise BackendError(f"{fault}" + (f" ({lines[-1]})" if lines else ""))
        return answer.stdout.strip()

    def _run(self, *options: str, gpu: str | None = None) -> list[str]:
        # As the person's own user, so that no file belongs to root.
        return [self._docker, "run", "--rm", *gpu_options(gpu), f"--user={os.getuid()}:{os.getgid()}", _SHM, *options]

    def debug(self, tensors: str, report: Path, rules: str, watch: ProgressCallback) -> None:
        if is_url(tensors):
            self._command("train.debug_tensors", {}, report, watch, tensors, "--rules", rules)
            return
        # Of a training run the whole folder ml is mounted: its settings and epochs make the report richer.
        folder = Path(tensors).absolute()
        root = folder.parents[1] if folder.parent.name == "output" and len(folder.parts) > 3 else folder
        if not folder.is_dir():
            raise BackendError(f"there is no folder {tensors}; give one that smdebug saved tensors in")
        inside = f"{_ML}/input/0"
        place = f"{inside}/{folder.relative_to(root)}" if root != folder else inside
        mounts = [f"-v={root.resolve()}:{inside}:ro"]
        self._command("train.debug_tensors", {}, report, watch, place, "--rules", rules, mounts=mounts)

    def _command(
        self, module: str, inputs: Mapping[str, Path], report: Path, watch: ProgressCallback, *words: str,
        mounts: Sequence[str] = (),
    ) -> None:  # fmt: skip
        report.parent.mkdir(parents=True, exist_ok=True)
        scratch = report.parent.resolve() / f".{report.name}.{os.getpid()}"
        scratch.mkdir()
        try:
            options = ["--entrypoint=python", f"-v={scratch}:{_ML}/output", *mounts, *aws_options()]
            files = ["--json", f"{_ML}/output/report.json", "--progress", f"{_ML}/output/progress.json"]
            arguments = ["-m", module, *words, *files]
            for number, (option, source) in enumerate(inputs.items()):
                inside = place_inside(f"{_ML}/input/{number}", source)
                options.append(f"-v={source.resolve()}:{inside}:ro")
                arguments += [option, inside]
            log, progress = scratch / "log.txt", scratch / "progress.json"
            command = [*self._run(*options), self.image, *arguments]
            if run_child(command, OutputFiles(log, progress), watch):
                raise BackendError(last_error(log))
            # The page first: who finds a report may look for its page.
            if (page := scratch / "report.html").is_file():
                page.replace(report.with_suffix(".html"))
            (scratch / "report.json").replace(report)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def train(
        self, run: Run, data: Path, hyperparameters: Hyperparameters, watch: ProgressCallback,
        slot: MachineSlot = WHOLE_MACHINE, cancel: CancelToken | None = None,
    ) -> None:  # fmt: skip
        options = [f"--name={container(run)}", f"-e=TRAINING_JOB_NAME={run.name}", f"-v={run.ml}:{_ML}"]
        for inside, source in write_inputs(run, data, hyperparameters, _ML).items():
            place = run.ml / "input" / "data" / inside
            # Docker would make the place to mount on itself, as root.
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                place.mkdir(exist_ok=True)
            else:
                place.touch()
            options.append(f"-v={source}:{_ML}/input/data/{inside}:ro")
        run.features.mkdir(exist_ok=True)
        options += [f"-v={run.features}:/features", "-e=KENNEL_FEATURE_CACHE=/features"]
        if slot.cores:
            options.append(f"--cpuset-cpus={','.join(map(str, slot.cores))}")
        run.update(container=container(run), image=self.image)
        code = run_child(
            [*self._run(*options, gpu=slot.gpu), self.image, "train"], OutputFiles.of(run), watch, cancel=cancel
        )
        if code:
            raise BackendError(run.failure() or last_error(run.log))

    def gpus(self) -> list[str]:
        return gpu_uuids() if gpu_options() else []

    def tuning_page(self, document: Path) -> None:
        options = ["--entrypoint=python", f"-v={document.parent.resolve()}:{_ML}/output"]
        words = ["-m", "train.tuning_report", "--json", f"{_ML}/output/{document.name}"]
        command = [*self._run(*options), self.image, *words]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise BackendError((answer.stderr.strip().splitlines() or ["it ended without a word"])[-1])

    def predict(self, artifact: Path, images: Sequence[Path]) -> list[dict[str, Any]]:
        options = ["--entrypoint=python", f"-v={artifact.resolve()}:{_ML}/model:ro"]
        files = [f"{_ML}/input/{number}/{image.name}" for number, image in enumerate(images)]
        # A file that isn't there would be made as a folder by the mount; the container says that it is missing.
        options += [
            f"-v={image.resolve()}:{file}:ro" for image, file in zip(images, files, strict=True) if image.exists()
        ]
        command = [*self._run(*options), self.image, "-m", "serve.predict", "--artifact", f"{_ML}/model", *files]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return parse_answers(answer, images)

    def deploy(self, run: Run, artifact: Path, port: int) -> str:
        url = f"http://localhost:{port}"
        options = ["-d", f"--name={container(run)}", *self._serve_options(artifact, port)]
        run.update(container=container(run), image=self.image, url=url)
        command = [part for part in self._run(*options) if part != "--rm"]
        self._ask(*command[1:], self.image, "serve", fault="the container can't be started")
        return url

    def serve(self, artifact: Path, port: int) -> int:
        command = [*self._run(*self._serve_options(artifact, port)), self.image, "serve"]
        return wait_foreground(subprocess.Popen(command))

    def _serve_options(self, artifact: Path, port: int) -> list[str]:
        return [f"-v={artifact.resolve()}:{_ML}/model:ro", f"-p=127.0.0.1:{port}:8080", "--read-only", "--tmpfs=/tmp"]

    def is_alive(self, run: Run) -> bool:
        return self._state(run) == "true"

    def stop(self, run: Run) -> None:
        if self._state(run) is None:
            return
        name = str(run.record["container"])
        subprocess.run([self._docker, "stop", "--time=30", name], capture_output=True, check=False)
        with run.log.open("ab") as log:
            subprocess.run([self._docker, "logs", name], stdout=log, stderr=log, check=False)
        subprocess.run([self._docker, "rm", "--force", name], capture_output=True, check=False)

    def _state(self, run: Run) -> str | None:
        """Whether the run's container runs, as `true` or `false`; None when there is none."""
        state = ["container", "inspect", "--format", "{{.State.Running}}", str(run.record.get("container", ""))]
        answer = subprocess.run([self._docker, *state], capture_output=True, text=True, check=False)
        return answer.stdout.strip() if answer.returncode == 0 else None


def container(run: Run) -> str:
    """The name of the run's container; two run folders' names may be the same, their paths are not."""
    return f"kennel-{run.name}-{hashlib.sha256(os.fsencode(run.path)).hexdigest()[:8]}"


def aws_options() -> list[str]:
    """The AWS settings of this environment, passed by name, so that no secret is in a command line."""
    return [f"-e={name}" for name in sorted(os.environ) if name.startswith("AWS_")]


def gpu_options(gpu: str | None = None) -> list[str]:
    """`--gpus` for all, or the one of that UUID, where the machine has NVIDIA GPUs that Docker may hand on."""
    usable = sys.platform == "linux" and shutil.which("nvidia-container-cli") and Path("/dev/nvidia0").exists()
    return [f"--gpus={'all' if gpu is None else f'device={gpu}'}"] if usable else []
