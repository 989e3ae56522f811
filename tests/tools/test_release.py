"""`make release` on a small checkout of its own: what it asks for, a fault at a time; and pre-commit's one check."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools.figure import ROOMS, arrows, draw
from tools.release import missing

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-12-01\n\n- First.\n"


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, env=environ)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Everything is in order for 1.2.3."""
    files = {
        "contract/version.py": 'VERSION = "1.2.3"\n',
        "pyproject.toml": (
            '[project]\nversion = "1.2.3"\n[dependency-groups]\n'
            'dev = ["Some_Thing[more]==4.5; python_version > \'3\'", "torch==2.0"]\n'
        ),
        "requirements/dev.txt": "some-thing==4.5 \\\n    --hash=sha256:00\n    # via kennel (pyproject.toml:dev)\n",
        "requirements/torch-cuda.txt": "torch==2.0 \\\n    --hash=sha256:00\n    # via kennel (pyproject.toml:dev)\n",
        "CHANGELOG.md": CHANGELOG,
    }
    for room in ROOMS:
        files.setdefault(room if room.endswith(".py") else f"{room}/__init__.py", "")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "house.svg").write_text(draw(arrows(tmp_path)))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "All")
    return tmp_path


def test_a_checkout_in_order_lacks_nothing(checkout: Path) -> None:
    assert missing(checkout) == []


@pytest.mark.parametrize(
    ("name", "before", "after", "fault"),
    [
        (
            "pyproject.toml", 'version = "1.2.3"', 'version = "1.2.2"',
            "pyproject.toml has version 1.2.2, contract/version.py 1.2.3; make them equal",
        ),
        (
            "CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- New.\n",
            "CHANGELOG.md has entries under Unreleased; move them to the section of 1.2.3",
        ),
        (
            "CHANGELOG.md", " - 2026-12-01", "",
            'CHANGELOG.md has no section "## 1.2.3 - YYYY-MM-DD" with entries; write it',
        ),
        (
            "CHANGELOG.md", "- First.\n", "",
            'CHANGELOG.md has no section "## 1.2.3 - YYYY-MM-DD" with entries; write it',
        ),
        (
            "requirements/dev.txt", "4.5", "4.4",
            "requirements/dev.txt doesn't lock Some_Thing[more]==4.5, which pyproject.toml names; run make lock",
        ),
        (
            "requirements/torch-cuda.txt", "2.0", "2.1",
            "requirements/torch-cuda.txt doesn't lock torch==2.0, which pyproject.toml names; run make lock",
        ),
        (
            "pyproject.toml", "torch==2.0", "torch>=2.0",
            "pyproject.toml: torch>=2.0 in dev names no exact version; write NAME==VERSION",
        ),
        (
            "pyproject.toml", ', "torch==2.0"', "",
            "requirements/ locks torch==2.0 for dev, which pyproject.toml doesn't name; run make lock",
        ),
        (
            "serve/__init__.py", "", "import model\n",
            "docs/house.svg isn't drawn from these imports; run make figure",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_one_sentence(checkout: Path, name: str, before: str, after: str, fault: str) -> None:
    file = checkout / name
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))
    git(checkout, "commit", "--quiet", "--all", "--message", "Changed")
    assert missing(checkout) == [fault]


def test_what_isnt_committed_and_a_version_that_is_out_are_said(checkout: Path) -> None:
    git(checkout, "tag", "v1.2.3")
    (checkout / "new.py").touch()
    assert missing(checkout) == [
        "1 files differ from the last commit or aren't in it; commit them",
        "there is a tag v1.2.3 already; raise VERSION in contract/version.py and pyproject.toml",
    ]


def test_the_command_ends_with_what_is_missing(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tools import release; sys.exit(release.main(Path(sys.argv[1])))"
    )
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "--quiet", ROOT, copy], check=True)
    (copy / "one").touch()
    ended = subprocess.run([sys.executable, "-c", script, copy], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "release: 1 files differ from the last commit or aren't in it; commit them" in ended.stderr.splitlines()


def test_a_commit_is_checked_by_make_check_alone() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repository,) = config["repos"]
    (hook,) = repository["hooks"]
    assert repository["repo"] == "local"
    assert (hook["entry"], hook["pass_filenames"], hook["always_run"]) == ("make check", False, True)
    assert "\ncheck: setup ##" in (ROOT / "Makefile").read_text()
