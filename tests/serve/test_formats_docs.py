"""docs/serving.md says what the server does: its curl lines run, its tables' names are the code's."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from serve.media_types import FORMATS_BY_NAME, BodyKind, body_kind
from tests.serve.bodies import BLUE, RED, flat
from tests.serve.conftest import encoded
from tests.serve.process import ROOT, Served

PAGE = (ROOT / "docs" / "serving.md").read_text()
SECTION = PAGE.split("## POST /invocations")[1].split("\n## ")[0]
LINES = re.findall(r"^    (curl .+)$", SECTION, re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "dog.jpg").write_bytes(encoded(Image.new("RGB", (40, 30), RED), quality=95))
    (folder / "cat.png").write_bytes(flat(BLUE))
    return folder


def run(line: str, folder: Path, server: Served) -> str:
    command = line.replace("localhost:8080", f"127.0.0.1:{server.port}").replace("curl ", "curl -sS --fail ")
    answer = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"{line}\n{answer.stderr}"
    return answer.stdout


def test_the_section_has_examples() -> None:
    assert len(LINES) == 6


@pytest.mark.parametrize("line", LINES)
def test_curl_lines_run(line: str, folder: Path, toy_server: Served) -> None:
    output = run(line, folder, toy_server)
    if "text/csv" in line:
        assert [float(x) for x in output.split(",")] == pytest.approx([0.5, 0.25, 0.25], abs=0.01)
        return
    answer = json.loads(output)
    first = answer["predictions"][0]
    assert (first if isinstance(first, dict) else first[0])["label"] == "Red dog"
    if "cat.png" in line:
        assert answer["files"] == ["dog.jpg", "cat.png"]
        assert answer["predictions"][1][0]["label"] == "Blue dog"
    if "jsonlines" in line:
        assert answer["file"] == "dog.jpg"


def test_the_tables_name_every_kind_of_body_and_every_form() -> None:
    request, answer = SECTION.split("### The answer\n")
    table = "\n".join(line for line in request.splitlines() if line.startswith("| "))
    labels = re.findall(r"`((?:application|multipart)/[\w.-]+)`", table)
    assert {body_kind(label) for label in labels} == set(BodyKind)
    rows = [line for line in answer.split("### Options")[0].splitlines() if line.startswith("| `")]
    assert [row.split("|")[2].strip(" `") for row in rows] == list(FORMATS_BY_NAME)
    for row, offer in zip(rows, FORMATS_BY_NAME.values(), strict=True):
        assert f"`{offer}`" in row.split("|")[1]
