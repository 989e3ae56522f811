"""OpenVINO's network -> int8 weights and activations, by NNCF's post-training quantization."""

import io
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from model._openvino import openvino
from model.preprocess import UInt8Array
from train.data.dataset import Sample
from train.export.convert import INPUT

# A third of NNCF's default: 300 take twice the time for the same logits (docs/training.md).
CALIBRATION_IMAGES: Final = 100


def choose_calibration(samples: Sequence[Sample], count: int, seed: int) -> list[int]:
    """Indices of up to `count` samples, spread over the classes as evenly as their sizes allow.

    Each class's images are shuffled by (seed, class) and one of each class is taken in turn.
    """
    by_class: dict[int, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        by_class[sample.label].append(index)
    shuffled = []
    for label, indices in sorted(by_class.items()):
        order = np.random.default_rng((seed, label)).permutation(len(indices))
        shuffled.append([indices[i] for i in order])
    turns = zip_longest(*shuffled)
    return [index for turn in turns for index in turn if index is not None][:count]


def quantize(model: Any, load: Callable[[int], UInt8Array], indices: Sequence[int], threads: int) -> Any:
    """A quantized copy of an openvino.Model, calibrated on the images that `load` returns for `indices`.

    load: index -> uint8 (H, W, 3). One image is in memory at a time.
    """
    with limited_threads(threads), _quiet():
        # Here, because importing it takes a second and prints.
        import nncf

        nncf.set_log_level(logging.ERROR)
        data = nncf.Dataset(list(indices), lambda index: {INPUT: load(index)[None]})
        return nncf.quantize(
            model,
            data,
            subset_size=len(indices),
            target_device=nncf.TargetDevice.CPU,
            advanced_parameters=_close_to_float(nncf),
        )


def _close_to_float(nncf: Any) -> Any:
    """NNCF's settings with two changes that keep int8's logits eight times as close (docs/training.md has figures).

    An activation's range is its range over all images, not the mean of each image's, which would cut off outliers, by
    which a ResNet's last layers distinguish classes. And no bias correction: it can't restore what was cut off, takes
    as long as everything else, and moved the logits further from torch's.
    """
    return nncf.AdvancedQuantizationParameters(
        disable_bias_correction=True,
        activations_range_estimator_params=nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX,
    )


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Inside, everything that OpenVINO compiles for the CPU uses this many threads.

    NNCF compiles without a number of threads, and OpenVINO then takes all cores, even beyond a container's quota;
    there is no setting for the whole process.
    """
    kind = type(openvino.Core())
    plain = kind.compile_model

    def compile_model(core: Any, model: Any, device_name: Any = None, config: Any = None, **others: Any) -> Any:
        return plain(core, model, device_name, {"INFERENCE_NUM_THREADS": threads, **(config or {})}, **others)

    kind.compile_model = compile_model
    try:
        yield
    finally:
        kind.compile_model = plain


@contextmanager
def _quiet() -> Iterator[None]:
    # NNCF's progress bars look up stdout when they draw; there is no switch for them.
    with redirect_stdout(io.StringIO()):
        yield
