"""The servers by name: what is started, how it is asked and how its answers read."""

import base64
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.serving.environments import ROOT, plain_environment, python
from benchmarks.serving.load import Target
from model.machine import available_cpus

Rows = list[float]
_JPEG: Final = {"Content-Type": "image/jpeg"}
_BOUNDARY: Final = "kennel-benchmark"
# Two lines a request otherwise; the others write none.
_NO_ACCESS_LOG: Final = {"BENTOML_CONFIG_OPTIONS": "api_server.logging.access.enabled=false"}


@dataclass(frozen=True)
class Candidate:
    """A server. group: what `--only` names, and of whose members the fastest is measured; title: its row's first cell.

    engine: `int8`, `eager`, `own` (it chooses among the artifact's forms) or `none` (its answers mean nothing).
    command: (folder of its own, port) -> arguments, after anything that has to be prepared there.
    variables: (folder, port) -> environment variables of its own.
    """

    name: str
    group: str
    title: str
    engine: str
    command: Callable[[Path, int], Sequence[str]]
    venv: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    path: str = "/invocations"
    headers: Mapping[str, str] = field(default_factory=lambda: _JPEG)
    body: Callable[[bytes], bytes] = bytes
    read: Callable[[bytes], Rows] = lambda answer: list(json.loads(answer))

    def target(self, port: int) -> Target:
        """Where its requests go."""
        return Target(port, self.path, self.headers)

    def environment(self, folder: Path, port: int, artifact: Path) -> dict[str, str]:
        """All its variables. TMPDIR is its own, where the Java servers keep the number of the one that runs."""
        own = {name: value.format(port=port, ml_root=artifact.parent) for name, value in self.variables.items()}
        paths = {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "BENCHMARK_ARTIFACT": str(artifact)}
        search = {"PATH": f"{python(self.venv).parent}:{plain_environment()['PATH']}"}
        return {**plain_environment(), **paths, **search, **own}


def candidates(kennel_engine: str | None = None) -> list[Candidate]:
    """All of them. kennel_engine: KENNEL_ENGINE for Kennel, where its default isn't wanted."""
    return [_kennel(kennel_engine), *_tutorial(), _empty(), *_litserve(), *_bentoml(), *_mlserver(), *_java()]


def _kennel(engine: str | None) -> Candidate:
    variables = {"KENNEL_ML_ROOT": "{ml_root}", "KENNEL_HOST": "127.0.0.1", "KENNEL_PORT": "{port}"}
    return Candidate(
        "kennel", "kennel", "Kennel" if engine is None else f"Kennel, engine {engine}", "own",
        lambda _folder, _port: [str(python(None)), "-m", "serve"],
        variables=variables if engine is None else {**variables, "KENNEL_ENGINE": engine},
        headers={**_JPEG, "Accept": "application/json;format=probabilities"},
    )  # fmt: skip


def _gunicorn(module: str) -> Callable[[Path, int], Sequence[str]]:
    return lambda _folder, port: [
        str(python(None)), "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", str(available_cpus()),
        "--timeout", "60", f"benchmarks.serving.peers.{module}:app",
    ]  # fmt: skip


def _tutorial() -> list[Candidate]:
    command, workers = _gunicorn("tutorial"), available_cpus()
    return [
        Candidate(
            "tutorial", "tutorial", f"tutorial: Flask, gunicorn, {workers} workers, eager PyTorch", "eager", command
        ),
        Candidate(
            "tutorial-tuned", "tutorial-tuned", "tutorial, one thread a worker", "eager", command,
            variables={"TUTORIAL_THREADS": "1", "OMP_NUM_THREADS": "1"},
        ),
    ]  # fmt: skip


def _empty() -> Candidate:
    return Candidate("empty", "empty", "Flask and gunicorn without a model", "none", _gunicorn("empty"))


def _litserve() -> list[Candidate]:
    def command(kind: str, workers: int, largest: int, wait: int) -> Callable[[Path, int], Sequence[str]]:
        words = [kind, str(workers), str(largest), str(wait)]
        return lambda _folder, port: [
            str(python("litserve")), "-m", "benchmarks.serving.peers.litserve_app", str(port), *words
        ]  # fmt: skip

    cores = available_cpus()
    return [
        Candidate(
            "litserve-workers", "litserve", f"LitServe, {cores} workers", "int8", command("int8", cores, 1, 0),
            "litserve",
        ),
        Candidate(
            "litserve-batches", "litserve", "LitServe, batches of 8", "int8", command("int8", 1, 8, 5), "litserve"
        ),
        Candidate(
            "litserve-both", "litserve", f"LitServe, {cores} workers, batches of 8", "int8",
            command("int8", cores, 8, 5), "litserve",
        ),
        Candidate(
            "litserve-eager", "litserve-eager", "LitServe, eager PyTorch, as in its first example", "eager",
            command("eager", 1, 1, 0), "litserve",
        ),
    ]  # fmt: skip


