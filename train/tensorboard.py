"""TensorBoard's event files: curves, hyperparameters and a few pictures of a training run.

Written with tensorboardX's records, but not its SummaryWriter, which passes events to a thread and whose `flush`
doesn't wait for them. Here a record is in the file when `flush` returns, so a kill costs the current epoch at most.
"""

import itertools
import math
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model._stand_in import boto3_on_demand
from model.labels import readable_labels
from model.metrics import Evaluation
from model.preprocess import UInt8Array
from monitor.callbacks import Callback, TrainState
from train.context import TrainingRun
from train.finish import metrics_of_test

with boto3_on_demand():
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.api_pb2 import Status
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboardX.summary import hparams, image, scalar

COLUMNS: Final = 4
GAP: Final = 8  # pixels around each tile
LINE: Final = 18  # a caption line's height in pixels
_FONT_SIZE: Final = 14
_SMALLEST, _LARGEST = 128, 256
BLACK: Final = (24, 24, 24)
RED: Final = (178, 24, 24)

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class CaptionedImage:
    """pixels: uint8 (H, W, 3), square, the same size in all tiles of a sheet. caption: lines of (text, colour)."""

    pixels: UInt8Array
    caption: tuple[tuple[str, Colour], ...]


def contact_sheet(tiles: Sequence[CaptionedImage]) -> UInt8Array:
    """The tiles on white, four a row. Returns uint8 (height, width, 3); see `sheet_size`."""
    side = tile_side(len(tiles[0].pixels))
    lines = max(len(tile.caption) for tile in tiles)
    sheet = Image.new("RGB", sheet_size(len(tiles), side, lines), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        left = GAP + column * (side + GAP)
        top = GAP + row * (side + lines * LINE + GAP)
        # Whole multiples of small images keep their pixels visible: that is what the network sees.
        method = Image.Resampling.NEAREST if side >= len(tile.pixels) else Image.Resampling.LANCZOS
        sheet.paste(Image.fromarray(tile.pixels).resize((side, side), method), (left, top))
        for line, (text, colour) in enumerate(tile.caption):
            draw.text((left, top + side + line * LINE + 1), _fitted(text, side, font), colour, font)
    return np.asarray(sheet)


def tile_side(size: int) -> int:
    """Pixels that an image of `size` pixels gets: itself, a multiple of at least 128, or 256 for larger ones."""
    return min(_LARGEST, size * math.ceil(_SMALLEST / size))


def sheet_size(count: int, side: int, lines: int) -> tuple[int, int]:
    """(width, height) in pixels of a sheet of `count` tiles, each `side` wide with `lines` of caption."""
    columns, rows = min(count, COLUMNS), math.ceil(count / COLUMNS)
    return GAP + columns * (side + GAP), GAP + rows * (side + lines * LINE + GAP)


def _fitted(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """`text`, cut with dots where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


PICTURES: Final = 16  # at most, on one sheet
# What the HPARAMS tab compares runs by.
COMPARED: Final = ("best/validation_accuracy", "best/validation_loss", "accuracy/test", "loss/test")
_SPLITS = ("train", "validation", "test")


def scalar_tag(metric: str) -> str:
    """`train_loss` -> `loss/train`, so that TensorBoard draws the splits' curves side by side; others unchanged."""
    split, _, quantity = metric.partition("_")
    return f"{quantity}/{split}" if split in _SPLITS and quantity else metric


class EventFile:
    """One event file, `events.out.tfevents.SECONDS.HOST`, in `folder`, which is made. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"))

    def scalars(self, values: Mapping[str, float | int], step: int) -> None:
        for tag, value in values.items():
            self._write(scalar(tag, value), step)

    def picture(self, tag: str, pixels: UInt8Array, step: int) -> None:
        """pixels: uint8 (H, W, 3); stored as PNG."""
        self._write(image(tag, pixels, dataformats="HWC"), step)

    def restart(self, step: int) -> None:
        """Let TensorBoard ignore what other files in the folder hold from this step on."""
        log = SessionLog(status=SessionLog.SessionStatus.Value("START"))
        self._writer.write_event(Event(session_log=log, step=step, wall_time=time.time()))

    def session_start(self, hyperparameters: Mapping[str, Any]) -> None:
        """What the HPARAMS tab needs of a run: its hyperparameters, and the tags of COMPARED."""
        experiment, start, _ = hparams(dict(hyperparameters), dict.fromkeys(COMPARED))
        self._write(experiment, 0)
        self._write(start, 0)

    def session_end(self, completed: bool) -> None:
        """How the run ended; tensorboardX itself knows successful sessions alone."""
        status = Status.Value("STATUS_SUCCESS" if completed else "STATUS_FAILURE")
        content = HParamsPluginData(
            session_end_info=SessionEndInfo(status=status, end_time_secs=time.time()), version=0
        )
        plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content.SerializeToString())
        value = Summary.Value(tag="_hparams_/session_end_info", metadata=SummaryMetadata(plugin_data=plugin))
        self._write(Summary(value=[value]), 0)

    def _write(self, summary: Summary, step: int) -> None:
        self._writer.write_event(Event(summary=summary, step=step, wall_time=time.time()))

    def flush(self) -> None:
        """Returns when all records are on the disk."""
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class TensorBoard(Callback):
    """Logs one run. Steps are epochs; evaluations and their pictures belong to the best one."""

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        self._best: tuple[float, float] | None = None
        self._best_epoch = 0

    @cached_property
    def file(self) -> EventFile:
        """The event file, opened when it is first needed."""
        return EventFile(self._run.paths.tensorboard)

    def on_train_start(self, state: TrainState) -> None:
        if state.earlier:
            # SageMaker keeps the earlier process's events in S3, maybe of an epoch that is trained again.
            self.file.restart(1)
        self.file.session_start(asdict(self._run.hyperparameters))
        self.file.picture("pictures/training", contact_sheet(list(self._training_tiles())), 1)
        for metrics in state.earlier:
            self._add(metrics)
        self.file.flush()

    def on_epoch_end(self, state: TrainState) -> None:
        self._add(state.metrics)
        self.file.flush()

    def _add(self, metrics: Mapping[str, float | int]) -> None:
        epoch = int(metrics["epoch"])
        values = {scalar_tag(name): value for name, value in metrics.items() if name != "epoch"}
        accuracy, loss = metrics["validation_accuracy"], metrics["validation_loss"]
        if self._best is None or (accuracy, -loss) > self._best:
            self._best, self._best_epoch = (accuracy, -loss), epoch
        best = {"best/validation_accuracy": self._best[0], "best/validation_loss": -self._best[1]}
        self.file.scalars({**values, **best}, epoch)

    def on_evaluation(self, split: str, evaluation: Evaluation) -> None:
        tag = "validation" if split == "valid" else split
        if split == "test":
            metrics = {scalar_tag(name): value for name, value in metrics_of_test(evaluation).items()}
            self.file.scalars(metrics, self._best_epoch)
        if tiles := list(self._mistakes(split, evaluation)):
            self.file.picture(f"mistakes/{tag}", contact_sheet(tiles), self._best_epoch)
        self.file.flush()

    def on_job_end(self, completed: bool) -> None:
        self.file.session_end(completed)
        self.file.close()

    def _training_tiles(self) -> Iterator[CaptionedImage]:
        """The first images of the first epoch, cropped and turned as training gets them, with their classes."""
        keys = itertools.chain.from_iterable(self._run.order("train", shuffle=True).batches(1))
        images = self._run.images("train", augmented=True)
        for key in itertools.islice(keys, PICTURES):
            pixels, label = images[key]
            yield CaptionedImage(pixels, ((self._caption(label), BLACK),))

    def _mistakes(self, split: str, evaluation: Evaluation) -> Iterator[CaptionedImage]:
        """The wrongly classified images, the most confident first."""
        wrong = np.flatnonzero(evaluation.predictions != evaluation.labels)
        confidence = evaluation.probabilities[wrong, evaluation.predictions[wrong]]
        images = self._run.images(split, augmented=False)
        # Stable, so that the choice among equals doesn't change from run to run.
        for row in wrong[np.argsort(-confidence, kind="stable")][:PICTURES]:
            pixels, truth = images[(0, int(row), 0)]
            predicted = int(evaluation.predictions[row])
            percent = f"{100 * evaluation.probabilities[row, predicted]:.0f}%"
            yield CaptionedImage(
                pixels, ((f"{percent} {self._caption(predicted)}", RED), (f"is {self._caption(truth)}", BLACK))
            )

    def _caption(self, label: int) -> str:
        return latin(readable_labels(self._run.data.classes)[label]) or f"class {label}"


def latin(name: str) -> str:
    """`name` in ASCII, which is all that Pillow's own font has: without accents; empty where that can't be."""
    plain = unicodedata.normalize("NFKD", name.translate(_PLAIN))
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return letters if letters.isascii() and letters.isprintable() else ""


# Letters that Unicode doesn't decompose.
_PLAIN = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ł": "l", "Ł": "L"})
