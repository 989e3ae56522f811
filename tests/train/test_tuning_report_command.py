"""`python -m train.tuning_report` as a real process."""

import json
from pathlib import Path

import pytest

from reports.tuning_page import tuning_page
from tests.train.support import run
from tests.train.tuning_documents import document, trial


def test_the_command_writes_the_page_beside(tmp_path: Path) -> None:
    made = document([trial(n, (0.5 + 0.01 * n,)) for n in range(1, 11)])
    (tmp_path / "tuning.json").write_text(json.dumps(made))
    ended = run(["train.tuning_report", "--json", str(tmp_path / "tuning.json"), "--progress", str(tmp_path / "p")],
                tmp_path)  # fmt: skip
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'tuning-report.html'}\n")
    assert (tmp_path / "tuning-report.html").read_bytes() == tuning_page(made)
    assert json.loads((tmp_path / "p").read_text()) == {"phase": "page", "done": 1, "total": 1, "unit": "pages"}
    (tmp_path / "other.json").write_text(json.dumps(made))
    assert run(["train.tuning_report", "--json", str(tmp_path / "other.json")], tmp_path).code == 0
    assert (tmp_path / "other.html").is_file()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no file "),
        (b"\xff\xfe", "is no JSON; give --json the tuning.json that a search wrote"),
        (b"{", "is no JSON; give --json"),
        (b"[1]", "is no tuning document"),
        (b'{"format": 2}', "has format 2, and this version reads 1; use the version that wrote it"),
        (b'{"format": 1, "state": "completed"}', "lacks kennel, reason, objectives, sampler, pruner, seed, parallel,"),
        (json.dumps(document([]) | {"trials": 5, "best": "x"}).encode(), "holds no proper best, trials; give --json"),
    ],
)
def test_what_is_no_tuning_document(tmp_path: Path, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / "tuning.json").write_bytes(content)
    ended = run(["train.tuning_report", "--json", str(tmp_path / "tuning.json")], tmp_path)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert told in ended.err
    assert list(tmp_path.glob("*.html")) == []
