"""POST /invocations: a request's images in, their probabilities out."""

import io
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from contract.errors import ImageError
from model.artifact import Artifact
from model.preprocess import Preprocess
from serve import codec, media_types
from serve.batching import Admission
from serve.bodies import batch as batches
from serve.bodies.base64_json import read_json, read_json_lines
from serve.bodies.batch import Batch
from serve.bodies.multipart import read_form
from serve.bodies.npy import read_npy
from serve.engines.base import FloatArray, UInt8Array
from serve.errors import Reply, RequestError, error_response
from serve.log import log_request
from serve.media_types import BodyKind, ResponseFormat, body_kind, content_type_fault, negotiate
from serve.model_host import ModelHost
from serve.options import ATTRIBUTES, Options, read_options
from serve.settings import ServeSettings

PATH: Final = "/invocations"
_IMAGE: Final = Batch((), one=True)
_READERS: Final = {BodyKind.JSON: read_json, BodyKind.JSON_LINES: read_json_lines, BodyKind.NPY: read_npy}
# How bodies begin that may have lost their label.
_STARTS: Final = ((b"{", BodyKind.JSON), (b"--", BodyKind.MULTIPART), (b"\x93NUMPY", BodyKind.NPY))
# The image's own fault, and not the server's or the caller's.
_IMAGE_FAULTS: Final = frozenset((400, 413, 415))


class Invocations:
    """Answers requests, each in the thread that calls; several images of one are decoded by a few more."""

    def __init__(self, host: ModelHost, settings: ServeSettings) -> None:
        self._host = host
        self._settings = settings
        self.admission = Admission(settings.max_waiting, settings.threads)
        self._pool = ThreadPoolExecutor(settings.threads, "decoder")

    def reply(self, environ: Mapping[str, Any]) -> Reply:
        """The response to the request that a WSGI environment describes, errors included; it is logged. Raises nothing.

        Its status is 200 for bad images, too, in a transform job that is to go on after them.
        """
        started = time.monotonic()
        try:
            reply = self._answer(environ, started)
        except Exception as error:  # noqa: BLE001 - answered and logged
            reply = error_response(error, "POST", PATH)
        log_request("POST", PATH, reply.code, started, reply.fault)
        goes_on = reply.code in _IMAGE_FAULTS and self._settings.batch and self._settings.batch_errors == "answer"
        return reply._replace(code=200) if goes_on else reply

    def _answer(self, environ: Mapping[str, Any], started: float) -> Reply:
        """Raises RequestError, ImageError."""
        content_type = environ.get("CONTENT_TYPE") or ""
        kind = body_kind(content_type)
        if kind is None:
            raise RequestError(415, content_type_fault(content_type))
        options = _options(environ)
        response_format = self._response_format(environ, options)
        with self.admission.slot() as acquire:
            artifact = self._host.model.artifact
            body = _read_body(environ, self._settings.max_payload_bytes)
            received = time.monotonic()
            if kind is BodyKind.IMAGE:
                batch = _IMAGE
                with self.admission.decoding():
                    images = _load_image(body, artifact.preprocess)
            else:
                batch = self._split(kind, content_type, body)
                acquire(len(batch.items) - 1)
                images = batches.load(batch, artifact.preprocess, self.admission, self._pool)
            if batch.fields:
                options = _options(environ, batch.fields)
                response_format = self._response_format(environ, options)
            decoded = time.monotonic()
            probabilities = self._host.predict(images)
            predicted = time.monotonic()
            text = _encode(probabilities, artifact, response_format, options, batch)
        headers = _headers(
            artifact.id, response_format, decoded - received, predicted - decoded, time.monotonic() - started
        )
        return Reply(200, headers, text)

    def _split(self, kind: BodyKind, content_type: str, body: bytes) -> Batch:
        # That copies the body, so as few do it at once as decode.
        with self.admission.decoding():
            if kind is BodyKind.MULTIPART:
                return read_form(body, content_type, self._settings.max_images)
            return _READERS[kind](body, self._settings.max_images)

    def _response_format(self, environ: Mapping[str, Any], options: Options) -> ResponseFormat:
        if options.format:
            return options.format
        accept = environ.get("HTTP_ACCEPT")
        response_format = negotiate(accept, self._settings.default_accept)
        if response_format is None:
            forms = ", ".join(map(str, media_types.RESPONSE_FORMATS))
            raise RequestError(406, f"Accept {str(accept)[:100]!r} can't be met; the answer's forms are {forms}")
        return response_format


