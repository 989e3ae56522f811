"""Which part may import which, read from the source's syntax trees; and rules that hold everywhere."""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tools.figure import FIGURE, arrows, draw

ROOT = Path(__file__).resolve().parents[1]
# Each part, and the others that it may import.
KNOWS: dict[str, tuple[str, ...]] = {
    "contract": (),
    "model": ("contract",),
    "tuning": ("contract",),
    "reports": ("model", "contract"),
    "monitor": ("reports", "model", "contract"),
    "train": ("monitor", "tuning", "reports", "model", "contract"),
    "serve": ("model", "contract"),
    "backends": ("tuning", "contract"),
    "cli": ("backends", "tuning", "contract"),
    "deploy": ("cli", "backends", "tuning", "contract"),
    "examples": (),
    "tools": (),
    "benchmarks": (
        "deploy", "backends", "serve", "train", "monitor", "tuning", "reports", "model", "contract", "examples",
        "tools",
    ),
}  # fmt: skip
PARTS = tuple(KNOWS)
CLOUD = ("boto3", "botocore", "sagemaker")
OBSERVERS = ("monitor.debugger", "monitor.profiler", "reports", "tuning", "train.search")

# (importer, what it may not import at any depth of its code, exceptions). Names are dotted prefixes.
FORBIDDEN: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    *((part, tuple(other for other in PARTS if other not in (part, *known)), ()) for part, known in KNOWS.items()),
    ("train", CLOUD, ()),
    ("serve", CLOUD, ()),
    ("train.trainer", OBSERVERS, ()),
    ("monitor.debugger", ("monitor",), ("monitor.debugger", "monitor.callbacks", "monitor.rules")),
    ("monitor.profiler", ("monitor",), ("monitor.profiler", "monitor.callbacks", "monitor.rules")),
    ("tuning", ("torch", "numpy"), ()),
    # Engines are chosen by name, "module:attribute", from the registry.
    (
        "serve.app",
        ("torch", "torchvision", "serve.engines"),
        ("serve.engines.base", "serve.engines.registry"),
    ),
    # Whoever serves one form reads the artifact without the libraries of the others.
    ("model.artifact", ("torch", "torchvision", "model._openvino"), ()),
    ("model.forms", ("torch", "torchvision", "model._openvino"), ()),
)
# (importer, what it may not import when it is imported itself): `deploy.py --help` has to answer at once.
LATE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("deploy", ("torch", "torchvision", "numpy", "PIL", *CLOUD)),
    ("cli", ("torch", "torchvision", "numpy", "PIL", "optuna", *CLOUD)),
    ("backends", ("torch", "torchvision", "numpy", "PIL", "optuna", *CLOUD)),
    # Two thirds of a second that only a search needs.
    ("tuning", ("optuna",)),
    ("train.__main__", ("torch", "torchvision", "numpy", "PIL")),
    # It runs beside the training, whose cores and memory it must leave alone.
    *((f"monitor.{each}", ("torch", "torchvision")) for each in ("__main__", "inbox", "profiling", "watch", "actions")),
    ("monitor.debugger.rules", ("torch", "torchvision")),
    ("monitor.profiler.rules", ("torch", "torchvision")),
    # Two seconds and 200 MB that only the last step of training needs.
    ("train.finish", ("train.export",)),
    ("train.export.step", ("model._openvino", "train.export.convert", "train.export.measure", "train.export.quantize")),
    ("train.export", ("nncf",)),
)
# Libraries that only these modules may import, at any depth. OpenVINO and NNCF report home unless they are imported
# behind model._openvino, and nobody needs the package that does it.
DOORS: dict[str, tuple[str, ...]] = {
    "openvino": ("model._openvino",),
    "nncf": ("train.export.quantize",),
    "openvino_telemetry": (),
    # It comes with deprecation warnings, logs every step, and brings torch and pandas unless it is kept from it.
    "smdebug": ("monitor.debugger._smdebug", "monitor.debugger._smdebug_torch"),
}