def _form(photo: bytes) -> bytes:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="photos"; filename="photo.jpg"\r\n'
    return f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + photo + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _bentoml() -> list[Candidate]:
    def command(_folder: Path, port: int) -> Sequence[str]:
        return [
            str(python("bentoml")), "-m", "bentoml", "serve", "benchmarks.serving.peers.bentoml_app:Model",
            "--host", "127.0.0.1", "--port", str(port),
        ]  # fmt: skip

    cores = available_cpus()
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENCHMARK_THREADS": "1"} | _NO_ACCESS_LOG
    several = {**quiet, "BENCHMARK_KIND": "int8", "BENCHMARK_WORKERS": str(cores)}
    one = {**several, "BENCHMARK_WORKERS": "1", "BENCHMARK_THREADS": str(cores)}
    form: dict[str, Any] = {
        "path": "/batches",
        "headers": {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"},
        "body": _form,
        "read": lambda answer: list(json.loads(answer)[0]),
    }
    return [
        Candidate(
            "bentoml-workers", "bentoml", f"BentoML, {cores} workers", "int8", command, "bentoml", several
        ),
        Candidate("bentoml-batches", "bentoml", "BentoML, its batching", "int8", command, "bentoml", one, **form),
        Candidate(
            "bentoml-both", "bentoml", f"BentoML, {cores} workers, its batching", "int8", command, "bentoml",
            several, **form,
        ),
        Candidate(
            "bentoml-eager", "bentoml-eager", "BentoML, eager PyTorch, as in its first example", "eager", command,
            "bentoml", {**one, "BENCHMARK_KIND": "eager"},
        ),
    ]  # fmt: skip


def _v2(photo: bytes) -> bytes:
    text = base64.b64encode(photo).decode()
    entry = {"name": "photo", "datatype": "BYTES", "shape": [1, 1], "parameters": {"content_type": "base64"}}
    return json.dumps({"inputs": [{**entry, "data": [text]}]}).encode()


def _mlserver() -> list[Candidate]:
    def command(workers: int, batch: int) -> Callable[[Path, int], Sequence[str]]:
        def prepare(folder: Path, port: int) -> Sequence[str]:
            model = {"name": "breeds", "implementation": "benchmarks.serving.peers.mlserver_app.Breeds"}
            batching = {"max_batch_size": batch, "max_batch_time": 0.005} if batch > 1 else {}
            server = {
                "host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2,
                "parallel_workers": workers, "debug": False,
            }  # fmt: skip
            (folder / "model-settings.json").write_text(json.dumps({**model, **batching}))
            (folder / "settings.json").write_text(json.dumps(server))
            return [str(python("mlserver").with_name("mlserver")), "start", str(folder)]

        return prepare

    cores = available_cpus()
    one = {"BENCHMARK_THREADS": "1"}
    return [
        Candidate(
            "mlserver-workers", "mlserver", f"MLServer, {cores} workers", "int8", command(cores, 1), "mlserver", one
        ),
        Candidate(
            "mlserver-batches", "mlserver", "MLServer, V2 protocol, batches of 8", "int8", command(0, 8), "mlserver",
            {"BENCHMARK_THREADS": str(cores)}, "/v2/models/breeds/infer", {"Content-Type": "application/json"}, _v2,
            lambda answer: list(json.loads(answer)["outputs"][0]["data"]),
        ),
    ]  # fmt: skip


def _java() -> list[Candidate]:
    cores = available_cpus()
    one, all_cores = {"BENCHMARK_THREADS": "1"}, {"BENCHMARK_THREADS": str(cores)}
    path = "/predictions/breeds"
    return [
        Candidate(
            "torchserve-workers", "torchserve", f"TorchServe, {cores} workers", "int8", _torchserve(cores, 1),
            "torchserve", one, path,
        ),
        Candidate(
            "torchserve-batches", "torchserve", "TorchServe, batches of 8", "int8", _torchserve(1, 8), "torchserve",
            all_cores, path,
        ),
        Candidate("mms", "mms", f"multi-model-server, {cores} workers", "int8", _mms(cores), "mms", one, path),
    ]  # fmt: skip


def _torchserve(workers: int, batch: int) -> Callable[[Path, int], Sequence[str]]:
    def prepare(folder: Path, port: int) -> Sequence[str]:
        handler = str(ROOT / "benchmarks" / "serving" / "peers" / "java_app.py")
        archive = ["--model-name", "breeds", "--version", "1.0", "--handler", handler, "--export-path", str(folder)]
        _run([str(python("torchserve").with_name("torch-model-archiver")), *archive, "--force"])
        model = {
            "defaultVersion": True, "marName": "breeds.mar", "minWorkers": workers, "maxWorkers": workers,
            "batchSize": batch, "maxBatchDelay": 5, "responseTimeout": 60,
        }  # fmt: skip
        lines = _addresses(port) | {
            "metrics_address": f"http://127.0.0.1:{port + 2}",
            "disable_token_authorization": "true",
            "load_models": "breeds.mar",
            "models": json.dumps({"breeds": {"1.0": model}}),
        }
        (folder / "config.properties").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        return [
            str(python("torchserve").with_name("torchserve")), "--start", "--foreground", "--model-store", str(folder),
            "--ts-config", str(folder / "config.properties"),
        ]  # fmt: skip

    return prepare


def _mms(workers: int) -> Callable[[Path, int], Sequence[str]]:
    def prepare(folder: Path, port: int) -> Sequence[str]:
        source, store = folder / "source", folder / "store"
        for each in (source, store):
            each.mkdir(exist_ok=True)
        (source / "app.py").write_text("from benchmarks.serving.peers.java_app import handle\n")
        archive = ["--model-name", "breeds", "--model-path", str(source), "--handler", "app:handle", "--force"]
        _run([str(python("mms").with_name("model-archiver")), *archive, "--export-path", str(store)])
        lines = _addresses(port) | {"load_models": "breeds.mar", "default_workers_per_model": str(workers)}
        (folder / "config.properties").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        return [
            str(python("mms").with_name("multi-model-server")), "--start", "--foreground", "--model-store", str(store),
            "--mms-config", str(folder / "config.properties"),
        ]  # fmt: skip

    return prepare


def _addresses(port: int) -> dict[str, str]:
    return {
        "inference_address": f"http://127.0.0.1:{port}",
        "management_address": f"http://127.0.0.1:{port + 1}",
    }


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)
