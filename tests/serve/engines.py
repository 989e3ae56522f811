"""Engines without torch, so that a server starts in a moment, steered by files in the folder $TOY_DIR."""

import os
import threading
import time
from pathlib import Path

import numpy as np

from contract.errors import ArtifactError
from model.artifact import Artifact
from model.forms import OPENVINO_INT8, TORCH
from serve.engines.base import EngineOptions, FloatArray, UInt8Array


def said(word: str) -> bool:
    return (Path(os.environ["TOY_DIR"]) / word).exists()


def wait_while(word: str) -> None:
    while said(word):
        time.sleep(0.01)


class ToyEngine:
    """Three classes, whose probabilities follow the mean red, green and blue of the image's left half."""

    description = "toy"
    max_batch = 8
    max_concurrency = 1
    form = TORCH

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        artifact.verify(self.form)
        wait_while("hold-load")

    def predict(self, images: UInt8Array) -> FloatArray:
        (Path(os.environ["TOY_DIR"]) / "predicting").touch()
        wait_while("hold")
        if said("fail"):
            raise RuntimeError("told to fail, in /secret/place")
        return toy_probabilities(images)


def toy_probabilities(images: UInt8Array) -> FloatArray:
    colours = images[:, :, : images.shape[2] // 2].astype(np.float64).mean((1, 2)) + 1.0
    result: FloatArray = colours / colours.sum(1, keepdims=True)
    return result


class GreyEngine(ToyEngine):
    """The first class is as probable as the left half is bright."""

    def predict(self, images: UInt8Array) -> FloatArray:
        bright = images[:, :, : images.shape[2] // 2].astype(np.float64).mean((1, 2, 3)) / 255
        return np.stack([bright, 1 - bright, np.zeros_like(bright)], axis=1)


class OtherFormEngine(ToyEngine):
    form = OPENVINO_INT8


class NotANumberEngine(ToyEngine):
    def predict(self, images: UInt8Array) -> FloatArray:
        return np.full((len(images), 3), np.nan)


def unloadable(artifact: Artifact, options: EngineOptions) -> ToyEngine:
    raise MemoryError("no room for the network")


def unfit(artifact: Artifact, options: EngineOptions) -> ToyEngine:
    raise ArtifactError("the weights don't fit; train again")


class TwoThreadsEngine(ToyEngine):
    """Predicts on two threads at once, and leaves a note of which and how many images. Whoever finds the file
    hold-one first is held.
    """

    max_concurrency = 2
    max_batch = 2

    def predict(self, images: UInt8Array) -> FloatArray:
        folder = Path(os.environ["TOY_DIR"])
        (folder / f"thread-{threading.get_native_id()}-{len(images)}").touch()
        if said("hold-one") and not said("held"):
            (folder / "held").touch()
            wait_while("hold-one")
        return super().predict(images)