def module_name(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(root: Path = ROOT) -> dict[str, Path]:
    """Dotted module name -> file, of all our own source."""
    files = [file for part in PARTS for file in [*root.glob(f"{part}/**/*.py"), *root.glob(f"{part}.py")]]
    return {module_name(file, root): file for file in files}


def imports(file: Path, module: str) -> Iterator[tuple[str, int, bool]]:
    """(dotted name, line, at module level) of every import, at any depth; relative ones resolved.

    `from a import b` gives `a.b`: whether b is a module or a name in it, the prefix `a` is there.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inside = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(outer)
    }
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        level = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, level) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{prefix}.{alias.name}", node.lineno, level) for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            first = node.args[0] if node.args else None
            if called in ("__import__", "import_module") and isinstance(first, ast.Constant):
                yield str(first.value), node.lineno, level


def below(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def violations(files: dict[str, Path]) -> list[str]:
    found = []
    for module, file in files.items():
        for name, line, at_import in imports(file, module):
            for importer, forbidden, allowed in FORBIDDEN:
                if below(module, (importer,)) and below(name, forbidden) and not below(name, allowed):
                    found.append(f"{module}:{line} imports {name}; {importer} may not")
            for importer, late in LATE:
                if at_import and below(module, (importer,)) and below(name, late):
                    found.append(f"{module}:{line} imports {name} at module level; {importer} may not")
    return found


def circles(files: dict[str, Path]) -> list[str]:
    """Modules that import each other while they are imported, each circle as one sentence."""
    needs: dict[str, set[str]] = {}
    for module, file in files.items():
        named = [name for name, _, at_import in imports(file, module) if at_import]
        needs[module] = {each for name in named for each in (name, name.rpartition(".")[0]) if each in files} - {module}
    try:
        tuple(TopologicalSorter(needs).static_order())
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def past_doors(files: dict[str, Path]) -> list[str]:
    return [
        f"{module}:{line} imports {name}; only {', '.join(doors) or 'nobody'} may"
        for module, file in files.items()
        for name, line, _ in imports(file, module)
        for library, doors in DOORS.items()
        if below(name, (library,)) and module not in doors
    ]


def test_openvino_is_imported_where_it_is_silenced() -> None:
    files = sources()
    assert past_doors(files) == []
    told = {name for module in DOORS["openvino"] for name, _, _ in imports(files[module], module)}
    assert "openvino" in told


def test_an_import_past_the_door_is_found(tmp_path: Path) -> None:
    write(tmp_path, "serve/engines/fast.py", "def load():\n    from openvino import Core\n    return Core\n")
    write(tmp_path, "train/export/quantize.py", "def load():\n    import nncf\n    return nncf\n")
    write(tmp_path, "model/_openvino.py", "import openvino\nimport openvino_telemetry\n")
    assert past_doors(sources(tmp_path)) == [
        "model._openvino:2 imports openvino_telemetry; only nobody may",
        "serve.engines.fast:2 imports openvino.Core; only model._openvino may",
    ]


def test_the_figure_is_of_this_house() -> None:
    drawn = arrows()
    assert all(below <= set(KNOWS[room.removesuffix(".py")]) for room, below in drawn.items())
    assert FIGURE.read_text(encoding="utf-8") == draw(drawn), "draw it anew: make figure"


def beyond_the_standard_library(files: dict[str, Path]) -> list[str]:
    return [
        f"{module}:{line} imports {name}"
        for module, file in files.items()
        if below(module, ("contract",))
        for name, line, _ in imports(file, module)
        if name.partition(".")[0] not in {"contract", *sys.stdlib_module_names}
    ]


def test_the_contract_needs_the_standard_library_alone(tmp_path: Path) -> None:
    files = sources()
    assert "contract.paths" in files
    assert beyond_the_standard_library(files) == []
    write(tmp_path, "contract/x.py", "import json\nfrom contract import y\ndef f():\n    import psutil\n")
    write(tmp_path, "model/x.py", "import numpy\n")
    assert beyond_the_standard_library(sources(tmp_path)) == ["contract.x:4 imports psutil"]


def test_no_import_against_the_arrows() -> None:
    files = sources()
    print(f"read {len(files)} files")
    assert len(files) >= 40
    assert {"model.artifact", "train.trainer", "contract.hyperparameters"} <= set(files)
    assert violations(files) == []


def test_the_image_mounts_what_the_script_of_its_weights_imports() -> None:
    files = sources()
    script = ROOT / "docker" / "bake_pretrained.py"
    needed: set[Path] = {script}
    waiting = [(script, "bake_pretrained")]
    while waiting:
        for name, _, at_import in imports(*waiting.pop()):
            parts = name.split(".")
            for module in (".".join(parts[:count]) for count in range(1, len(parts) + 1)):
                if at_import and module in files and files[module] not in needed:
                    needed.add(files[module])
                    waiting.append((files[module], module))
    assert len(needed) > 2
    mounted = re.findall(r"source=(\S+\.py),target=/build/(\S+)", (ROOT / "Dockerfile").read_text())
    assert {ROOT / source for source, _ in mounted} == needed
    assert [source for source, target in mounted if source.removeprefix("docker/") != target] == []


def test_no_modules_import_each_other(tmp_path: Path) -> None:
    assert circles(sources()) == []
    write(tmp_path, "model/a.py", "from model.b import x\n")
    write(tmp_path, "model/b.py", "def f():\n    import model.a\n")
    assert circles(sources(tmp_path)) == []
    write(tmp_path, "model/b.py", "from model import a\n")
    (found,) = circles(sources(tmp_path))
    assert set(found.split(" -> ")) == {"model.a", "model.b"}


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("model/network.py", "import train.trainer\n", "model.network:1 imports train.trainer"),
        ("contract/paths.py", "from model import preprocess\n", "contract.paths:1 imports model.preprocess"),
        (
            "train/trainer.py",
            "def f():\n    from monitor import debugger\n",
            "train.trainer:2 imports monitor.debugger",
        ),
        ("train/trainer.py", "from . import search\n", "train.trainer:1 imports train.search"),
        (
            "monitor/debugger/hook.py",
            "from ..watch import Monitor\n",
            "monitor.debugger.hook:1 imports monitor.watch.Monitor",
        ),
        (
            "train/data.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import boto3.session\n",
            "train.data:3 imports boto3.session",
        ),
        (
            "serve/__init__.py",
            "from .app import x\nfrom train.data import y\n",
            "serve:2 imports train.data.y",
        ),
        ("serve/app.py", "import importlib\nimportlib.import_module('torch')\n", "serve.app:2 imports torch"),
        ("serve/app.py", "from serve.engines.eager import E\n", "serve.app:1 imports serve.engines.eager.E"),
        (
            "backends/local.py",
            "from model.artifact import Artifact\n",
            "backends.local:1 imports model.artifact.Artifact",
        ),
        ("backends/local.py", "import train.job\n", "backends.local:1 imports train.job"),
        ("backends/sagemaker.py", "import boto3\n", "backends.sagemaker:1 imports boto3 at module level"),
        (
            "deploy.py",
            "try:\n    import torch\nexcept ImportError:\n    pass\n",
            "deploy:2 imports torch at module",
        ),
        ("serve/codec.py", "import deploy\n", "serve.codec:1 imports deploy"),
        (
            "examples/sample_data.py",
            "from model import preprocess\n",
            "examples.sample_data:1 imports model.pre",
        ),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, text: str, told: str) -> None:
    write(tmp_path, file, text)
    (found,) = violations(sources(tmp_path))
    assert found.startswith(told)


def test_what_is_allowed_is_not_told(tmp_path: Path) -> None:
    write(tmp_path, "backends/base.py", "from contract.hyperparameters import Hyperparameters\nimport json\n")
    write(tmp_path, "backends/sagemaker.py", "def client():\n    import boto3\n    return boto3\n")
    write(
        tmp_path,
        "serve/app.py",
        "from serve.engines.registry import load\nfrom model.artifact import Artifact\n",
    )
    write(tmp_path, "monitor/debugger/hook.py", "from ..callbacks import Callback\nfrom .rules import R\n")
    write(tmp_path, "train/models.py", "import models.of.somebody\nimport modelling\n")
    assert len(sources(tmp_path)) == 5
    assert violations(sources(tmp_path)) == []


OWN_FOLDERS = (*PARTS, "tests", "docker")


def own_files() -> list[Path]:
    """Every Python file of the repository but those of environments and runs."""
    return [file for folder in OWN_FOLDERS for file in ROOT.glob(f"{folder}/**/*.py")] + list(ROOT.glob("*.py"))


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in own_files()}
    assert len(lengths) >= 60
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_docker_is_no_package() -> None:
    # It would hide the Docker SDK for Python.
    assert (ROOT / "docker").is_dir()
    assert list((ROOT / "docker").rglob("__init__.py")) == []


def unpickling(file: Path) -> list[str]:
    """Calls that could execute what a file says: pickle and its kin, torch.load without weights_only=True."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        safe = any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
        kin = ("pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load", "dill.loads")
        if called in kin or (called == "torch.load" and not safe):
            found.append(f"{file.name}:{node.lineno} {called}")
    return found


def test_nothing_of_ours_unpickles() -> None:
    files = list(sources().values())
    assert [each for file in files for each in unpickling(file)] == []
    assert any("torch.load(" in file.read_text() for file in files)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pickle.load(f)", ["x.py:1 pickle.load"]),
        ("torch.load(f)", ["x.py:1 torch.load"]),
        ("torch.load(f, weights_only=False)", ["x.py:1 torch.load"]),
        ("torch.load(f, weights_only=True)", []),
    ],
)
def test_unpickling_is_found(tmp_path: Path, text: str, told: list[str]) -> None:
    write(tmp_path, "x.py", text)
    assert unpickling(tmp_path / "x.py") == told


def shared_class_names(modules: dict[str, Path]) -> dict[str, list[str]]:
    """The names of classes that stand in several modules, each with these modules; those of benchmarks may."""
    found: dict[str, list[str]] = {}
    for module, file in modules.items():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not module.startswith("benchmarks"):
                found.setdefault(node.name, []).append(module)
    return {name: sorted(where) for name, where in found.items() if len(where) > 1}


def test_a_class_name_stands_once() -> None:
    assert shared_class_names(sources()) == {}


def test_a_class_name_that_stands_twice_is_found(tmp_path: Path) -> None:
    write(tmp_path, "serve/a.py", "class Once:\n    pass\n\nclass Twice:\n    pass\n")
    write(tmp_path, "train/b.py", "class Twice:\n    class Once:\n        pass\n")
    assert shared_class_names(sources(tmp_path)) == {"Twice": ["serve.a", "train.b"]}
