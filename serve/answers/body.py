"""Probabilities -> an answer's body, in the form that was asked for."""

import io
from collections.abc import Sequence

import numpy as np

from model.artifact import Artifact
from serve import codec
from serve.engines.base import FloatArray
from serve.media_types import CSV, JSON_LINES, LIST, NPY, PREDICTIONS, Offer
from serve.options import Options


def encode(
    probabilities: FloatArray,
    artifact: Artifact,
    offer: Offer,
    options: Options,
    *,
    one: bool = True,
    files: Sequence[str] | None = None,
) -> bytes:
    """The answer's body. probabilities: shape (N, classes), in the images' order.

    one: the request was an image, not a list of them: JSON's predictions and probabilities are then its alone. files:
    the images' names.
    """
    if offer == NPY:
        stream = io.BytesIO()
        np.save(stream, probabilities, allow_pickle=False)
        return stream.getvalue()
    if offer in (PREDICTIONS, JSON_LINES):
        found = [codec.top_predictions(row, artifact, options.top_k, options.threshold) for row in probabilities]
        if offer == PREDICTIONS:
            named = {} if files is None else {"files": list(files)}
            return codec.dump_json({"predictions": found[0] if one else found, **named})
        names = [{}] * len(found) if files is None else [{"file": file} for file in files]
        return b"".join(codec.dump_json({**name, "predictions": each}) for name, each in zip(names, found, strict=True))
    rows = _rows(probabilities)
    if offer == CSV:
        return ("\n".join(rows) + "\n").encode()
    lists = ", ".join(f"[{row}]" for row in rows)
    return (f"[{lists}]\n" if offer == LIST or not one else f"{lists}\n").encode()


def _rows(probabilities: FloatArray) -> list[str]:
    """Each image's probabilities with nine significant digits: all that float32 arithmetic has, and half the bytes."""
    form = ",".join(["%.9g"] * probabilities.shape[1])
    return [form % tuple(row) for row in probabilities.tolist()]
