"""The sample data set's command, run as a user runs it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[2]
CLASSES = [
    "001.Harbour_spotter",
    "002.Lantern_spitz",
    "003.Marsh_longear",
    "004.Ember_bulldog",
    "005.Quilt_shepherd",
    "006.Dune_topknot",
]
MARKER = ".sample_data.json"


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.sample_data", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def made(folder: Path, *arguments: object) -> Path:
    done = command(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.jpg"))
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 training and 10 test pictures per breed, at the usual size."""
    return made(tmp_path_factory.mktemp("sample") / "dogs", "--train", 20, "--valid", 1, "--test", 10)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("tiny") / "dogs", *TINY)


TINY = ("--train", 2, "--valid", 1, "--test", 1, "--size", 96)


def test_the_folders_and_counts_are_those_asked_for(sample: Path) -> None:
    assert sorted(path.name for path in sample.iterdir() if path.name != MARKER) == ["test", "train", "valid"]
    for split, count in (("train", 20), ("valid", 1), ("test", 10)):
        assert sorted(path.name for path in (sample / split).iterdir()) == CLASSES
        for name in CLASSES:
            files = sorted((sample / split / name).iterdir())
            assert len(files) == count
            assert all(file.name.startswith(name[4:] + "_") and file.suffix == ".jpg" for file in files)


def test_pictures_are_rgb_jpegs_of_moderately_different_sizes(sample: Path) -> None:
    sizes = set()
    for path in sample.rglob("*.jpg"):
        with Image.open(path) as picture:
            picture.load()
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            sizes.add(picture.size)
    assert len(sizes) > 100
    assert min(min(size) for size in sizes) >= 200
    assert max(max(size) for size in sizes) <= 330
    shapes = [width / height for width, height in sizes]
    assert min(shapes) < 0.9
    assert max(shapes) > 1.1


def pixels(path: Path, side: int) -> NDArray[np.float64]:
    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((side, side), Image.Resampling.BOX)
        return np.asarray(small, np.float64).reshape(-1)


def test_no_two_pictures_are_alike(sample: Path) -> None:
    files = sorted(sample.rglob("*.jpg"))
    assert len(files) == 6 * 31
    assert len(set(hashes(sample).values())) == len(files)
    assert len({file.name for file in files}) == len(files)
    coarse = np.stack([pixels(file, 16) for file in files])
    mirrored = coarse.reshape(-1, 16, 16, 3)[:, :, ::-1].reshape(len(files), -1)
    for number, one in enumerate(coarse):
        for others in (coarse[:number], mirrored[:number]):
            if number:
                nearest = np.sqrt(((others - one) ** 2).mean(axis=1)).min()
                assert nearest > 8, f"{files[number]} is nearly the same as another picture"


def test_mean_colour_does_not_tell_the_breeds_apart(sample: Path) -> None:
    def means(split: str) -> NDArray[np.float64]:
        return np.array([[pixels(file, 1) for file in sorted((sample / split / name).iterdir())] for name in CLASSES])

    centres = means("train").mean(axis=1)
    test = means("test")
    distances = np.linalg.norm(test[:, :, None, :] - centres, axis=-1)
    accuracy = (distances.argmin(axis=-1) == np.arange(6)[:, None]).mean()
    assert accuracy < 0.45


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_processes(tiny: Path, tmp_path: Path) -> None:
    assert hashes(made(tmp_path / "one", *TINY, "--workers", 1)) == hashes(tiny)
    assert hashes(made(tmp_path / "three", *TINY, "--workers", 3)) == hashes(tiny)


def test_a_larger_set_begins_with_the_pictures_of_a_smaller_one(tiny: Path, tmp_path: Path) -> None:
    larger = hashes(made(tmp_path / "more", *TINY, "--train", 3))
    assert len(larger) == 30
    assert hashes(tiny).items() <= larger.items()


def test_another_seed_gives_other_pictures(tiny: Path, tmp_path: Path) -> None:
    other = hashes(made(tmp_path / "other", *TINY, "--seed", 1))
    assert set(other) == set(hashes(tiny))
    assert not set(other.values()) & set(hashes(tiny).values())


def test_a_second_run_leaves_the_finished_set_alone(tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "dogs")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = command(folder, *TINY)
    assert done.returncode == 0
    assert "already there" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_an_interrupted_set_is_completed(tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "dogs")
    lost = sorted(folder.rglob("*.jpg"))[3]
    lost.unlink()
    marker = json.loads((folder / MARKER).read_text())
    (folder / MARKER).write_text(json.dumps({**marker, "complete": False}))
    done = command(folder, *TINY)
    assert done.returncode == 0
    assert "1 of them newly drawn" in done.stdout
    assert hashes(folder) == hashes(tiny)
    assert json.loads((folder / MARKER).read_text())["complete"] is True


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_another_set_is_never_mixed_in(tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "dogs")
    before = hashes(folder)
    refused(command(folder, *TINY, "--seed", 5), "another sample data set", "seed 0 and not 5", "empty folder")
    refused(command(folder, *TINY, "--train", 3), "train 2 and not 3")
    (folder / "train" / CLASSES[0] / "mine.jpg").write_bytes(b"not ours")
    refused(command(folder, *TINY), "mine.jpg", "not part of the sample data")
    (folder / "train" / CLASSES[0] / "mine.jpg").unlink()
    assert hashes(folder) == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear dog")
    refused(command(tmp_path, *TINY), "letter.txt", "not sample data")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    refused(command(tmp_path / "letter.txt", *TINY), "is a file")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--train", 0), ("train is 0", "1 to 9999")),
        (("--test", -1), ("test is -1", "0 to 9999")),
        (("--valid", 10000), ("valid is 10000",)),
        (("--size", 20), ("size is 20", "64 to 1024")),
        (("--seed", -3), ("seed is -3",)),
        (("--workers", 0), ("workers is 0",)),
    ],
)
def test_bad_values_get_one_sentence(tmp_path: Path, arguments: tuple[str, int], words: tuple[str, ...]) -> None:
    refused(command(tmp_path / "dogs", *arguments), *words)
    assert not (tmp_path / "dogs").exists()


def test_a_split_may_be_left_out(tmp_path: Path) -> None:
    folder = made(tmp_path / "dogs", "--train", 1, "--valid", 0, "--test", 0, "--size", 64)
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, "train"]
    assert len(hashes(folder)) == 6


def test_the_contact_sheet_shows_every_breed_in_a_small_file(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.jpg"
    made(tmp_path / "dogs", "--train", 1, "--valid", 0, "--test", 0, "--size", 64, "--contact-sheet", sheet)
    assert sheet.stat().st_size <= 150_000
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG"
        assert min(picture.size) >= 600
