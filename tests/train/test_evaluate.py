"""`python -m train.evaluate` and `python -m train.check_data` as processes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.errors import ArtifactError, DataError
from tests.train.support import CLASSES, REPOSITORY, Finished, make_classes, run
from train.data.layouts import DataLocation
from train.data.splits import pick_split
from train.evaluate import main


def evaluate(artifact: Path, data: Path, json_file: Path, *more: str) -> Finished:
    arguments = [
        "--artifact",
        str(artifact),
        "--data",
        str(data),
        "--json",
        str(json_file),
        "--device",
        "cpu",
    ]
    return run(["train.evaluate", *arguments, *more], json_file.parent)


def test_evaluation_equals_trains_own_on_the_same_artifact(whole: Finished, tmp_path: Path) -> None:
    # Another batch size, which may change the last digits alone.
    progress = tmp_path / "progress.json"
    more = ("--batch-size", "7", "--progress", str(progress))
    result = evaluate(whole.model, whole.root / "input" / "data", tmp_path / "report.json", *more)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    own = whole.evaluation
    for name in ("n", "loss", "accuracy", "top5_accuracy", "macro_f1"):
        assert report[name] == pytest.approx(own[name], abs=1e-6)
    assert list(report["predictions"]) == list(own["predictions"])
    assert len(own["predictions"]) == 15
    for name, row in own["predictions"].items():
        found = report["predictions"][name]
        assert found.pop("probability") == pytest.approx(row["probability"], abs=1e-5)
        assert found == {key: value for key, value in row.items() if key != "probability"}
    assert report["artifact"] == whole.manifest["weights"]["sha256"][:12]
    assert report["labels"] == ["Affenpinscher", "German shepherd dog", "pug"]
    assert result.out.splitlines()[-1] == (
        f"15 images: accuracy {own['accuracy']:.4f}, top-5 1.0000, macro F1 {own['macro_f1']:.4f}, "
        f"loss {own['loss']:.4f}"
    )
    assert json.loads(progress.read_text())["done"] == 15


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`python -m train.evaluate` in this process: starting one more takes seconds."""

    def call(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments), "--device", "cpu"])
        main()

    return call


def test_class_folders_with_broken_files(
    whole: Finished, tmp_path: Path, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    make_classes(tmp_path / "photos", 2, CLASSES[1:], seed=300)
    (tmp_path / "photos" / "pug" / "broken.jpg").write_bytes(b"\xff\xd8")
    command("--artifact", whole.model, "--data", tmp_path / "photos", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["n"] == 4
    assert [each["file"] for each in report["skipped"]] == ["test/pug/broken.jpg"]
    assert "data: test data has no image of 1 classes: 001.Affenpinscher" in capsys.readouterr().out.splitlines()


def one_sentence(result: Finished) -> str:
    assert result.code == 2
    assert "Traceback" not in result.err
    (line,) = result.err.splitlines()
    return line


def test_a_changed_artifact_is_refused(whole: Finished, tmp_path: Path, command: Callable[..., None]) -> None:
    shutil.copytree(whole.model, tmp_path / "model")
    with (tmp_path / "model" / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    data = whole.root / "input" / "data"
    with pytest.raises(ArtifactError, match="isn't the file that was trained"):
        command("--artifact", tmp_path / "model", "--data", data, "--json", tmp_path / "report.json")
    assert not (tmp_path / "report.json").exists()


def test_a_batch_size_that_is_none(
    tmp_path: Path, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command("--artifact", tmp_path, "--data", tmp_path, "--json", tmp_path / "x", "--batch-size", "0")
    assert ended.value.code == 2
    assert "argument --batch-size: must be a positive integer, got '0'" in capsys.readouterr().err


def test_which_split_is_evaluated(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        (tmp_path / name).mkdir()
    assert pick_split(tmp_path, None) == ("test", DataLocation(tmp_path / "test"))
    assert pick_split(tmp_path, "valid") == ("valid", DataLocation(tmp_path / "val"))
    (tmp_path / "test").rmdir()
    assert pick_split(tmp_path, None) == ("valid", DataLocation(tmp_path / "val"))
    assert pick_split(tmp_path / "val", None) == ("test", DataLocation(tmp_path / "val"))
    with pytest.raises(DataError, match=r"holds no test folder \(it has: train, valid\)"):
        pick_split(tmp_path, "test")
    with pytest.raises(DataError, match="there is no folder"):
        pick_split(tmp_path / "nowhere", None)


def test_check_data_prints_a_table(whole: Finished, tmp_path: Path) -> None:
    report, data = tmp_path / "report.json", whole.root / "input" / "data"
    result = run(["train.check_data", "--data", str(data), "--json", str(report)], tmp_path)
    assert result.code == 0, result.err
    rows = [line.split() for line in result.out.splitlines()]
    assert rows[:5] == [
        ["class", "train", "valid", "test"],
        ["001.Affenpinscher", "12", "4", "5"],
        ["German_shepherd_dog", "12", "4", "5"],
        ["pug", "12", "4", "5"],
        ["images", "36", "12", "15"],
    ]
    assert result.out.count("\nskipped train/pug/") == 5
    assert json.loads(report.read_text()) == whole.data


@pytest.mark.parametrize("name", ["test", "photos"])
def test_check_data_of_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    make_classes(tmp_path / name, 2)
    result = run(["train.check_data", "--data", str(tmp_path / name)], tmp_path)
    assert result.code == 0, result.err
    assert [line.split() for line in result.out.splitlines()][-1] == ["images", "6"]


def test_check_data_says_what_is_wrong(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", 1, ["pug"])
    sentence = one_sentence(run(["train.check_data", "--data", str(tmp_path)], tmp_path))
    assert "holds one class (pug), a classifier needs at least two" in sentence
    (tmp_path / "report").write_text("")
    make_classes(tmp_path / "train", 1, ["beagle"])
    command = ["train.check_data", "--data", str(tmp_path), "--json", str(tmp_path / "report" / "x.json")]
    assert "a file is in a folder's place" in one_sentence(run(command, tmp_path))


def test_checking_needs_no_torch() -> None:
    """So that data and configuration are checked at once, not after seconds of imports."""
    code = "import sys, train.check_data, train.job_config, train.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