def _options(environ: Mapping[str, Any], fields: Mapping[str, str] | None = None) -> Options:
    attributes = environ.get("HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES", "")
    return read_options(environ.get("QUERY_STRING", ""), attributes, fields)


def _load_image(body: bytes, preprocess: Preprocess) -> UInt8Array:
    """A body that is one image, as uint8 (1, image_size, image_size, 3). Raises ImageError."""
    try:
        return codec.decode(body, preprocess)[np.newaxis]
    except ImageError as error:
        for start, kind in _STARTS:
            if body.startswith(start):
                raise type(error)(f"{error}; if it holds images, label it Content-Type: {kind.value}") from error
        raise


def _read_body(environ: Mapping[str, Any], limit: int) -> bytes:
    """The request's body. Raises RequestError: 413 above `limit` bytes, 400 when it ends early, 408 when it stops
    coming.
    """
    # None for a body in chunks.
    length = None if environ.get("HTTP_TRANSFER_ENCODING") else int(environ.get("CONTENT_LENGTH") or 0)
    if length is not None and length > limit:
        raise _too_large(length, limit)
    try:
        body: bytes = environ["wsgi.input"].read(limit + 1 if length is None else length)
    except (TimeoutError, BlockingIOError) as error:
        raise RequestError(408, "the request body stopped coming; send it again") from error
    except Exception as error:
        # The server's parser has exceptions of its own for malformed chunks; the body is at fault.
        raise RequestError(400, "the request body ended early, or its chunks are malformed") from error
    if len(body) > limit:
        raise _too_large(length, limit)
    if length is not None and len(body) < length:
        raise RequestError(400, f"the request body ended after {len(body)} of {length} bytes; send it again")
    return body


def _too_large(length: int | None, limit: int) -> RequestError:
    has = "" if length is None else f" (it has {length})"
    return RequestError(
        413,
        f"the request body is larger than the limit of {limit} bytes{has}; send the image smaller, or fewer at once, "
        "or raise SAGEMAKER_MAX_PAYLOAD_IN_MB",
    )


def _encode(
    probabilities: FloatArray, artifact: Artifact, response_format: ResponseFormat, options: Options, batch: Batch
) -> bytes:
    """The answer's body: a list for a list of images. probabilities: shape (N, classes), in the images' order."""
    if response_format == media_types.NPY:
        stream = io.BytesIO()
        np.save(stream, probabilities, allow_pickle=False)
        return stream.getvalue()
    if response_format in (media_types.PREDICTIONS, media_types.JSON_LINES):
        predictions = [codec.top_predictions(row, artifact, options.top_k, options.threshold) for row in probabilities]
        if response_format == media_types.PREDICTIONS:
            named = {} if batch.files is None else {"files": list(batch.files)}
            return codec.dump_json({"predictions": predictions[0] if batch.one else predictions, **named})
        names = [{}] * len(predictions) if batch.files is None else [{"file": file} for file in batch.files]
        return b"".join(
            codec.dump_json({**name, "predictions": best}) for name, best in zip(names, predictions, strict=True)
        )
    rows = _rows(probabilities)
    if response_format == media_types.CSV:
        return ("\n".join(rows) + "\n").encode()
    lists = ", ".join(f"[{row}]" for row in rows)
    return (f"[{lists}]\n" if response_format == media_types.LIST or not batch.one else f"{lists}\n").encode()


def _rows(probabilities: FloatArray) -> list[str]:
    """Each image's probabilities with nine significant digits: all that float32 arithmetic has, and half the bytes."""
    form = ",".join(["%.9g"] * probabilities.shape[1])
    return [form % tuple(row) for row in probabilities.tolist()]


def _headers(
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
