"""Setting up: which Python is taken, and that what is done stays done and what is not ours stays whole."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import SetupError, environment, stamp
from tools.installer import Installer

ROOT = Path(__file__).resolve().parents[2]
READY = {"state": "ready", "key": "k", "build": "cpu", "asked": "", "bytecode": stamp.COMPILED}


def run_as(version: tuple[int, int], then: str) -> subprocess.CompletedProcess[str]:
    """Start the set-up in a Python that says it is of another version, with `then` in place of the work."""
    code = f"""
import runpy, sys
sys.version_info = ({version[0]}, {version[1]}, 1, "final", 0)
from tools import environment
environment.main = lambda: {then}
runpy.run_module("tools.setup_env", run_name="__main__")
"""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_accepted_pythons_go_on(version: tuple[int, int]) -> None:
    answer = run_as(version, then="print('at work')")
    assert (answer.returncode, answer.stdout) == (0, "at work\n")


@pytest.mark.parametrize("version", [(2, 7), (3, 8), (3, 10), (3, 14), (4, 0)])
def test_other_pythons_get_one_sentence(version: tuple[int, int]) -> None:
    answer = run_as(version, then="print('at work')")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"{sys.executable} is {version[0]}.{version[1]}: install Python 3.11" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_any_python_can_read_the_start() -> None:
    """Or it would get a syntax error in place of the sentence."""
    for name in ("__init__", "setup_env"):
        source = (ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8")
        tree = ast.parse(source, feature_version=(3, 4))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AnnAssign)], name
        assert source.isascii(), name  # Python 2 wants to be told of anything else


def test_python_without_ensurepip_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    package = f"python3.{sys.version_info[1]}-venv"
    with pytest.raises(SetupError, match=f"sudo apt-get install {package}"):
        environment.check_platform()


@pytest.mark.parametrize(
    ("made", "asked", "gpu", "current"),
    [
        (READY, "", False, True),
        (READY, "cpu", False, True),
        (READY, "cuda", False, False),
        (READY, "", True, False),  # a GPU has come
        (READY | {"asked": "cpu"}, "", True, True),  # the CPU build was wanted beside it
        (READY | {"build": "cuda"}, "", False, True),
        (READY | {"build": "cuda"}, "cpu", False, False),
        (READY | {"key": "other"}, "", False, False),
        (READY | {"state": "unfinished"}, "", False, False),
        (READY | {"bytecode": ""}, "", False, True),  # compiled, but not made anew
        ({}, "", False, False),
    ],
)
def test_which_environments_stay(made: dict[str, str], asked: str, gpu: bool, current: bool) -> None:
    assert stamp.is_current(made, "k", asked, gpu) is current


def copy_tree(folder: Path) -> Path:
    """Copy there what setting up needs."""
    for name in ("tools", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Makefile", folder)
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make there, with this Python and a bare environment."""
    command = ["make", "--no-print-directory", *arguments, f"PYTHON={sys.executable}"]
    bare = {"PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, timeout=60, check=False)


def finish(folder: Path, **changes: str) -> Path:
    """Put there what a finished set-up leaves, and one more file, which is returned."""
    venv = folder / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    stamp.write(venv, **(READY | {"key": stamp.key(folder / "requirements", venv)} | changes))
    (venv / "more").touch()
    return venv / "more"


def test_second_setup_does_nothing(tmp_path: Path) -> None:
    more = finish(copy_tree(tmp_path), asked="cpu")
    again = make(tmp_path, "setup", "TORCH=cpu")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert more.exists()


@pytest.mark.parametrize("state", ["ready", "unfinished"])
def test_an_environment_of_ours_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    finish(copy_tree(tmp_path), state=state)
    (tmp_path / ".venv-old").mkdir()  # of a set-up that was interrupted while clearing
    (tmp_path / ".venv-old" / "rest").touch()
    environment.clear_venv()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Makefile", "requirements", "tools"]
    environment.clear_venv()  # nothing there is fine


def test_a_changed_pin_ends_an_environment_but_a_comment_does_not(tmp_path: Path) -> None:
    locks = copy_tree(tmp_path) / "requirements"
    before = stamp.key(locks, tmp_path / ".venv")
    lock = locks / "client.txt"
    lock.write_text(lock.read_text() + "    # via nobody\n")
    assert stamp.key(locks, tmp_path / ".venv") == before
    lock.write_text(lock.read_text().replace("typer==", "typer==1"))
    assert stamp.key(locks, tmp_path / ".venv") != before


def test_somebody_elses_venv_is_left_alone(tmp_path: Path) -> None:
    theirs = copy_tree(tmp_path) / ".venv" / "theirs"
    theirs.parent.mkdir()
    theirs.touch()
    answer = make(tmp_path, "setup")
    assert answer.returncode != 0
    assert "was not made by `make setup`" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert theirs.exists()


def test_unknown_torch_fails_before_anything_is_removed(tmp_path: Path) -> None:
    more = finish(copy_tree(tmp_path))
    answer = make(tmp_path, "setup", "TORCH=tpu")
    assert answer.returncode != 0
    assert "TORCH=tpu is not known" in answer.stderr
    assert more.exists()


def test_missing_python_gets_a_sentence(tmp_path: Path) -> None:
    command = ["make", "--no-print-directory", "setup", "PYTHON=python-that-is-not"]
    answer = subprocess.run(command, cwd=copy_tree(tmp_path), capture_output=True, text=True, check=False)
    assert answer.returncode != 0
    assert "there is no python-that-is-not here" in answer.stderr


def test_failed_step_shows_its_last_words_and_keeps_its_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SetupError, match="exit code 3"):
        Installer(tmp_path).run([sys.executable, "-c", "print(*range(40), sep='\\n'); raise SystemExit(3)"])
    assert capfd.readouterr().err.split() == [str(number) for number in range(28, 40)]
    assert "\n0\n1\n2\n" in (tmp_path / "setup.log").read_text()


