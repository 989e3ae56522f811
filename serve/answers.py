"""Probabilities -> an answer's body, in the form that was asked for, and headers with how long its parts took."""

import io
from collections.abc import Mapping, Sequence

import numpy as np

from model.artifact import Artifact
from serve import codec
from serve.engines.base import FloatArray
from serve.media_types import CSV, JSON_LINES, LIST, NPY, PREDICTIONS, ResponseFormat
from serve.options import ATTRIBUTES, Options


def encode(
    probabilities: FloatArray,
    artifact: Artifact,
    response_format: ResponseFormat,
    options: Options,
    *,
    one: bool = True,
    files: Sequence[str] | None = None,
) -> bytes:
    """The answer's body. probabilities: shape (N, classes), in the images' order.

    one: the request was an image, not a list of them: JSON's predictions and probabilities are then its alone. files:
    the images' names.
    """
    if response_format == NPY:
        stream = io.BytesIO()
        np.save(stream, probabilities, allow_pickle=False)
        return stream.getvalue()
    if response_format in (PREDICTIONS, JSON_LINES):
        predictions = [codec.top_predictions(row, artifact, options.top_k, options.threshold) for row in probabilities]
        if response_format == PREDICTIONS:
            named = {} if files is None else {"files": list(files)}
            return codec.dump_json({"predictions": predictions[0] if one else predictions, **named})
        names = [{}] * len(predictions) if files is None else [{"file": file} for file in files]
        return b"".join(
            codec.dump_json({**name, "predictions": best}) for name, best in zip(names, predictions, strict=True)
        )
    rows = _rows(probabilities)
    if response_format == CSV:
        return ("\n".join(rows) + "\n").encode()
    lists = ", ".join(f"[{row}]" for row in rows)
    return (f"[{lists}]\n" if response_format == LIST or not one else f"{lists}\n").encode()


def _rows(probabilities: FloatArray) -> list[str]:
    """Each image's probabilities with nine significant digits: all that float32 arithmetic has, and half the bytes."""
    form = ",".join(["%.9g"] * probabilities.shape[1])
    return [form % tuple(row) for row in probabilities.tolist()]


def headers(
    artifact_id: str, response_format: ResponseFormat, decode_s: float, predict_s: float, total_s: float
) -> Mapping[str, str]:
    """The form of the answer, which weights gave it, and the milliseconds that it took; waiting for a turn counts.

    SageMaker passes on one header alone, so that one has all of it too.
    """
    decode, predict, total = 1000 * decode_s, 1000 * predict_s, 1000 * total_s
    suffix = "; charset=utf-8" if response_format.media_type.startswith("text/") else ""
    return {
        "Content-Type": response_format.media_type + suffix,
        "Vary": "Accept",
        "X-Kennel-Artifact": artifact_id,
        "Server-Timing": f"decode;dur={decode:.1f}, predict;dur={predict:.1f}, total;dur={total:.1f}",
        ATTRIBUTES: f"artifact={artifact_id},decode_ms={decode:.1f},predict_ms={predict:.1f},total_ms={total:.1f}",
    }
