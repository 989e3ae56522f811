"""After training: make the forms for serving, measure them, add them to the artifact, and choose the default."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model import artifact
from model.forms import (
    FILES,
    GRAPHS,
    MAX_LOSS_POINTS,
    OPENVINO,
    OPENVINO_INT8,
    TORCH,
    Form,
    FormFile,
    Score,
    may_replace,
    points_lost,
)
from model.machine import available_cpus
from model.network import Classifier
from model.preprocess import UInt8Array
from train.context import TrainingRun

# As train.export.quantize.quantize: (model, load, indices, threads) -> quantized model.
Quantize = Callable[[Any, Callable[[int], UInt8Array], Sequence[int], int], Any]
Scores = dict[str, dict[str, Score | None]]  # by form and precision


def add_forms(run: TrainingRun, network: Classifier, quantize: Quantize | None = None) -> None:
    """Add the forms that `export` asks for to the artifact, which has been written with this network's weights.

    quantize: instead of NNCF's. A fault here leaves the artifact as it is, without forms; the log and `forms_error` in
    the manifest then hold the reason.
    """
    folder = run.paths.model
    try:
        # Beside the artifact: there is room for it, and moving a file into place is a rename.
        with tempfile.TemporaryDirectory(prefix=artifact.STAGING_PREFIX, dir=folder) as staging:
            forms, default = _make(run, network, Path(staging), quantize)
            artifact.add_forms(folder, forms, default, Path(staging))
    except Exception as error:  # noqa: BLE001 - another library's fault must not cost the trained network
        reason = f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"
        print(
            f"WARNING: the forms for serving can't be made, the artifact has torch's alone: {reason}",
            file=sys.stderr,
            flush=True,
        )
        with contextlib.suppress(OSError):
            artifact.note_forms_error(folder, reason)


def _make(
    run: TrainingRun, network: Classifier, staging: Path, quantize: Quantize | None
) -> tuple[dict[str, Form], str]:
    """The forms, with their files in `staging`, and the name of the default form."""
    # OpenVINO and NNCF take seconds to import, and the import may fail: here `add_forms` catches that.
    from train.export.convert import fresh_copy
    from train.export.measure import no_bf16

    hyperparameters = run.hyperparameters
    copy = fresh_copy(
        network, hyperparameters.architecture, hyperparameters.head, len(run.data.classes), run.preprocess
    )
    names = _write(run, copy, staging, quantize)
    reason = no_bf16()
    scores = _measure(run, copy, [(name, staging / GRAPHS[name]) for name in names], reason is None)
    forms = {TORCH: Form(validation=scores[TORCH])}
    for name in names:
        paths = {file: staging / file for file in FILES[name]}
        files = {file: FormFile(artifact.sha256(path), path.stat().st_size) for file, path in paths.items()}
        forms[name] = Form(files, scores[name], {} if reason is None else {"bf16": reason})
    default = _choose(scores)
    print(f"forms: {default} is the default for serving", flush=True)
    return forms, default


def _write(run: TrainingRun, network: Classifier, staging: Path, quantize: Quantize | None) -> list[str]:
    from train.export import convert
    from train.export import quantize as nncf_way

    start = time.monotonic()
    size = run.preprocess.image_size
    convert.save(convert.convert(network, size), staging / GRAPHS[OPENVINO])
    print(f"forms: converted to OpenVINO in {time.monotonic() - start:.1f} s", flush=True)
    if run.hyperparameters.export == "openvino":
        return [OPENVINO]
    start = time.monotonic()
    samples = run.data.splits["train"].samples
    indices = nncf_way.choose_calibration(samples, nncf_way.CALIBRATION_IMAGES, run.hyperparameters.seed)
    done = 0

    def load(index: int) -> UInt8Array:
        nonlocal done
        done = min(done + 1, len(indices))
        run.progress.update("quantizing", done, len(indices), "images")
        return run.preprocess.load(samples[index].encoded())

    way = quantize or nncf_way.quantize
    # Read again: quantizing changes the model.
    model = convert.read(staging / GRAPHS[OPENVINO])
    convert.save(way(model, load, indices, available_cpus()), staging / GRAPHS[OPENVINO_INT8])
    seconds = time.monotonic() - start
    print(f"forms: quantized to int8 on {len(indices)} training images in {seconds:.1f} s", flush=True)
    return [OPENVINO, OPENVINO_INT8]


def _measure(run: TrainingRun, network: Classifier, graphs: Sequence[tuple[str, Path]], bf16: bool) -> Scores:
    from train.export.measure import Key, Predict, measure, openvino_form, torch_form

    start = time.monotonic()
    predict: dict[Key, Predict] = {(TORCH, "f32"): torch_form(network.to(run.device), run.device)}
    for name, graph in graphs:
        for precision in ("f32", "bf16") if bf16 else ("f32",):
            predict[name, precision] = openvino_form(graph, precision, available_cpus())
    total = len(run.data.splits["valid"].samples)
    measured = measure(
        predict,
        run.loader("valid").epoch(0),
        lambda done: run.progress.update("measuring forms", done, total, "images"),
    )
    print(f"forms: measured on {total} validation images in {time.monotonic() - start:.1f} s", flush=True)
    scores: Scores = {TORCH: {}} | {name: {"f32": None, "bf16": None} for name, _ in graphs}
    for (name, precision), score in measured.items():
        scores[name][precision] = score
        print(f"forms: {name} in {precision}: {_describe(score, measured[TORCH, 'f32'])}", flush=True)
    return scores


def _describe(score: Score, reference: Score) -> str:
    lost = float(points_lost(reference.correct, score.correct, score.n))
    loss = "no number" if score.loss is None else f"{score.loss:.4f}"
    return f"{score.correct} of {score.n} right, {lost:+.2f} points lost to torch, loss {loss}"


def _choose(scores: Scores) -> str:
    """The default form: int8 when it loses at most half a point in every precision that it ran in."""
    counts = {name: [score for score in of.values() if score is not None] for name, of in scores.items()}
    (reference,) = counts[TORCH]
    plain = scores[OPENVINO]["f32"]
    if plain is None or not may_replace(reference.correct, plain.correct, reference.n):
        raise RuntimeError(
            f"the converted network loses more than {float(MAX_LOSS_POINTS)} points of accuracy, so it isn't the same"
        )
    int8 = min((score.correct for score in counts.get(OPENVINO_INT8, [])), default=None)
    return choose_default(reference.correct, int8, reference.n)


def choose_default(reference: int, int8: int | None, n: int) -> str:
    """The form to serve: int8 unless it loses too much or isn't there (None)."""
    return OPENVINO_INT8 if int8 is not None and may_replace(reference, int8, n) else OPENVINO