def test_pip_is_kept_from_installing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_TARGET", "/somewhere")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    environ = Installer(tmp_path).environ
    assert "PIP_TARGET" not in environ
    assert "PYTHONPATH" not in environ
    assert environ["PIP_FIND_LINKS"] == "/wheels"


def packages(venv: Path) -> Path:
    """Put a few there, and the Python that runs these tests; where they are."""
    site = venv / "lib" / "python3" / "site-packages"
    for file, text in {
        "quick.py": "HERE = __cached__",
        "tests_of_mine.py": "",
        "whole/__init__.py": "",
        "whole/part.py": "",
        "whole/template.py": "class {{ name }}:",
        "whole/tests/__init__.py": "",
        "whole/tests/test_part.py": "",
    }.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(text)
    (venv / "bin").mkdir(exist_ok=True)
    if not (venv / "bin" / "python").exists():
        (venv / "bin" / "python").symlink_to(sys.executable)
    return site


def compiled(folder: Path) -> set[str]:
    """The modules below it that have bytecode, as paths without endings."""
    return {str(file.relative_to(folder)).partition(".")[0] for file in folder.rglob("*.pyc")}


def test_packages_are_compiled_whatever_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    # A folder whose own path looks like a package's tests.
    venv = tmp_path / "site-packages" / "tests" / ".venv"
    site = packages(venv)
    Installer(venv).compile()
    names = {"__pycache__/quick", "__pycache__/tests_of_mine", "whole/__pycache__/__init__", "whole/__pycache__/part"}
    assert compiled(site) == names
    assert not (tmp_path / "elsewhere").exists()
    assert "template.py" in (venv / "setup.log").read_text()
    # And Python takes it.
    for name in ("PYTHONPYCACHEPREFIX", "PYTHONOPTIMIZE"):
        monkeypatch.delenv(name)
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import quick; print(quick.HERE)"
    command = [sys.executable, "-v", "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert Path(answer.stdout.strip()).parent == site / "__pycache__"
    assert f"matches {site / 'quick.py'}" in answer.stderr


def test_an_environment_from_before_is_compiled_once(tmp_path: Path) -> None:
    more = finish(copy_tree(tmp_path), bytecode="", source="index")
    site = packages(tmp_path / ".venv")
    first = make(tmp_path, "setup")
    assert (first.returncode, first.stdout.count("\n"), first.stderr) == (0, 1, "")
    assert "whole/__pycache__/part" in compiled(site)
    assert more.exists()
    made = stamp.read(tmp_path / ".venv")
    assert (made["bytecode"], made["source"], made["state"]) == (stamp.COMPILED, "index", "ready")
    again = make(tmp_path, "setup")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_help_lists_every_target(tmp_path: Path) -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    declared = next(line for line in lines if line.startswith(".PHONY:")).split()[1:]
    rules = [line.partition(":")[0] for line in lines if line[:1].islower() and ":" in line]
    answer = make(copy_tree(tmp_path))
    listed = [line.split()[1] for line in answer.stdout.splitlines()]
    assert answer.returncode == 0
    assert listed == rules == declared
    assert all(len(line.split()) > 3 for line in answer.stdout.splitlines())
    assert {"setup", "demo", "test", "check", "bench", "image", "clean", "help"} <= set(listed)
