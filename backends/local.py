"""Jobs as plain processes of this machine's Python: no Docker, no account."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from backends.base import WHOLE_MACHINE, MachineSlot, ProgressCallback
from backends.cancel import CancelToken
from backends.child import OutputFiles, last_error, pinned, python_environment, run_child
from backends.errors import BackendError
from backends.inputs import is_url, write_inputs
from backends.machine import MachineBackend
from backends.process import end_process, gpu_uuids, identity, process_of
from backends.runs import Run
from contract.hyperparameters import Hyperparameters

ROOT: Final = Path(__file__).resolve().parents[1]
_STOP_LIMIT_S: Final = 30.0


class LocalBackend(MachineBackend):
    """Runs `python -m train` and `python -m serve` with the interpreter that runs this."""

    name = "local"
    image = ""

    def __init__(self, _image: str = "") -> None:
        self._python = sys.executable
        # The servers that this process has started, and has to wait for when they end.
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def debug(self, tensors: str, report: Path, rules: str, watch: ProgressCallback) -> None:
        path = tensors if is_url(tensors) else str(Path(tensors).absolute())
        self._command("train.debug_tensors", {}, report, watch, path, "--rules", rules)

    def _command(
        self, module: str, inputs: Mapping[str, Path], report: Path, watch: ProgressCallback, *words: str
    ) -> None:
        report.parent.mkdir(parents=True, exist_ok=True)
        options = [text for option, path in inputs.items() for text in (option, str(path))]
        with tempfile.TemporaryDirectory() as scratch:
            progress = Path(scratch, "progress.json")
            self._run_module(
                [module, *words, *options, "--json", str(report), "--progress", str(progress)],
                OutputFiles(Path(scratch, "log.txt"), progress), watch,
            )  # fmt: skip

    def _run_module(self, words: Sequence[str], files: OutputFiles, watch: ProgressCallback) -> None:
        command = [self._python, "-m", *words]
        if run_child(command, files, watch, env=python_environment(ROOT), cwd=ROOT):
            raise BackendError(last_error(files.log))

    def train(
        self, run: Run, data: Path, hyperparameters: Hyperparameters, watch: ProgressCallback,
        slot: MachineSlot = WHOLE_MACHINE, cancel: CancelToken | None = None,
    ) -> None:  # fmt: skip
        for inside, source in write_inputs(run, data, hyperparameters, str(run.ml)).items():
            link = run.ml / "input" / "data" / inside
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(source)
        gpu = {} if slot.gpu is None else {"CUDA_VISIBLE_DEVICES": slot.gpu}
        environment = python_environment(
            ROOT, KENNEL_ML_ROOT=str(run.ml), TRAINING_JOB_NAME=run.name, KENNEL_FEATURE_CACHE=str(run.features), **gpu
        )
        command = [self._python, "-m", "train"]
        with pinned(slot.cores):
            code = run_child(
                command, OutputFiles.of(run), watch, env=environment, cwd=ROOT, cancel=cancel,
                on_start=lambda pid: run.update(**identity(pid)),
            )  # fmt: skip
        if code:
            raise BackendError(run.failure() or last_error(run.log))

    def gpus(self) -> list[str]:
        return gpu_uuids()

    def tuning_page(self, document: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            files = OutputFiles(Path(scratch, "log.txt"), Path(scratch, "progress.json"))
            self._run_module(["train.tuning_report", "--json", str(document)], files, lambda _: None)

    def predict(self, artifact: Path, images: Sequence[Path]) -> list[dict[str, Any]]:
        files = [str(image.absolute()) for image in images]
        command = [self._python, "-m", "serve.predict", "--artifact", str(artifact), *files]
        answer = subprocess.run(
            command, capture_output=True, text=True, env=python_environment(ROOT), cwd=ROOT, check=False
        )
        return parse_answers(answer, images)

    def deploy(self, run: Run, artifact: Path, port: int) -> str:
        run.artifact.rmdir()
        run.artifact.symlink_to(artifact.resolve())
        with run.log.open("ab") as log:
            server = subprocess.Popen(
                [self._python, "-m", "serve"], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=self._serve_environment(run.ml, port), cwd=ROOT, start_new_session=True,
            )  # fmt: skip
        self._children[server.pid] = server
        url = f"http://localhost:{port}"
        run.update(url=url, **identity(server.pid))
        return url

    def serve(self, artifact: Path, port: int) -> int:
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, "model").symlink_to(artifact.resolve())
            command = [self._python, "-m", "serve"]
            server = subprocess.Popen(command, env=self._serve_environment(Path(scratch), port), cwd=ROOT)
            return wait_foreground(server)

    def _serve_environment(self, ml: Path, port: int) -> dict[str, str]:
        # For this machine alone: a test server must not be reachable from the network.
        return python_environment(
            ROOT, KENNEL_ML_ROOT=str(ml), SAGEMAKER_BIND_TO_PORT=str(port), KENNEL_HOST="127.0.0.1"
        )

    def is_alive(self, run: Run) -> bool:
        return process_of(run.record) is not None

    def stop(self, run: Run) -> None:
        if process := process_of(run.record):
            end_process(process, _STOP_LIMIT_S)
        if child := self._children.pop(run.record.get("pid", 0), None):
            child.wait()


def wait_foreground(server: "subprocess.Popen[bytes]") -> int:
    """Wait for a server that shares our terminal. Ctrl-C reaches it too: it ends by itself, and we wait for that."""
    before = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        while True:
            try:
                return server.wait()
            except KeyboardInterrupt:
                continue
    finally:
        signal.signal(signal.SIGTERM, before)


def parse_answers(answer: "subprocess.CompletedProcess[str]", images: Sequence[Path]) -> list[dict[str, Any]]:
    """The JSON lines of `serve.predict`, one an image, with the images' own names."""
    try:
        rows = [json.loads(line) for line in answer.stdout.splitlines()]
    except ValueError:
        rows = []
    if len(rows) != len(images):
        lines = [line for line in answer.stderr.splitlines() if line.strip()]
        raise BackendError(
            (lines or [f"predicting failed with exit code {answer.returncode}"])[-1].removeprefix("error: ")
        )
    return [{**row, "file": os.fspath(image)} for row, image in zip(rows, images, strict=True)]
