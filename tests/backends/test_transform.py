"""deploy.py transform from beginning to end: order, errors, accuracy, which files, which server."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.transform.inputs import LocalImages
from backends.transform.summary import Truth
from model.labels import readable_labels
from tests.backends.terminal import deploy
from tests.backends.transform_runs import (
    BLUE,
    CLASSES,
    GREEN,
    RED,
    is_gone,
    picture,
    pictures,
    records,
    rows,
    summary,
    table,
    toy_artifact,
)
from tests.serve.process import Served


@pytest.fixture(scope="module")
def ml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a toy artifact, which is in the folder `model`."""
    root = tmp_path_factory.mktemp("ml")
    toy_artifact(root / "model")
    return root


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KENNEL_ENGINE", "tests.serve.engines:ToyEngine")
    monkeypatch.setenv("TOY_DIR", str(tmp_path))


@pytest.fixture(scope="module")
def url(ml: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    settings = {"KENNEL_ENGINE": "tests.serve.engines:ToyEngine", "TOY_DIR": str(folder)}
    server = Served(ml, folder / "log", **settings)
    try:
        server.wait_ready()
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.close()


def test_answers_and_errors_come_in_the_order_of_the_files(ml: Path, tmp_path: Path) -> None:
    photos, out, runs = tmp_path / "photos", tmp_path / "new" / "out", tmp_path / "runs"
    colours = [RED, GREEN, BLUE]
    for number in range(30):
        picture(photos / "a" / f"{number:02d}.png", colours[number % 3])
    picture(photos / "b-é\n1.PNG", GREEN)
    (photos / "c.jpg").write_bytes(b"no image")
    (photos / "d.jpg").symlink_to("nowhere")
    picture(photos / os.fsdecode(b"e\xff.png"), BLUE)
    with (photos / "f.tiff").open("wb") as large:
        large.truncate(6 * 1024 * 1024 + 1)
    for name in ("notes.txt", "README", "more.TXT", ".hidden.png"):
        (photos / name).write_text("no photo")
    picture(photos / ".cache" / "1.png")
    (photos / "loop").symlink_to(photos)
    command = ("transform", photos, "--out", out, "--artifact", ml / "model", "--runs", runs)
    result = deploy(*command)
    assert result.returncode == 1, result.stderr
    assert result.stderr == ""
    found = rows(out)
    names = [os.path.relpath(row["file"], photos) for row in found]
    assert names == [*(f"a/{number:02d}.png" for number in range(30)), "b-é\n1.PNG", "c.jpg", "d.jpg",
                     os.fsdecode(b"e\xff.png"), "f.tiff"]  # fmt: skip
    labels = ["Red dog", "Green dog", "Blue dog"]
    for row, label in zip(found[:30], labels * 10, strict=True):
        # 201, 51 and 48 of 300.
        assert row["predictions"][0] == {"label": label, "index": labels.index(label), "probability": 0.67}
        assert sorted(each["probability"] for each in row["predictions"]) == [0.16, 0.17, 0.67]
    assert "not an image" in found[31]["error"]
    assert found[32]["error"] == "the file can't be read (No such file or directory)"
    assert found[34]["error"] == "the file has 6291457 bytes, and the server takes 6291456 at most"
    cells = table(out)
    assert cells[0] == ["file", "label", "probability", "error"]
    assert [row[1:] for row in cells[1:4]] == [[label, "0.67", ""] for label in labels]
    assert cells[31] == [str(photos / "b-é\n1.PNG"), "Green dog", "0.67", ""]
    assert cells[32] == [str(photos / "c.jpg"), "", "", found[31]["error"]]
    assert cells[34][0].endswith(r"e\udcff.png")
    assert len(cells) == 36
    assert "35 images: 32 predicted, 3 failed;" in result.stdout
    assert "left out 3 files that are no images by their names (.txt 2, no suffix 1)" in result.stdout
    assert f"failed: {photos}/c.jpg: " in result.stdout
    told = summary(out)
    assert (told["images"], told["predicted"], told["failed"], told["left_out"]) == (35, 32, 3, 3)
    assert told["images_per_second"] > 0
    assert told["labelled"] is None
    (record,) = records(runs)
    assert (record["kind"], record["status"]) == ("deployment", "stopped")
    assert is_gone(record)
    # All is done: another start sends nothing and needs no server.
    before = (out / "predictions.jsonl").read_bytes()
    again = deploy(*command)
    assert again.returncode == 1
    assert "35 images: 32 predicted, 3 failed, 35 of them before" in again.stdout
    assert (out / "predictions.jsonl").read_bytes() == before
    assert len(records(runs)) == 1


def labelled(photos: Path) -> None:
    """Red: 3 photos, of which one looks green. Green: 2, both right. Cats are no class."""
    for name, colour in (("1", RED), ("2", GREEN), ("3", RED)):
        picture(photos / "001.Red_dog" / f"{name}.png", colour)
    for name in ("1", "2"):
        picture(photos / "green_DOG" / f"{name}.png", GREEN)
    (photos / "green_DOG" / "broken.png").write_bytes(b"")
    picture(photos / "cats" / "1.png", BLUE)


@pytest.mark.parametrize("known", ["with the artifact", "by the answers alone"])
def test_accuracy_where_folders_are_classes(ml: Path, url: str, known: str, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    labelled(photos)
    artifact = ("--artifact", ml / "model") if known == "with the artifact" else ()
    result = deploy("transform", photos, "--out", out, "--url", f"{url}/invocations", *artifact)
    assert result.returncode == 1, result.stderr
    assert "accuracy 0.8000 on the 5 images whose folder is a class" in result.stdout
    assert summary(out)["labelled"] == {
        "n": 5, "correct": 4, "accuracy": 0.8, "other_folders": {"cats": 1},
        "classes": {"Green dog": {"n": 2, "correct": 2}, "Red dog": {"n": 3, "correct": 2}},
    }  # fmt: skip
    assert (summary(out)["url"], bool(summary(out)["artifact"])) == (url, bool(artifact))


def test_folders_find_the_labels_that_training_gave() -> None:
    names = ["001.Affenpinscher", "n02085620-Chihuahua", "12-beagle", "German_shepherd_dog", "7", "3_pug", "pug"]
    labels = readable_labels(names)
    for truth in (Truth(labels), Truth(labels, names)):
        assert [truth.label(name) for name in names] == list(labels)
        assert truth.label("german shepherd_DOG") == "German shepherd dog"
        assert truth.label("099.affenpinscher") == "Affenpinscher"
        # Two classes are called so, and neither exactly.
        assert truth.label("PUG") is None
        assert truth.label("cat") is None


def test_all_probabilities(ml: Path, url: str, tmp_path: Path) -> None:
    pictures(tmp_path / "photos", 2)
    (tmp_path / "photos" / "000.png").write_bytes(b"")
    command = ("transform", tmp_path / "photos", "--url", url, "--probabilities", "--out")
    refused = deploy(*command, tmp_path / "out")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: --probabilities needs the classes' names: give --artifact")
    result = deploy(*command, tmp_path / "out", "--artifact", ml / "model")
    assert result.returncode == 1, result.stderr
    bad, good = rows(tmp_path / "out")
    assert "probabilities" not in bad
    assert good["probabilities"] == [0.67, 0.17, 0.16]
    assert [each["label"] for each in good["predictions"]] == ["Red dog", "Green dog", "Blue dog"]
    head, first, second = table(tmp_path / "out")
    assert head[4:] == ["p:Red dog", "p:Green dog", "p:Blue dog"]
    assert first[4:] == ["", "", ""]
    assert second[1:] == ["Red dog", "0.67", "", "0.67", "0.17", "0.16"]


def test_a_server_of_another_artifact_is_noticed(url: str, tmp_path: Path) -> None:
    pictures(tmp_path / "photos", 1)
    other = toy_artifact(tmp_path / "two", classes=CLASSES[:2])
    command = ("transform", tmp_path / "photos", "--out", tmp_path / "out", "--url", url, "--probabilities")
    result = deploy(*command, "--artifact", other)
    assert result.returncode == 2
    assert "/invocations doesn't answer with 2 probabilities: the server answered 200; is it" in result.stderr


def test_folders_globs_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.png", "b/10.png", "b/c/1.JPEG", "b.png", "a.png", "b/x.dat", "[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(LocalImages(["."])) == ["[1].png", "a.png", "b/10.png", "b/2.png", "b/c/1.JPEG", "b.png"]
    assert list(LocalImages(["b/"])) == ["b/10.png", "b/2.png", "b/c/1.JPEG"]
    assert list(LocalImages(["b/*"])) == ["b/10.png", "b/2.png", "b/x.dat"]
    assert list(LocalImages(["**/*.png"])) == ["[1].png", "a.png", "b/10.png", "b/2.png", "b.png"]
    # A name before a pattern; and each file once, where it is named first.
    assert list(LocalImages(["[1].png", "b", "b/2.png", str(tmp_path / "b" / "x.dat"), "b/../a.png", "."])) == [
        "[1].png", "b/10.png", "b/2.png", "b/c/1.JPEG", str(tmp_path / "b" / "x.dat"), "b/../a.png", "b.png",
    ]  # fmt: skip


def test_nothing_to_do_is_one_sentence(url: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for given, out, said in (
        ("empty", "out", "there is no image in what was given; name"),
        ("*.nef", "out", "there is no image in what was given; name"),
        ("nowhere", "out", "there is no file or folder nowhere; name photos"),
        ("/dev/null", "out", "/dev/null is neither a file nor a folder"),
        ("file", "file/out", "the results can't be written to file/out (Not a directory)"),
    ):
        result = deploy("transform", given, "--out", out, "--url", url, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith(f"error: {said}"), result.stderr
    shutil.rmtree(tmp_path / "out")


def test_a_server_that_does_not_come_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENNEL_ENGINE", "tests.serve.engines:unfit")
    pictures(tmp_path / "photos", 1)
    artifact = toy_artifact(tmp_path / "model")
    command = ("transform", tmp_path / "photos", "--out", tmp_path / "out", "--artifact", artifact)
    result = deploy(*command, "--runs", tmp_path / "runs")
    assert result.returncode == 2
    assert result.stderr.startswith("error: the server did not come up: the weights don't fit; train again (run ")
    (record,) = records(tmp_path / "runs")
    assert record["status"] == "failed"
    assert is_gone(record)
