"""The documentation says what is so: links lead somewhere, commands exist, the README's steps run."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from contract.version import VERSION
from tests import forked
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
# Commands of deploy.py that have commands.
GROUPS = ("registry",)


def test_all_pages_are_read() -> None:
    assert {"README.md", "CHANGELOG.md", "training.md", "serving.md", "design.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    missing = [link for link in local if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_and_files_named_exist(page: Path) -> None:
    text = page.read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?\bmake ([a-z][a-z-]*)`", text) + re.findall(r"^make ([a-z][a-z-]*)", text, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), f"{page.name} names make {target}"
    for script in re.findall(r"(?:^|[\s`(])((?:docker|examples|local_test|tools|tests)/[\w/]+\.(?:py|sh|yaml))", text):
        assert (ROOT / script).is_file(), f"{page.name} names {script}"


def test_contributing_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`([a-z_]+/[\w./]*)`", text) + re.findall(r"\bdocs/\w+\.md", text)
    assert len(named) >= 15
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def _deploy_lines() -> list[str]:
    found = []
    for page in PAGES:
        found += re.findall(r"^python (deploy\.py [^\n#]+)", page.read_text(), re.M)
    return found


def test_every_deploy_command_that_is_shown_exists_with_its_options() -> None:
    lines = _deploy_lines()
    assert len(lines) >= 8
    helps: dict[str, str] = {}
    for line in lines:
        words = line.split()
        # Of a group each command has options of its own.
        command = " ".join(words[1:3]) if words[1] in GROUPS else words[1]
        if command not in helps:
            answer = forked.run(
                [sys.executable, str(ROOT / "deploy.py"), *command.split(), "--help"], cwd=ROOT, text=True
            )
            assert answer.returncode == 0, f"{line}: {answer.stderr}"
            helps[command] = answer.stdout
        for option in re.findall(r"(--[a-z-]+)", line):
            assert option in helps[command], f"{line}: {command} has no {option}"


@pytest.mark.long
def test_the_readme_steps_run(tmp_path: Path) -> None:
    block = re.search(r"<!-- tested -->\n```bash\n(.*?)```", README, re.S)
    assert block is not None
    steps = block.group(1).strip().splitlines()
    assert len(steps) >= 7
    make = [sys.executable, "-m", "examples.sample_data", str(tmp_path / "local_test" / "data"),
            "--train", "6", "--valid", "2", "--test", "2"]  # fmt: skip
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True)
    photo = next((tmp_path / "local_test" / "data" / "test").glob("*/*.jpg"))
    (tmp_path / "dog.jpg").write_bytes(photo.read_bytes())
    port = str(free_port())
    said: dict[str, str] = {}
    try:
        for step in steps:
            # The same words with this environment's Python, a free port and smaller pictures.
            command = step.replace("python deploy.py", f"{sys.executable} {ROOT / 'deploy.py'}").replace("8080", port)
            command = command.replace("image_size=64", "image_size=32").replace("epochs=2", "epochs=1")
            answer = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
            assert answer.returncode == 0, f"{step}\n{answer.stdout}{answer.stderr}"
            said[step.split()[2] if step.startswith("python") else "curl"] = answer.stdout
    finally:
        end = [sys.executable, str(ROOT / "deploy.py"), "delete", "--all"]
        subprocess.run(end, cwd=tmp_path, capture_output=True, check=False)
    assert '"predictions"' in said["curl"]
    assert "kennel" in said["status"]
    assert "kennel ended" in said["delete"]


def test_the_design_page_has_every_file_of_the_cloud() -> None:
    text = (ROOT / "docs" / "design.md").read_text()
    room = ROOT / "backends" / "sagemaker"
    files = {str(path.relative_to(room)) for path in room.rglob("*.py") if path.name != "__init__.py"}
    assert len(files) >= 40
    table = text[text.index("### backends/sagemaker") : text.index("## Decisions")]
    # A file, or a folder whose files are all of one subject.
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", table))
    assert {each for each in files if each not in named and f"{each.partition('/')[0]}/" not in named} == set()
    assert {each for each in named if not (room / each).exists()} == set()
