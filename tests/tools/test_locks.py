"""pyproject.toml's dependency groups and the locks say the same, and every file installed has its hash."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

from contract.version import VERSION
from tools.lock import plain_markers
from tools.lockfile import Block, blocks, normalise, read

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS: dict[str, list[str]] = PROJECT["dependency-groups"]
TORCH = {"torch", "torchvision"}


def direct() -> Iterator[tuple[str, Requirement]]:
    for group, requirements in GROUPS.items():
        for requirement in requirements:
            yield group, Requirement(requirement)


def requirement_of(block: Block) -> Requirement:
    return Requirement(block.text.splitlines()[0].rstrip(" \\"))


def locked_for(name: str, python: str) -> dict[str, str]:
    """What a lock installs on Linux with this Python: name to version."""
    environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    environment |= {"platform_machine": "x86_64", "platform_python_implementation": "CPython"}
    found = {}
    for block in read(LOCKS / f"{name}.txt"):
        marker = requirement_of(block).marker
        if marker is None or marker.evaluate(environment):
            assert block.name not in found, f"{block.name} twice for Python {python}"
            found[block.name] = block.version
    return found


def test_every_direct_requirement_is_exact_and_locked_so() -> None:
    seen = 0
    for group, requirement in direct():
        name = normalise(requirement.name)
        assert re.fullmatch(r"==[0-9][^*]*", str(requirement.specifier)), f"{group}: {requirement} is not exact"
        lock = "torch-cuda" if name in TORCH else group
        versions = {block.version for block in read(LOCKS / f"{lock}.txt") if block.name == name}
        assert versions == {str(requirement.specifier).removeprefix("==")}, f"{group}: {requirement}"
        seen += 1
    assert seen == sum(map(len, GROUPS.values())) > 20


@pytest.mark.parametrize("name", ["image", "client", "dev", "torch-cuda"])
def test_every_locked_line_has_hashes_and_no_source_of_its_own(name: str) -> None:
    locked = read(LOCKS / f"{name}.txt")
    assert len(locked) > 10
    for block in locked:
        assert block.hashes, block.name
    text = (LOCKS / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert "\n-" not in text  # no options, such as further indexes


def test_torch_alone_agrees() -> None:
    alone = {block.name: block.version for block in read(LOCKS / "torch.txt")}
    cuda = {block.name: block.version for block in read(LOCKS / "torch-cuda.txt")}
    assert alone == {name: cuda[name] for name in TORCH}
    assert not TORCH & {block.name for group in GROUPS for block in read(LOCKS / f"{group}.txt")}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_groups_agree_with_one_another(python: str) -> None:
    assert Version(python) in Requirement(f"x{PROJECT['project']['requires-python']}").specifier
    together: dict[str, str] = {}
    for name in (*GROUPS, "torch-cuda"):
        for package, version in locked_for(name, python).items():
            assert together.setdefault(package, version) == version, package
    assert len(together) > 80


def test_cuda_libraries_are_for_linux_alone() -> None:
    libraries = [block for block in read(LOCKS / "torch-cuda.txt") if block.name not in TORCH]
    assert len(libraries) > 10
    for block in libraries:
        marker = requirement_of(block).marker
        assert marker is not None, block.name
        assert not marker.evaluate({"sys_platform": "darwin", "platform_machine": "arm64"}), block.name


def test_version_is_said_once() -> None:
    assert PROJECT["project"]["version"] == VERSION


def test_what_is_installed_fits_together() -> None:
    """`pip check` finds one fault: smdebug's pin of a pyinstrument without wheels, overridden on purpose."""
    answer = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    override = PROJECT["tool"]["uv"]["override-dependencies"]
    assert override == ["pyinstrument==5.1.3"]
    assert answer.stdout.splitlines() == [
        "smdebug 1.0.34 has requirement pyinstrument==3.4.2, but you have pyinstrument 5.1.3."
    ]


def test_blocks_of_a_lock() -> None:
    digest = "0" * 63 + "1"
    pinned = f"Foo_Bar==1.2 ; python_version < '3.12' \\\n    --hash=sha256:{digest}\n    # via spam\n"
    first, second = blocks(f"# head\n\n{pinned}spam==3 \\\n")
    assert (first.name, first.version, first.hashes) == ("foo-bar", "1.2", [digest])
    assert (second.name, second.version, second.hashes) == ("spam", "3", [])
    with pytest.raises(ValueError, match="not an exact requirement: spam>=3"):
        blocks("spam>=3\n")


@pytest.mark.parametrize(
    ("made", "plain"),
    [
        ("({py} < '3.14' and {os} == 'darwin') or ({py} < '3.14' and {os} == 'linux')", ""),
        ("({py} < '3.12' and {os} == 'darwin') or ({py} < '3.12' and {os} == 'linux')", "{py} < '3.12'"),
        ("{py} < '3.14' and {os} == 'linux'", "{os} == 'linux'"),
        ("{py} >= '3.12' and {py} < '3.13'", "{py} >= '3.12' and {py} < '3.13'"),
    ],
)
def test_markers_are_made_plain_but_mean_the_same(made: str, plain: str) -> None:
    before, after = (text.format(py="python_full_version", os="sys_platform") for text in (made, plain))
    assert plain_markers(f"a==1 ; {before} \\\n") == (f"a==1 ; {after} \\\n" if after else "a==1 \\\n")
    for system in ("linux", "darwin"):
        for python in ("3.11.2", "3.12.1", "3.13.0"):
            place = {"sys_platform": system, "python_full_version": python}
            assert Marker(before).evaluate(place) == (not after or Marker(after).evaluate(place)), place
