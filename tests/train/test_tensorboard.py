"""Event files, read back with TensorBoard's own code: curves, hyperparameters, pictures."""

import io
import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from contract.hyperparameters import Hyperparameters
from contract.metrics import MetricLog
from contract.paths import MLPaths
from contract.progress import Progress
from model.metrics import Evaluation
from model.preprocess import Preprocess
from monitor.callbacks import Callbacks, TrainState
from tests.train.support import QUICK, TIMEOUT_S, Finished, configure, finish, make_classes, start, train
from train.context import TrainingRun
from train.data.load import load_data
from train.data.splits import resolve_splits
from train.tensorboard import BLACK, RED, CaptionedImage, TensorBoard, contact_sheet, latin, scalar_tag, tile_side


def read(root: Path) -> EventAccumulator:
    """The events below a job's tree, all of them."""
    events = EventAccumulator(str(root / "output" / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    return events.Reload()


def series(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(tag)]


def hparams(events: EventAccumulator, tag: str) -> plugin_data_pb2.HParamsPluginData:
    return plugin_data_pb2.HParamsPluginData.FromString(events.PluginTagToContent("hparams")[f"_hparams_/{tag}"])


@pytest.fixture(scope="module")
def events(whole: Finished) -> EventAccumulator:
    return read(whole.root)


def test_the_curves_are_the_metric_lines(whole: Finished, events: EventAccumulator) -> None:
    epochs, test = whole.metrics[:2], whole.metrics[2]
    tags = {
        "loss/train": "train_loss",
        "loss/validation": "validation_loss",
        "accuracy/train": "train_accuracy",
        "accuracy/validation": "validation_accuracy",
        "learning_rate": "learning_rate",
        "epoch_seconds": "epoch_seconds",
    }
    for tag, name in tags.items():
        assert series(events, tag) == [(row["epoch"], float(np.float32(row[name]))) for row in epochs], tag
    best = whole.manifest["provenance"]["best_epoch"]
    tested = {"loss/test": "test_loss", "accuracy/test": "test_accuracy", "macro_f1/test": "test_macro_f1"}
    tested["top5_accuracy/test"] = "test_top5_accuracy"
    for tag, name in tested.items():
        assert series(events, tag) == [(best, float(np.float32(test[name])))], tag
    bests = {"best/validation_accuracy", "best/validation_loss"}
    assert set(events.Tags()["scalars"]) == {*tags, *tested, *bests}
    for tag in bests:
        name = tag.removeprefix("best/")
        assert series(events, tag)[-1] == (2, float(np.float32(whole.manifest["metrics"][name])))


def test_the_hparams_tab_can_compare_the_run(whole: Finished, events: EventAccumulator) -> None:
    given = hparams(events, "session_start_info").session_start_info.hparams
    assert set(given) == set(whole.manifest["provenance"]["hyperparameters"])
    assert (given["epochs"].number_value, given["head"].string_value, given["lr"].number_value) == (2.0, "mlp", 0.001)
    compared = [info.name.tag for info in hparams(events, "experiment").experiment.metric_infos]
    assert len(compared) == 4
    assert set(compared) <= set(events.Tags()["scalars"])
    assert hparams(events, "session_end_info").session_end_info.status == api_pb2.STATUS_SUCCESS


def test_pictures_have_a_tile_for_each_image(whole: Finished, events: EventAccumulator) -> None:
    wrong = sum(not row["correct"] for row in whole.evaluation["predictions"].values())
    # Tiles of 4 x 32 pixels, gaps of 8, 18 for each line of the caption.
    rows = -(-min(wrong, 16) // 4)
    sizes = {"pictures/training": (8 + 4 * 136, 8 + 4 * (128 + 18 + 8))}
    if wrong:
        sizes["mistakes/test"] = (8 + min(wrong, 4) * 136, 8 + rows * (128 + 36 + 8))
    assert set(sizes) <= set(events.Tags()["images"]) <= {*sizes, "mistakes/validation"}
    for tag, size in sizes.items():
        (event,) = events.Images(tag)
        assert (event.width, event.height) == size, tag
        with Image.open(io.BytesIO(event.encoded_image_string)) as picture:
            picture.load()
            assert picture.size == size


def test_off_costs_nothing_and_leaves_nothing_of_an_earlier_job(tmp_path: Path) -> None:
    make_classes(tmp_path / "input" / "data" / "train", 3)
    folder = tmp_path / "output" / "tensorboard"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1700000000.host").write_bytes(b"of an earlier job")
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_card.md").write_text("# Of an earlier job")
    result = train(tmp_path, {"PYTHONPROFILEIMPORTTIME": "1"}, tensorboard="off")
    assert result.code == 0, result.err
    assert [each.name for each in folder.iterdir()] == ["notes.txt"]
    assert "monitor.callbacks" in result.err
    assert "tensorboard" not in result.err.lower()
    assert "earlier" not in (result.model / "model_card.md").read_text()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> list[Finished]:
    """Two jobs of very many epochs, ended after the second by SIGKILL and by SIGTERM."""
    roots = [tmp_path_factory.mktemp(name) for name in ("sigkill", "sigterm")]
    for root in roots:
        make_classes(root / "input" / "data" / "train", 6)
        configure(root, {**QUICK, "epochs": "10000", "tensorboard": "on"})
    results = []
    processes = [start(["train"], root) for root in roots]
    for process, root, number in zip(processes, roots, (signal.SIGKILL, signal.SIGTERM), strict=True):
        metrics = root / "output" / "data" / "metrics.jsonl"
        give_up = time.monotonic() + TIMEOUT_S
        while not (metrics.exists() and metrics.read_text().count("\n") >= 2) and time.monotonic() < give_up:
            time.sleep(0.02)
        process.send_signal(number)
        results.append(finish(process, root))
    assert [result.code for result in results] == [-9, 143], [result.err for result in results]
    return results


def test_sigkill_costs_the_current_epoch_at_most(killed: list[Finished]) -> None:
    rows = killed[0].metrics
    steps = [step for step, _ in series(read(killed[0].root), "loss/validation")]
    assert len(rows) >= 2
    assert steps in ([row["epoch"] for row in rows], [row["epoch"] for row in rows[:-1]])


def test_a_stopped_job_says_so(killed: list[Finished]) -> None:
    events = read(killed[1].root)
    assert hparams(events, "session_end_info").session_end_info.status == api_pb2.STATUS_FAILURE
    epochs = len(json.loads((killed[1].model / "history.json").read_text())["epochs"])
    card = (killed[1].model / "model_card.md").read_text()
    assert f"\n> **Not completed.** A signal stopped this training after {epochs} of 10000 epochs. The weights" in card
    assert "| Completed | no, stopped by a signal |" in card


@pytest.fixture
def run(tmp_path: Path) -> TrainingRun:
    """A run in this process, on three classes of four images each that are test data too."""
    make_classes(tmp_path / "input" / "data" / "train", 4)
    make_classes(tmp_path / "input" / "data" / "test", 4, seed=50)
    paths = MLPaths(tmp_path)
    folder = paths.input_data
    data = load_data(resolve_splits({"train": folder / "train", "test": folder / "test"}), Progress(None))
    chosen, cpu = Hyperparameters(image_size=32, pretrained="none"), torch.device("cpu")
    log = MetricLog(paths.metrics)
    return TrainingRun(paths, chosen, cpu, Preprocess.for_size(32), data, "none", log, Progress(None))


def evaluation(run: TrainingRun, wrong: Sequence[tuple[int, int, float]]) -> Evaluation:
    """All right with certainty but the images `row`, which got class `said` by `margin`."""
    labels = np.array([sample.label for sample in run.data.splits["test"].samples])
    logits = np.eye(3)[labels] * 20.0
    for row, said, margin in wrong:
        logits[row] = 0.0
        logits[row, said] = margin
    return Evaluation(logits, labels)


def test_the_mistakes_are_the_wrong_images_most_confident_first(run: TrainingRun) -> None:
    # Rows 0 to 3 are of class 0, 4 to 7 of class 1, 8 to 11 of class 2.
    result = evaluation(run, [(1, 2, 1.0), (5, 0, 3.0), (10, 0, 2.0)])
    board = TensorBoard(run)
    board.on_evaluation("test", result)
    board.on_job_end(completed=True)
    events = read(run.paths.root)
    (event,) = events.Images("mistakes/test")
    with Image.open(io.BytesIO(event.encoded_image_string)) as picture:
        found = np.asarray(picture.convert("RGB"))
    samples = run.data.splits["test"].samples
    for column, row in enumerate((5, 10, 1)):
        left = 8 + column * 136
        expected = run.preprocess.load(samples[row].encoded()).repeat(4, 0).repeat(4, 1)
        assert np.array_equal(found[8:136, left : left + 128], expected)
    assert series(events, "accuracy/test") == [(0, 0.75)]


def test_no_mistakes_no_picture(run: TrainingRun) -> None:
    board = TensorBoard(run)
    board.on_evaluation("test", evaluation(run, []))
    board.on_job_end(completed=True)
    events = read(run.paths.root)
    assert events.Tags()["images"] == []
    assert series(events, "accuracy/test") == [(0, 1.0)]


def test_a_file_in_the_folders_place_ends_the_board_and_not_the_training(
    run: TrainingRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run.paths.tensorboard.write_text("not a folder")
    network = torch.nn.Linear(1, 1)
    state = TrainState(network, torch.optim.SGD(network.parameters(), lr=0.1), epochs=1, steps_per_epoch=1)
    callbacks = Callbacks([TensorBoard(run)])
    callbacks.train_start(state)
    callbacks.job_end(completed=True)
    said = capsys.readouterr().err
    assert said.count("WARNING: TensorBoard failed and is switched off; training goes on") == 1
    assert "FileExistsError" in said


def row(epoch: int, accuracy: float) -> dict[str, float | int]:
    return {"epoch": epoch, "train_loss": 0.5, "validation_loss": 1.0, "validation_accuracy": accuracy}


def test_a_training_that_goes_on_has_each_epoch_once(run: TrainingRun) -> None:
    network = torch.nn.Linear(1, 1)
    state = TrainState(network, torch.optim.SGD(network.parameters()), 3, 5)
    first = TensorBoard(run)
    first.on_train_start(state)
    for state.epoch, accuracy in ((1, 0.75), (2, 0.25)):
        state.metrics = row(state.epoch, accuracy)
        first.on_epoch_end(state)
    first.file.close()
    # The process was killed after epoch 2 and has a checkpoint of epoch 1; its file is an older one.
    (file,) = run.paths.tensorboard.iterdir()
    file.rename(file.with_name("events.out.tfevents.0000000001.host"))
    state.epoch, state.earlier = 1, [row(1, 0.75)]
    second = TensorBoard(run)
    second.on_train_start(state)
    state.epoch, state.metrics = 2, row(2, 0.5)
    second.on_epoch_end(state)
    second.on_job_end(completed=True)
    events = read(run.paths.root)
    assert series(events, "accuracy/validation") == [(1, 0.75), (2, 0.5)]
    assert series(events, "best/validation_accuracy") == [(1, 0.75), (2, 0.75)]
    assert [event.step for event in events.Images("pictures/training")] == [1]


def test_the_training_pictures_are_what_the_first_epoch_trains_on(run: TrainingRun) -> None:
    images, labels = next(run.loader("train", augmented=True, shuffle=True).epoch(1))
    board = TensorBoard(run)
    tiles = list(board._training_tiles())
    assert len(tiles) == len(images) == 12
    names = ("Affenpinscher", "German shepherd dog", "pug")
    for tile, image, label in zip(tiles, images, labels, strict=True):
        assert np.array_equal(tile.pixels, image.numpy())
        assert tile.caption == ((names[int(label)], BLACK),)


@pytest.mark.parametrize(("size", "side"), [(32, 128), (48, 144), (100, 200), (128, 128), (224, 224), (512, 256)])
def test_small_images_grow_by_whole_factors(size: int, side: int) -> None:
    assert tile_side(size) == side


def test_a_caption_stays_within_its_tile() -> None:
    tiles = [CaptionedImage(np.full((32, 32, 3), 255, np.uint8), (("W" * 200, RED),)) for _ in range(2)]
    sheet = contact_sheet(tiles)
    assert sheet.shape == (8 + 128 + 18 + 8, 8 + 2 * 136, 3)
    ink = (sheet != 255).any(axis=(0, 2))
    assert ink[8:136].any()
    assert not ink[136:144].any()
    assert ink[144:272].any()
    assert not ink[272:].any()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Großer Münsterländer", "Grosser Munsterlander"),
        ("Łódź", "Lodz"),
        ("柴犬", ""),
        ("a\u202eb", ""),
        ("pug", "pug"),
    ],
)
def test_letters_that_the_font_lacks(name: str, shown: str) -> None:
    assert latin(name) == shown


def test_tags_group_the_splits() -> None:
    assert [scalar_tag(name) for name in ("train_loss", "validation_accuracy", "learning_rate", "train")] == [
        *("loss/train", "accuracy/validation", "learning_rate", "train")
    ]
