"""POST /invocations: a request's images in, their probabilities out."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from serve import answers
from serve.batching import Admission
from serve.bodies import batch as batches
from serve.bodies.batch import Batch
from serve.bodies.reader import load_image, read_batch, read_body
from serve.errors import Reply, RequestError
from serve.media_types import RESPONSE_FORMATS, BodyKind, ResponseFormat, body_kind, content_type_fault, negotiate
from serve.model_host import ModelHost
from serve.options import Options, read_options
from serve.settings import ServeSettings

_IMAGE = Batch((), one=True)


class Invocations:
    """Answers requests, each in the thread that calls; several images of one are decoded by a few more."""

    def __init__(self, host: ModelHost, settings: ServeSettings, admission: Admission, decoders: int) -> None:
        self._host = host
        self._settings = settings
        self._admission = admission
        self._pool = ThreadPoolExecutor(decoders, "decoder")

    def answer(self, environ: Mapping[str, Any]) -> Reply:
        """The answer to the request that a WSGI environment describes. Raises RequestError, ImageError."""
        started = time.monotonic()
        content_type = environ.get("CONTENT_TYPE") or ""
        kind = body_kind(content_type)
        if kind is None:
            raise RequestError(415, content_type_fault(content_type))
        options = _options(environ)
        response_format = self._response_format(environ, options)
        with self._admission.slot() as acquire:
            artifact = self._host.model.artifact
            body = read_body(environ["wsgi.input"], _length(environ), self._settings.max_payload_bytes)
            received = time.monotonic()
            if kind is BodyKind.IMAGE:
                batch = _IMAGE
                with self._admission.decoding():
                    images = load_image(body, artifact.preprocess)
            else:
                batch = self._split(kind, content_type, body)
                acquire(len(batch.items) - 1)
                images = batches.load(batch, artifact.preprocess, self._admission, self._pool)
            if batch.fields:
                options = _options(environ, batch.fields)
                response_format = self._response_format(environ, options)
            decoded = time.monotonic()
            probabilities = self._host.predict(images)
            predicted = time.monotonic()
            text = answers.encode(probabilities, artifact, response_format, options, one=batch.one, files=batch.files)
        headers = answers.headers(
            artifact.id, response_format, decoded - received, predicted - decoded, time.monotonic() - started
        )
        return Reply(200, headers, text)

    def _split(self, kind: BodyKind, content_type: str, body: bytes) -> Batch:
        # That copies the body, so as few do it at once as decode.
        with self._admission.decoding():
            return read_batch(kind, content_type, body, self._settings.max_images)

    def _response_format(self, environ: Mapping[str, Any], options: Options) -> ResponseFormat:
        if options.format:
            return options.format
        accept = environ.get("HTTP_ACCEPT")
        response_format = negotiate(accept, self._settings.default_accept)
        if response_format is None:
            forms = ", ".join(map(str, RESPONSE_FORMATS))
            raise RequestError(406, f"Accept {str(accept)[:100]!r} can't be met; the answer's forms are {forms}")
        return response_format


def _options(environ: Mapping[str, Any], fields: Mapping[str, str] | None = None) -> Options:
    attributes = environ.get("HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES", "")
    return read_options(environ.get("QUERY_STRING", ""), attributes, fields)


def _length(environ: Mapping[str, Any]) -> int | None:
    """The announced length: None for a chunked body, 0 when there is no body."""
    if environ.get("HTTP_TRANSFER_ENCODING"):
        return None
    return int(environ.get("CONTENT_LENGTH") or 0)
