"""`make release`: checks what a release needs; says what is missing, a sentence each, or prints the commands to tag it.

It changes nothing, and runs no tests: CI does.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tools.figure import arrows, draw
from tools.lockfile import normalise, read

ROOT: Final = Path(__file__).resolve().parents[1]
_TORCH: Final = ("torch", "torchvision")  # locked apart from the groups: see tools/lock.py


def missing(root: Path = ROOT) -> list[str]:
    """What the checkout at `root` lacks for a release of the version in contract/version.py: a sentence each."""
    return [fault for check in _CHECKS for fault in check(root, version(root))]


def version(root: Path) -> str:
    """The version in contract/version.py. Raises ValueError where there is none of the form 1.2.3."""
    text = (root / "contract" / "version.py").read_text(encoding="utf-8")
    if (found := re.search(r'^VERSION = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)) is None:
        raise ValueError('contract/version.py has no line VERSION = "1.2.3"')
    return found[1]


def _project(root: Path, version: str) -> Iterator[str]:
    stated = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if stated != version:
        yield f"pyproject.toml has version {stated}, contract/version.py {version}; make them equal"


def _changelog(root: Path, version: str) -> Iterator[str]:
    sections = re.split(r"^## ", (root / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    titles = {section.splitlines()[0]: section.partition("\n")[2].strip() for section in sections}
    if titles.get("Unreleased"):
        yield f"CHANGELOG.md has entries under Unreleased; move them to the section of {version}"
    dated = [
        text for title, text in titles.items() if re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", title)
    ]
    if not any(dated):
        yield f'CHANGELOG.md has no section "## {version} - YYYY-MM-DD" with entries; write it'


def _locks(root: Path, _version: str) -> Iterator[str]:
    groups = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    for group, requirements in groups.items():
        origin = f"kennel (pyproject.toml:{group})"  # what uv writes below a direct requirement of the group
        files = [root / "requirements" / f"{name}.txt" for name in (group, "torch-cuda")]
        locked = {(block.name, block.version) for file in files for block in read(file) if origin in block.text}
        named = {normalise(re.split(r"[^\w.-]", requirement)[0]) for requirement in requirements}
        for name, version in sorted(pin for pin in locked if pin[0] not in named):
            yield f"requirements/ locks {name}=={version} for {group}, which pyproject.toml doesn't name; run make lock"
        for requirement in requirements:
            pin = re.match(r"([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", requirement)
            if pin is None:
                yield f"pyproject.toml: {requirement} in {group} names no exact version; write NAME==VERSION"
            elif (normalise(pin[1]), pin[2]) not in locked:
                lock = files[pin[1] in _TORCH].relative_to(root)
                yield f"{lock} doesn't lock {pin[0]}, which pyproject.toml names; run make lock"


def _figure(root: Path, _version: str) -> Iterator[str]:
    figure = root / "docs" / "house.svg"
    if not figure.exists() or figure.read_text(encoding="utf-8") != draw(arrows(root)):
        yield "docs/house.svg isn't drawn from these imports; run make figure"


def _git(root: Path, version: str) -> Iterator[str]:
    if changed := _run_git(root, "status", "--porcelain"):
        yield f"{len(changed.splitlines())} files differ from the last commit or aren't in it; commit them"
    if _run_git(root, "tag", "--list", f"v{version}"):
        yield f"there is a tag v{version} already; raise VERSION in contract/version.py and pyproject.toml"


def _run_git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


_CHECKS: Final[tuple[Callable[[Path, str], Iterator[str]], ...]] = (_project, _changelog, _locks, _figure, _git)


def main(root: Path = ROOT) -> int:
    """Print what is missing, and return 1; or print how to release, and return 0."""
    if faults := missing(root):
        print(*(f"release: {fault}" for fault in faults), sep="\n", file=sys.stderr)
        return 1
    tag = f"v{version(root)}"
    print(f"Nothing is missing for {tag}. To release it:")
    print(f"  git tag --annotate {tag} --message {tag}\n  git push origin {tag}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
