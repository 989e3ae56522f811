import json
import subprocess
import sys
from pathlib import Path

from tests import forked
from tests.serve.conftest import TOY_ENGINE, Toy, encoded, photo
from tests.serve.process import ROOT, environment


def predict(toy: Toy, *arguments: object, engine: str = TOY_ENGINE) -> "subprocess.CompletedProcess[str]":
    return forked.run(
        [sys.executable, "-m", "serve.predict", "--artifact", str(toy.ml_root / "model"), "--engine", engine]
        + [str(argument) for argument in arguments],
        env=environment(TOY_DIR=str(toy.ml_root)),
        cwd=ROOT,
        text=True,
    )


def test_one_line_a_file_in_order(toy: Toy, tmp_path: Path) -> None:
    files = [tmp_path / f"{i} Bjørn.jpg" for i in range(70)]
    for i, file in enumerate(files):
        file.write_bytes(encoded(photo(i, colour=i % 3)))
    run = predict(toy, *files)
    assert (run.returncode, run.stderr) == (0, "")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(file) for file in files]
    assert [line["predictions"][0]["index"] for line in lines] == [i % 3 for i in range(70)]
    assert all(len(line["predictions"]) == 3 for line in lines)


def test_a_file_that_fails_does_not_stop_the_others(toy: Toy, tmp_path: Path) -> None:
    good, broken, document = tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c.pdf"
    good.write_bytes(encoded(photo(1)))
    broken.write_bytes(good.read_bytes()[:-200])
    document.write_bytes(b"%PDF-1.7")
    run = predict(toy, "--json", "--top-k", 1, broken, tmp_path / "none.jpg", tmp_path, document, good)
    assert run.returncode == 1
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    reasons = ["broken or truncated", "No such file", "Is a directory", "PDF"]
    for line, words in zip(lines[:4], reasons, strict=True):
        assert set(line) == {"file", "error"}
        assert words in line["error"]
    assert len(lines[4]["predictions"]) == 1
    text = predict(toy, "--text", good, document)
    assert text.stdout.splitlines()[0].startswith(f"{good}: Red dog ")
    assert text.stdout.splitlines()[1].startswith(f"{document}: error: ")


def test_what_the_user_can_mend(toy: Toy, tmp_path: Path) -> None:
    wrong = Toy(tmp_path, toy.preprocess)
    run = predict(wrong, "x.jpg")
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert predict(toy, "x.jpg", engine="steam").returncode == 2
    assert "must be an integer above 0, got '0'" in predict(toy, "--top-k", 0, "x.jpg").stderr
