"""The forms for serving of a ResNet-18: seconds to make them, and what float16 weights would change."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import compare, print_facts
from model._openvino import openvino
from model.machine import available_cpus
from model.network import Classifier, build
from model.preprocess import IMAGENET_MEAN, IMAGENET_STD
from model.threads import use_threads
from train.export import convert
from train.export.measure import openvino_form, torch_form
from train.export.quantize import CALIBRATION_IMAGES, quantize


def main() -> None:
    """Compare storing weights as float32 and float16 (loading, size, answers); time the steps at two sizes."""
    print_facts("openvino", "nncf", "torch")
    use_threads(available_cpus())
    torch.manual_seed(0)
    network = build("resnet18", "linear", 133, IMAGENET_MEAN, IMAGENET_STD).eval()
    with tempfile.TemporaryDirectory() as folder:
        for size in (64, 224):
            _steps(network, Path(folder), size)
        _weights(network, Path(folder), 224)


def _steps(network: Classifier, folder: Path, size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (CALIBRATION_IMAGES, size, size, 3), dtype=np.uint8)
    start = time.perf_counter()
    convert.save(convert.convert(network, size), folder / "plain.xml")
    converted = time.perf_counter()
    model = quantize(
        convert.read(folder / "plain.xml"), lambda index: images[index], range(len(images)), available_cpus()
    )
    quantized = time.perf_counter()
    convert.save(model, folder / "int8.xml")
    print(
        f"{size} px: conversion {converted - start:.1f} s, quantization on {len(images)} images already decoded "
        f"{quantized - converted:.1f} s (n = 1; the first one imports NNCF)"
    )


def _weights(network: Classifier, folder: Path, size: int) -> None:
    model = convert.convert(network, size)
    graphs = {}
    for name, half in (("float32", False), ("float16", True)):
        graphs[name] = folder / f"{name}.xml"
        openvino.save_model(model, graphs[name], compress_to_fp16=half)
    compare(
        "loading",
        {
            "float32 weights": lambda: openvino_form(graphs["float32"], "f32", available_cpus()),
            "float16 weights": lambda: openvino_form(graphs["float16"], "f32", available_cpus()),
        },
        rounds=5,
        calls=1,
    )
    images = torch.randint(0, 256, (8, size, size, 3), dtype=torch.uint8)
    expected = torch_form(network, torch.device("cpu"))(images)
    for name, graph in graphs.items():
        difference = np.abs(openvino_form(graph, "f32", available_cpus())(images) - expected).max()
        megabytes = graph.with_suffix(".bin").stat().st_size / 1e6
        print(
            f"  {name}: {megabytes:.1f} MB, logits differ by {difference / np.abs(expected).max():.1e} of the largest"
        )
